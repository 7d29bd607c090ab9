"""What the arguments of trades mean: the words of a request, checked before it is sent. No I/O.

Amounts are checked here whatever `Settings.check_requests` says, for they are money; the rest of a
request is held against Deriv's schemas in `checking`.
"""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final, cast

from derivtrio.errors import invalid_request
from derivtrio.models import Money, Proposal, Purchase

#: Beyond this a number is no amount, in whatever currency.
_MOST: Final = 10**18

#: What tells one contract from another, at the least.
_ESSENTIAL: Final = ("contract_type", "currency")


def account_words(loginid: str | None, generation: str) -> dict[str, str]:
    """Return the member of a request that says for which account it is, if any is named.

    Raises:
        InvalidRequest: *loginid* can be none, or *generation* has no such member.

    """
    if loginid is None:
        return {}
    if not isinstance(loginid, str) or not loginid.isalnum():
        text = f"a loginid is a str such as 'CR90000001', not {loginid!r}"
        raise invalid_request(text)
    if generation == "options":
        text = (
            "the Options API takes no loginid: a connection belongs to its account for good;"
            " open another client for another account"
        )
        raise invalid_request(text)
    return {"loginid": loginid}


def contract_words(
    parameters: Mapping[str, Any], more: Mapping[str, Any], generation: str
) -> dict[str, Any]:
    """Return *parameters* and *more*, checked, with the symbol under its name in *generation*.

    Raises:
        InvalidRequest: they do not describe a contract.

    """
    if not isinstance(parameters, Mapping):
        text = f"a contract is described by a mapping, not by {type(parameters).__name__}"
        raise invalid_request(text)
    words = {**parameters, **more}
    old, new = "symbol", "underlying_symbol"
    if generation == "v3":
        old, new = new, old
    if old in words:
        symbol = words.pop(old)
        if words.setdefault(new, symbol) != symbol:
            text = f"a contract has one symbol, not both {symbol!r} and {words[new]!r}"
            raise invalid_request(text, parameters)
    missing = [name for name in (*_ESSENTIAL, new) if not words.get(name)]
    if missing:
        text = f"a contract needs {' and '.join(missing)}"
        raise invalid_request(text, parameters)
    return words


def loginid_for(proposal: Proposal, loginid: str | None) -> str | None:
    """Return the account that *proposal* is bought for.

    Raises:
        InvalidRequest: it was asked for another one than *loginid*.

    """
    proposed: str | None = proposal.parameters.get("loginid")
    if None not in (proposed, loginid) and proposed != loginid:
        text = f"the proposal is for the account {proposed}; it cannot be bought for {loginid}"
        raise invalid_request(text)
    return proposed if loginid is None else loginid


def contract_id_of(contract: int | Purchase) -> int:
    """Return the id of *contract*.

    Raises:
        InvalidRequest: it is no contract.

    """
    contract_id = contract.contract_id if isinstance(contract, Purchase) else contract
    if type(contract_id) is not int:
        text = f"a contract is a Purchase or its contract_id, an int, not {contract!r}"
        raise invalid_request(text)
    return contract_id


def amount_of(name: str, amount: Any) -> Money:
    """Return *amount*, the member *name* of a request.

    Raises:
        InvalidRequest: it is no amount.

    """
    numeric = isinstance(amount, int | float | Decimal) and not isinstance(amount, bool)
    with suppress(ArithmeticError):  # a Decimal that is no number cannot be compared
        if numeric and 0 <= amount <= _MOST:
            return cast("Money", amount)
    huge = isinstance(amount, int) and abs(amount) > _MOST  # Python may refuse to write it out
    text = f"{name} is an amount, 0 or more, not {'such a number' if huge else repr(amount)}"
    raise invalid_request(text)


def period_words(date_from: int | None, date_to: int | None) -> dict[str, int]:
    """Return the members that say which time a list is about.

    Raises:
        InvalidRequest: one of them is no epoch in seconds.

    """
    period = {"date_from": date_from, "date_to": date_to}
    for name, epoch in period.items():
        check_epoch(name, epoch)
    return {name: epoch for name, epoch in period.items() if epoch is not None}


def check_epoch(name: str, epoch: int | None) -> None:
    """Refuse *epoch*, the argument *name*, if it can be none.

    Raises:
        InvalidRequest: it is no whole number of seconds.

    """
    if epoch is not None and (type(epoch) is not int or epoch < 0):
        text = f"{name} is an epoch in whole seconds, not {epoch!r}"
        raise invalid_request(text)
