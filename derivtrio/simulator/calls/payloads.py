"""What the v3 messages about trading contain: one function for each, and nothing else.

Whoever wants to speak another generation of the API translates what these return. Amounts are
exact; epochs are whole seconds.
"""

from decimal import Decimal

from derivtrio.simulator.accounts.broker import Broker
from derivtrio.simulator.accounts.ledger import LedgerEntry
from derivtrio.simulator.contracts import accumulators, multipliers
from derivtrio.simulator.contracts.binaries import shown
from derivtrio.simulator.contracts.contract import Contract, Quote
from derivtrio.simulator.contracts.families import FAMILIES
from derivtrio.simulator.contracts.orders import ACCUMULATORS, CURRENCY, MULTIPLIERS
from derivtrio.simulator.market.hours import DAY
from derivtrio.simulator.protocol.envelope import Message

#: The application that all contracts are bought with.
APP_ID = 1089
_USER_ID = 1000001


def proposal(quote: Quote) -> Message:
    """Return a `proposal`, but for its id."""
    return {
        "ask_price": quote.ask,
        "date_start": quote.epoch,
        "display_value": f"{quote.ask:.2f}",
        "longcode": quote.longcode,
        "payout": quote.payout,
        "spot": quote.spot.quote,
        "spot_time": quote.spot.epoch,
        **_expiry(quote, "date_expiry"),
        **quote.details,
    }


def buy(transaction: LedgerEntry, contract: Contract) -> Message:
    """Return the receipt of a `buy`."""
    return {
        "balance_after": transaction.balance_after,
        "buy_price": contract.buy_price,
        "contract_id": contract.contract_id,
        "longcode": contract.quote.longcode,
        "payout": contract.quote.payout,
        "purchase_time": contract.start,
        "shortcode": contract.quote.shortcode,
        "start_time": contract.start,
        "transaction_id": transaction.transaction_id,
    }


def sale(transaction: LedgerEntry, contract: Contract) -> Message:
    """Return the receipt of a `sell` or a `cancel`."""
    return {
        "balance_after": transaction.balance_after,
        "contract_id": contract.contract_id,
        "reference_id": contract.buy_id,
        "sold_for": transaction.amount,
        "transaction_id": transaction.transaction_id,
    }


def transaction(entry: LedgerEntry) -> Message:
    """Return what a `transaction` stream says about *entry*, but for its id."""
    payload: Message = {
        "action": entry.action,
        "amount": entry.amount,
        "balance": entry.balance_after,
        "currency": CURRENCY,
        "transaction_id": entry.transaction_id,
        "transaction_time": entry.epoch,
    }
    contract = entry.contract
    if contract is None:
        return payload
    if entry.action == "sell":
        payload["purchase_time"] = contract.start
    return payload | {
        "contract_id": contract.contract_id,
        "display_name": contract.order.symbol.display_name,
        "longcode": contract.quote.longcode,
        "symbol": contract.order.symbol.name,
        **_expiry(contract.quote, "date_expiry"),
    }


def statement_entry(entry: LedgerEntry, *, described: bool) -> Message:
    """Return *entry* as an item of `statement.transactions`."""
    payload: Message = {
        "action_type": entry.action,
        "amount": entry.amount,
        "app_id": None,
        "balance_after": entry.balance_after,
        "contract_id": None,
        "payout": None,
        "reference_id": None,
        "transaction_id": entry.transaction_id,
        "transaction_time": entry.epoch,
    }
    contract = entry.contract
    if contract is None:
        return payload
    if entry.action == "sell":
        payload |= {"purchase_time": contract.start, "reference_id": contract.buy_id}
    if described:
        payload |= _names(contract)
    return payload | {
        "app_id": APP_ID,
        "contract_id": contract.contract_id,
        "payout": contract.quote.payout,
    }


def position(contract: Contract) -> Message:
    """Return *contract* as an item of `portfolio.contracts`."""
    return {
        "app_id": APP_ID,
        "buy_price": contract.buy_price,
        "contract_id": contract.contract_id,
        "contract_type": contract.order.contract_type,
        "currency": CURRENCY,
        "date_start": contract.start,
        "payout": contract.quote.payout,
        "purchase_time": contract.start,
        "symbol": contract.order.symbol.name,
        "transaction_id": contract.buy_id,
        **_expiry(contract.quote, "expiry_time"),
        **_names(contract),
    }


def profit(contract: Contract, *, described: bool) -> Message:
    """Return the closed *contract* as an item of `profit_table.transactions`."""
    order, closing = contract.order, contract.closing
    payload: Message = {
        "app_id": APP_ID,
        "buy_price": contract.buy_price,
        "contract_id": contract.contract_id,
        "payout": contract.quote.payout,
        "purchase_time": contract.start,
        "sell_price": closing and closing.price,
        "sell_time": closing and closing.epoch,
        "transaction_id": contract.buy_id,
    }
    if not described:
        return payload
    payload |= {
        "contract_type": order.contract_type,
        "duration_type": "ticks" if order.ticks is not None else "seconds",
        "underlying_symbol": order.symbol.name,
        **_names(contract),
    }
    optional = {
        "deal_cancellation_duration": order.cancellation,
        "growth_rate": order.growth_rate,
        "multiplier": order.multiplier,
    }
    return payload | {name: str(value) for name, value in optional.items() if value is not None}


def open_contract(contract: Contract, broker: Broker, epoch: int) -> Message:
    """Return the `proposal_open_contract` of *contract* as it stands at *epoch*."""
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
        "current_spot_display_value": shown(spot),
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
        **_expiry(quote, "date_expiry", "date_settlement", "expiry_time"),
        **_names(contract),
        **_standing(contract, broker, seen),
        **FAMILIES[order.contract_type].describe(contract, market, seen),
    }


def contract_update(contract: Contract, names: list[str], epoch: int) -> Message:
    """Return the answer to `contract_update`: the limits of *names* as they are now."""
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
    """Return the changes of a contract's limits, the newest first."""
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


def _expiry(quote: Quote, *names: str) -> Message:
    return {} if quote.expiry is None else dict.fromkeys(names, quote.expiry)


def _names(contract: Contract) -> Message:
    return {"longcode": contract.quote.longcode, "shortcode": contract.quote.shortcode}


def _standing(contract: Contract, broker: Broker, epoch: int) -> Message:
    """Return the members that say whether *contract* is over, and what can be done if not."""
    closing, fault = contract.closing, broker.resale_error(contract, epoch)
    by_itself = int(closing is not None and closing.status in ("won", "lost"))
    standing: Message = {
        "is_expired": by_itself,
        "is_settleable": by_itself,
        "is_sold": int(closing is not None),
        "is_valid_to_cancel": int(multipliers.can_cancel(contract, epoch)),
        "is_valid_to_sell": int(fault is None),
        "status": contract.status,
        "transaction_ids": {"buy": contract.buy_id},
    }
    if fault is not None:
        standing |= {"validation_error": fault, "validation_error_code": "General"}
    if closing is None or contract.sell_id is None:
        return standing
    standing["transaction_ids"] = {"buy": contract.buy_id, "sell": contract.sell_id}
    return standing | {
        "exit_tick": closing.tick.quote,
        "exit_tick_display_value": shown(closing.tick),
        "exit_tick_time": closing.tick.epoch,
        "sell_price": closing.price,
        "sell_spot": closing.tick.quote,
        "sell_spot_display_value": shown(closing.tick),
        "sell_spot_time": closing.tick.epoch,
        "sell_time": closing.epoch,
    }
