"""The arguments of trades and lists: checked here, before anything is sent. No I/O.

Amounts are checked whatever `Settings.check_requests` says, because they are money. The other
members of a request are checked against Deriv's schemas, in `api.validation`.
"""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from typing import Any, Final, cast

from derivtrio.api.parsing import is_epoch, is_ident
from derivtrio.api.validation import check_epoch
from derivtrio.errors import invalid_request
from derivtrio.models import Money, Proposal, Purchase
from derivtrio.wording import shown

#: A number above this is not an amount, in any currency.
_MOST: Final = 10**18

#: Every contract has these members, and a symbol.
_ESSENTIAL: Final = ("contract_type", "currency")


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"


#: A limit of a contract that an update leaves as it is. (None removes a limit.)
UNCHANGED: Final = Unchanged.UNCHANGED


def account_words(loginid: str | None, generation: str) -> dict[str, str]:
    """Return the member of a request that names its account: empty if *loginid* is None.

    Raises:
        InvalidRequest: *loginid* is not a login id, or *generation* has no such member.

    """
    if loginid is None:
        return {}
    if not isinstance(loginid, str) or not (loginid.isalnum() and loginid.isascii()):
        text = f"a loginid is a str such as 'CR90000001', not {shown(loginid)}"
        raise invalid_request(text)
    if generation == "options":
        text = (
            "the Options API takes no loginid, because a connection never changes its account;"
            " open another client for another account"
        )
        raise invalid_request(text)
    return {"loginid": loginid}


def contract_words(
    parameters: Mapping[str, Any], more: Mapping[str, Any], generation: str
) -> dict[str, Any]:
    """Return *parameters* and *more* together, with the symbol under its name in *generation*.

    Raises:
        InvalidRequest: they do not describe a contract.

    """
    if not isinstance(parameters, Mapping):
        text = f"a contract is described by a mapping, not by {type(parameters).__name__}"
        raise invalid_request(text)
    words: dict[str, Any] = {**parameters, **more}
    old, new = "symbol", "underlying_symbol"
    if generation == "v3":
        old, new = new, old
    if old in words:
        symbol = words.pop(old)
        if words.setdefault(new, symbol) != symbol:
            text = f"a contract has one symbol, not both {shown(symbol)} and {shown(words[new])}"
            raise invalid_request(text, parameters)
    missing = [name for name in (*_ESSENTIAL, new) if not words.get(name)]
    if missing:
        text = f"a contract needs {' and '.join(missing)}"
        raise invalid_request(text, parameters)
    return words


def check_proposal(proposal: Proposal) -> None:
    """Raise an error if *proposal*, which may be handmade, cannot be bought by what it has.

    Raises:
        InvalidRequest: an attribute is not what it is called.

    """
    good = {
        "id": isinstance(proposal.id, str),
        "spot_time": proposal.spot_time is None or is_epoch(proposal.spot_time),
        "parameters": isinstance(proposal.parameters, Mapping),
        "connection": proposal.connection is None or type(proposal.connection) is int,
    }
    if (name := next((name for name, is_good in good.items() if not is_good), None)) is not None:
        text = f"this Proposal has no usable {name}, but {shown(getattr(proposal, name))}"
        raise invalid_request(text)


def loginid_for(proposal: Proposal, loginid: str | None) -> str | None:
    """Return the account to buy *proposal* for: *loginid*, or else the one that it came for.

    Raises:
        InvalidRequest: the proposal came for another account than *loginid*.

    """
    proposed: str | None = proposal.parameters.get("loginid")
    if None not in (proposed, loginid) and proposed != loginid:
        text = f"the proposal is for the account {proposed}; it cannot be bought for {loginid}"
        raise invalid_request(text)
    return proposed if loginid is None else loginid


def contract_id_of(contract: int | Purchase) -> int:
    """Return the id of *contract*.

    Raises:
        InvalidRequest: *contract* is neither an id nor a purchase.

    """
    contract_id = contract.contract_id if isinstance(contract, Purchase) else contract
    if not is_ident(contract_id):
        text = f"a contract is a Purchase or its contract_id, an int above 0, not {shown(contract)}"
        raise invalid_request(text)
    return contract_id


def amount_of(name: str, amount: Any) -> Money:
    """Return *amount*, which is the member *name* of a request.

    Raises:
        InvalidRequest: *amount* is not an amount of money.

    """
    numeric = isinstance(amount, int | float | Decimal) and not isinstance(amount, bool)
    with suppress(ArithmeticError):  # to compare a Decimal("sNaN") raises
        if numeric and 0 <= amount <= _MOST:
            return cast("Money", amount)
    text = f"{name} is an amount, 0 or more, not {shown(amount)}"
    raise invalid_request(text)


def limit_order(
    take_profit: Money | Unchanged | None, stop_loss: Money | Unchanged | None
) -> dict[str, Money | None]:
    """Return the limits to change, as `contract_update` takes them.

    Raises:
        InvalidRequest: there is nothing to change, or a limit is not an amount of money.

    """
    limits = {"take_profit": take_profit, "stop_loss": stop_loss}
    changes = {
        name: None if limit is None else amount_of(name, limit)
        for name, limit in limits.items()
        if limit is not UNCHANGED
    }
    if not changes:
        text = "give take_profit, stop_loss or both"
        raise invalid_request(text)
    return changes


def period_words(date_from: int | None, date_to: int | None) -> dict[str, int]:
    """Return the members that limit a list to a period; the bounds are epochs in seconds.

    The server takes `date_to` as the first second that is not in the period any more.

    Raises:
        InvalidRequest: a bound is not a whole number of seconds.

    """
    period = {"date_from": date_from, "date_to": date_to}
    for name, epoch in period.items():
        check_epoch(name, epoch)
    return {name: epoch for name, epoch in period.items() if epoch is not None}
