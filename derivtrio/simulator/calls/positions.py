"""The calls that stream the trades of an account: `proposal_open_contract`, `transaction`."""

from derivtrio.simulator.accounts.ledger import AccountLedger
from derivtrio.simulator.calls import contract_payloads
from derivtrio.simulator.calls.notifications import (
    POSITION,
    all_contracts_key,
    contract_key,
    follow_contract,
    transaction_key,
)
from derivtrio.simulator.contracts.contract import Contract
from derivtrio.simulator.protocol.envelope import Message, Refusal, reply
from derivtrio.simulator.sessions.session import ServerSession


def proposal_open_contract(session: ServerSession, request: Message, epoch: int) -> list[Message]:
    """Answer `proposal_open_contract` for one contract, or for all that are open.

    A stream has a message for every tick, and a last one when the contract is closed. A closed
    contract has one reply and no stream. A subscription to all contracts has one stream for each,
    also for those bought later; the reply is empty while no contract is open.
    """
    ledger = session.backend.broker.ledgers[session.login(request.get("loginid")).account.loginid]
    if "contract_id" not in request:
        return _all_contracts(session, request, ledger, epoch)
    contract = ledger.contracts.get(request["contract_id"])
    if contract is None:
        text = "This contract was not found among your open positions."
        raise Refusal(code="ContractNotFound", message=text)
    return [_position(session, request, contract, epoch)]


def transaction(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `transaction`; the first message has only the id of the stream."""
    loginid = session.login(request.get("loginid")).account.loginid
    stream = session.streams.add(transaction_key(loginid), request)
    return [stream.message("transaction", {})]


def _all_contracts(
    session: ServerSession, request: Message, ledger: AccountLedger, epoch: int
) -> list[Message]:
    loginid, streams = ledger.account.loginid, session.streams
    contracts, parent = ledger.open_contracts, None
    if "subscribe" in request:
        parent = streams.add(all_contracts_key(loginid), request).id
        contracts = [
            contract
            for contract in contracts
            if streams.find(contract_key(loginid, contract.contract_id)) is None
        ]
    if not contracts:
        return [reply(request, POSITION, subscription=parent) | {POSITION: {}}]
    return [_position(session, request, contract, epoch) for contract in contracts]


def _position(session: ServerSession, request: Message, contract: Contract, epoch: int) -> Message:
    payload = contract_payloads.open_contract(contract, session.backend.broker, epoch)
    if "subscribe" not in request or not contract.is_open:
        return reply(request, POSITION) | {POSITION: payload}
    return follow_contract(session, contract, request, epoch).message(POSITION, payload)
