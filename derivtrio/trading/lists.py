"""The account's lists: its open contracts, its statement, its profit table.

A list is checked when it is asked for and read when it is iterated, page by page (`calls.pages`).
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from derivtrio.calls import pages
from derivtrio.calls.call import api_call
from derivtrio.calls.pages import Ask
from derivtrio.calls.request import checked_call, make_call
from derivtrio.calls.session import Session
from derivtrio.models import ClosedContract, Position, Transaction
from derivtrio.trading.orders import account_words, period_words

#: How many rows to ask for at a time.
_PAGE: Final = 100


async def portfolio(session: Session, loginid: str | None) -> tuple[Position, ...]:
    """Return the open contracts."""
    account = account_words(loginid, session.generation)
    return tuple(await pages.portfolio(_asking(session), account))


def statement(
    session: Session,
    action_type: str | None,
    date_from: int | None,
    date_to: int | None,
    loginid: str | None,
) -> AsyncIterator[Transaction]:
    """Return the transactions of one kind, or of all kinds, in a period."""
    words: dict[str, Any] = dict(period_words(date_from, date_to))
    if action_type is not None:
        words["action_type"] = action_type
    request = _checked("statement", words, loginid, session)
    return pages.statement(_asking(session), request, _PAGE)


def profit_table(
    session: Session, date_from: int | None, date_to: int | None, loginid: str | None
) -> AsyncIterator[ClosedContract]:
    """Return the contracts that have ended, in a period."""
    # Deriv's schemas want the epochs as strings here, and as integers in `statement`.
    words = {name: str(epoch) for name, epoch in period_words(date_from, date_to).items()}
    request = _checked("profit_table", words, loginid, session)
    return pages.profit_table(_asking(session), request, _PAGE)


def _checked(
    name: str, words: Mapping[str, Any], loginid: str | None, session: Session
) -> dict[str, Any]:
    """Return the request for a list; refuse a bad one now, not when the reading begins."""
    account = account_words(loginid, session.generation)
    request = {name: 1, "description": 1, **words, **account}
    checked_call(request, session)
    return request


def _asking(session: Session) -> Ask:
    async def ask(question: Mapping[str, Any]) -> Mapping[str, Any]:
        return await make_call(api_call(question), session)

    return ask
