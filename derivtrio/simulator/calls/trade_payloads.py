"""The payloads about trades: one function for each, in v3.

Amounts are exact; epochs are whole seconds.
"""

from derivtrio.simulator.accounts.ledger import LedgerEntry
from derivtrio.simulator.contracts.contract import Contract, Quote
from derivtrio.simulator.contracts.orders import CURRENCY
from derivtrio.simulator.protocol.envelope import Message

#: The application that buys all contracts.
APP_ID = 1089


def proposal(quote: Quote) -> Message:
    """Return a `proposal` without its id."""
    return {
        "ask_price": quote.ask,
        "date_start": quote.epoch,
        "display_value": f"{quote.ask:.2f}",
        "longcode": quote.longcode,
        "payout": quote.payout,
        "spot": quote.spot.quote,
        "spot_time": quote.spot.epoch,
        **expiry_members(quote, "date_expiry"),
        **quote.details,
    }


def buy(transaction: LedgerEntry, contract: Contract) -> Message:
    """Return the payload of a `buy`."""
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
    """Return the payload of a `sell` or a `cancel`."""
    return {
        "balance_after": transaction.balance_after,
        "contract_id": contract.contract_id,
        "reference_id": contract.buy_id,
        "sold_for": transaction.amount,
        "transaction_id": transaction.transaction_id,
    }


def transaction(entry: LedgerEntry) -> Message:
    """Return the message of a `transaction` stream about *entry*, without its id."""
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
        **expiry_members(contract.quote, "date_expiry"),
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
        payload |= code_members(contract)
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
        **expiry_members(contract.quote, "expiry_time"),
        **code_members(contract),
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
        **code_members(contract),
    }
    optional = {
        "deal_cancellation_duration": order.cancellation,
        "growth_rate": order.growth_rate,
        "multiplier": order.multiplier,
    }
    return payload | {name: str(value) for name, value in optional.items() if value is not None}


def expiry_members(quote: Quote, *names: str) -> Message:
    """Return the expiry under these *names*; nothing if it is not known beforehand."""
    return {} if quote.expiry is None else dict.fromkeys(names, quote.expiry)


def code_members(contract: Contract) -> Message:
    """Return the longcode and the shortcode of *contract*."""
    return {"longcode": contract.quote.longcode, "shortcode": contract.quote.shortcode}
