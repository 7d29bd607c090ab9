"""The calls that change something.

They are `buy`, `sell`, `cancel`, `contract_update`, `sell_expired` and `topup_virtual`.
"""

from decimal import Decimal

from derivtrio.simulator.accounts.ledger import LedgerEntry
from derivtrio.simulator.calls import contract_payloads, trade_payloads
from derivtrio.simulator.calls.notifications import follow_contract, notify
from derivtrio.simulator.calls.proposals import take_order, unknown_proposal
from derivtrio.simulator.contracts import accumulators, multipliers
from derivtrio.simulator.contracts.contract import Contract, LimitUpdate
from derivtrio.simulator.contracts.money import exact
from derivtrio.simulator.contracts.orders import (
    ACCUMULATORS,
    MULTIPLIERS,
    ContractOrder,
    LimitOrder,
    read_limit_order,
    read_order,
)
from derivtrio.simulator.protocol.envelope import Message, Refusal, reply
from derivtrio.simulator.sessions.session import ServerSession

_VIRTUAL_FUNDS = Decimal("10000.00")


def buy(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `buy` of a proposal, or of `parameters` with the id `"1"`.

    The price is the present one; it may be at most `price`. With `subscribe` the contract is
    streamed as `proposal_open_contract`, under the same `req_id`.
    """
    account = session.login(request.get("loginid")).account
    order = _order(session, request, epoch)
    broker = session.backend.broker
    entry, contract = broker.buy(account, order, epoch, exact(request["price"]))
    stream_id = None
    if "subscribe" in request:
        stream_id = follow_contract(session, contract, request, epoch).id
    notify(session.backend, entry, epoch)
    envelope = reply(request, "buy", subscription=stream_id)
    return [envelope | {"buy": trade_payloads.buy(entry, contract)}]


def sell(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `sell` at the present price, if that is at least `price`; 0 means any price.

    A multiplier is sold at the present price, whatever `price` says. Of a contract that is closed
    Deriv's server says the same as of one that never was: it looks among the open ones only.
    """
    contract = _contract(session, request, request["sell"])
    if not contract.is_open:
        raise _unknown_contract()
    entry = session.backend.broker.sell(contract, epoch, exact(request["price"]))
    return [_sold(session, request, "sell", entry, contract)]


def cancel(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `cancel`, for a multiplier with deal cancellation."""
    contract = _contract(session, request, request["cancel"])
    entry = session.backend.broker.cancel(contract, epoch)
    return [_sold(session, request, "cancel", entry, contract)]


def contract_update(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `contract_update`: an amount sets a limit, and `null` removes it."""
    contract = _contract(session, request, request["contract_id"])
    if not contract.is_open:
        raise Refusal(code="ContractAlreadySold", message="This contract has been sold.")
    wanted = request["limit_order"]
    limit_order = _merged(contract.limit_order, read_limit_order(wanted), wanted)
    if contract.order.contract_type in MULTIPLIERS:
        multipliers.check_limit_order(contract.order, limit_order)
    elif contract.order.contract_type in ACCUMULATORS:
        accumulators.check_limit_order(limit_order)
    else:
        text = "Only updates to these parameters are allowed ."
        raise Refusal(code="ContractUpdateNotAllowed", message=text)
    names = sorted(wanted)
    changes = [LimitUpdate(epoch, name, getattr(limit_order, name)) for name in names]
    if changes:
        session.backend.broker.update(contract, limit_order, changes)
    payload = contract_payloads.contract_update(contract, names, epoch)
    return [reply(request, "contract_update") | {"contract_update": payload}]


def sell_expired(session: ServerSession, request: Message, epoch: int) -> list[Message]:  # noqa: ARG001
    """Answer `sell_expired`: always 0, because expired contracts are settled at once."""
    return [reply(request, "sell_expired") | {"sell_expired": {"count": 0}}]


def topup_virtual(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `topup_virtual`: fill a virtual account up to 10,000."""
    account = session.login(request.get("loginid")).account
    missing = _VIRTUAL_FUNDS - account.balance
    if not account.is_virtual or missing <= 0:
        text = "Only a virtual account with less than 10000.00 USD can be topped up."
        raise Refusal(code="TopupVirtualError", message=text)
    broker = session.backend.broker
    notify(session.backend, broker.top_up(broker.ledgers[account.loginid], missing, epoch), epoch)
    payload = {"amount": missing, "currency": account.currency}
    return [reply(request, "topup_virtual") | {"topup_virtual": payload}]


def _order(session: ServerSession, request: Message, epoch: int) -> ContractOrder:
    if request["buy"] != "1":
        return take_order(session, request["buy"], epoch)
    if "parameters" not in request:
        raise unknown_proposal()
    return read_order(session.backend.market, request["parameters"])


def _contract(session: ServerSession, request: Message, contract_id: int) -> Contract:
    """Return the contract if the login owns it; otherwise raise the `Refusal`."""
    loginid = session.login(request.get("loginid")).account.loginid
    contract = session.backend.broker.ledgers[loginid].contracts.get(contract_id)
    if contract is None:
        raise _unknown_contract()
    return contract


def _unknown_contract() -> Refusal:
    text = "Unknown contract sell proposal"
    return Refusal(code="InvalidSellContractProposal", message=text)


def _sold(
    session: ServerSession, request: Message, call: str, entry: LedgerEntry, contract: Contract
) -> Message:
    notify(session.backend, entry, entry.epoch)
    return reply(request, call) | {call: trade_payloads.sale(entry, contract)}


def _merged(before: LimitOrder, after: LimitOrder, wanted: Message) -> LimitOrder:
    """Return the limits *before*, replaced by those *after* whose names are in *wanted*."""
    return LimitOrder(
        after.take_profit if "take_profit" in wanted else before.take_profit,
        after.stop_loss if "stop_loss" in wanted else before.stop_loss,
    )
