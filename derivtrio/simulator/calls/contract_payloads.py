"""The payloads about one contract: its state in `proposal_open_contract`, and its limits, in v3."""

from decimal import Decimal

from derivtrio.simulator.accounts.broker import Broker
from derivtrio.simulator.calls.trade_payloads import code_members, expiry_members
from derivtrio.simulator.contracts import accumulators, multipliers
from derivtrio.simulator.contracts.contract import Contract
from derivtrio.simulator.contracts.families import FAMILIES
from derivtrio.simulator.contracts.orders import ACCUMULATORS, CURRENCY, MULTIPLIERS
from derivtrio.simulator.contracts.spots import display_price
from derivtrio.simulator.market.hours import DAY
from derivtrio.simulator.protocol.envelope import Message

_USER_ID = 1000001


def open_contract(contract: Contract, broker: Broker, epoch: int) -> Message:
    """Return the `proposal_open_contract` of *contract* at *epoch*."""
    order, quote, market = contract.order, contract.quote, broker.market
    seen = epoch if contract.closing is None else min(epoch, contract.closing.epoch)
    spot, value = market.tick(order.symbol.name, seen), broker.value(contract, seen)
    return {
        "account_id": _USER_ID,
        "bid_price": value,
        "buy_price": contract.buy_price,
        "contract_id": contract.contract_id,
        "contract_type": order.contract_type,
        "currency": CURRENCY,
        "current_spot": spot.quote,
        "current_spot_display_value": display_price(spot),
        "current_spot_time": spot.epoch,
        "date_start": contract.start,
        "display_name": order.symbol.display_name,
        "is_forward_starting": 0,
        "is_intraday": int(quote.expiry is None or quote.expiry - contract.start < DAY),
        "is_path_dependent": int(order.contract_type in MULTIPLIERS + ACCUMULATORS),
        "payout": quote.payout,
        "profit": value - contract.buy_price,
        "profit_percentage": round((value - contract.buy_price) / contract.buy_price * 100, 2),
        "purchase_time": contract.start,
        "underlying": order.symbol.name,
        **expiry_members(quote, "date_expiry", "date_settlement", "expiry_time"),
        **code_members(contract),
        **_state_members(contract, broker, seen),
        **FAMILIES[order.contract_type].describe(contract, market, seen),
    }


def contract_update(contract: Contract, names: list[str], epoch: int) -> Message:
    """Return the payload of a `contract_update`: the present limits of these *names*."""
    order, limit_order = contract.order, contract.limit_order
    if order.contract_type in MULTIPLIERS:
        present = multipliers.limit_order_payload(order, limit_order, contract.quote.spot, epoch)
    else:
        present = accumulators.limit_order_payload(limit_order, epoch)
    return {
        name: {
            member: value
            for member, value in present.get(name, _no_limit(name, epoch)).items()
            if member != "display_order_amount"
        }
        for name in names
    }


def contract_updates(contract: Contract) -> list[Message]:
    """Return the changes of a contract's limits, newest first."""
    return [
        {
            "display_name": update.order_type.replace("_", " ").capitalize(),
            "order_amount": f"{update.amount or Decimal():.2f}",
            "order_date": update.epoch,
            "order_type": update.order_type,
        }
        for update in reversed(contract.updates)
    ]


def _no_limit(name: str, epoch: int) -> Message:
    return {
        "display_name": name.replace("_", " ").capitalize(),
        "order_amount": None,
        "order_date": epoch,
    }


def _state_members(contract: Contract, broker: Broker, epoch: int) -> Message:
    """Return the members about the state of *contract*: whether it is closed, or can be sold."""
    closing, error = contract.closing, broker.resale_error(contract, epoch)
    by_market = int(closing is not None and closing.status in ("won", "lost"))
    state: Message = {
        "is_expired": by_market,
        "is_settleable": by_market,
        "is_sold": int(closing is not None),
        "is_valid_to_cancel": int(multipliers.can_cancel(contract, epoch)),
        "is_valid_to_sell": int(error is None),
        "status": contract.status,
        "transaction_ids": {"buy": contract.buy_id},
    }
    if error is not None:
        state |= {"validation_error": error, "validation_error_code": "General"}
    if closing is None or contract.sell_id is None:
        return state
    state["transaction_ids"] = {"buy": contract.buy_id, "sell": contract.sell_id}
    return state | {
        "exit_tick": closing.tick.quote,
        "exit_tick_display_value": display_price(closing.tick),
        "exit_tick_time": closing.tick.epoch,
        "sell_price": closing.price,
        "sell_spot": closing.tick.quote,
        "sell_spot_display_value": display_price(closing.tick),
        "sell_spot_time": closing.tick.epoch,
        "sell_time": closing.epoch,
    }
