"""The reports of an account: `statement`, `portfolio`, `profit_table`, and updates of limits.

A period begins with `date_from` and ends before `date_to`, as recorded from the live API.
"""

import datetime as dt
from collections.abc import Iterable
from typing import TypeVar

from derivtrio.simulator.accounts.ledger import AccountLedger
from derivtrio.simulator.calls import contract_payloads, trade_payloads
from derivtrio.simulator.contracts.contract import Contract
from derivtrio.simulator.market.hours import DAY
from derivtrio.simulator.protocol.envelope import Message, Refusal, invalid, reply
from derivtrio.simulator.sessions.session import ServerSession

_T = TypeVar("_T")

_STATEMENT_LIMIT = 100
_PROFIT_LIMIT = 50


def statement(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `statement`: the ledger entries of a period, newest first."""
    action, described = request.get("action_type"), request.get("description") == 1
    first, end = request.get("date_from", 0), request.get("date_to", _FAR)
    found = [
        entry
        for entry in _ledger(session, request).newest_first()
        if first <= entry.epoch < end and action in (None, entry.action)
    ]
    rows = [
        trade_payloads.statement_entry(entry, described=described)
        for entry in _page(found, request, _STATEMENT_LIMIT)
    ]
    payload = {"count": len(rows), "transactions": rows}
    return [reply(request, "statement") | {"statement": payload}]


def portfolio(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `portfolio`: the open contracts, oldest first."""
    contracts = _of_types(_ledger(session, request).open_contracts, request)
    payload = {"contracts": [trade_payloads.position(contract) for contract in contracts]}
    return [reply(request, "portfolio") | {"portfolio": payload}]


def profit_table(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `profit_table`: the closed contracts by purchase time, by default newest first."""
    first, end = _epoch_of(request, "date_from", 0), _epoch_of(request, "date_to", _FAR)
    closed = [
        contract
        for contract in _of_types(_ledger(session, request).contracts.values(), request)
        if not contract.is_open and first <= contract.start < end
    ]
    if request.get("sort") != "ASC":
        closed.reverse()
    described = request.get("description") == 1
    rows = [
        trade_payloads.profit(contract, described=described)
        for contract in _page(closed, request, _PROFIT_LIMIT)
    ]
    payload = {"count": len(rows), "transactions": rows}
    return [reply(request, "profit_table") | {"profit_table": payload}]


def contract_update_history(session: ServerSession, request: Message, _epoch: int) -> list[Message]:
    """Answer `contract_update_history`: the updates of a contract's limits, newest first."""
    contract = _ledger(session, request).contracts.get(request["contract_id"])
    if contract is None:
        text = "This contract was not found among your open positions."
        raise Refusal(code="ContractNotFound", message=text)
    payload = _page(contract_payloads.contract_updates(contract), request, _STATEMENT_LIMIT)
    return [reply(request, "contract_update_history") | {"contract_update_history": payload}]


#: Later than any epoch.
_FAR = 10**10


def _ledger(session: ServerSession, request: Message) -> AccountLedger:
    account = session.login(request.get("loginid")).account
    return session.backend.broker.ledgers[account.loginid]


def _of_types(contracts: Iterable[Contract], request: Message) -> list[Contract]:
    types = request.get("contract_type")
    return [each for each in contracts if not types or each.order.contract_type in types]


def _page(rows: list[_T], request: Message, default: int) -> list[_T]:
    offset, limit = request.get("offset", 0), int(request.get("limit", default))
    return rows[offset : offset + limit]


def _epoch_of(request: Message, name: str, default: int) -> int:
    """Return a bound, given as an epoch or a date; the day of `date_to` is included."""
    text: str | None = request.get(name)
    if text is None:
        return default
    if "-" not in text:
        return int(text)
    try:
        date = dt.date(*(int(part) for part in text.split("-")))
    except ValueError:
        raise invalid({name: "Invalid date."}) from None
    midnight = (date - dt.date(1970, 1, 1)).days * DAY
    return midnight + (DAY if name == "date_to" else 0)
