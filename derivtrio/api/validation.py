"""Refuses requests that Deriv's schemas do not allow, before anything is sent.

The server itself is said to take a number for a text that looks like one, and the other way round;
the schemas do not. The error says how to write it.

What is checked, and what is in doubt and let through, follows from `_published`. Values of secrets
are in no text and in no error.
"""

from collections.abc import Mapping
from typing import Any, Final

from derivtrio.api.catalog import PUBLISHED, entry, generations_of
from derivtrio.api.schema import Check, members_check
from derivtrio.api.words import described, near
from derivtrio.errors import InvalidRequest, invalid_request
from derivtrio.models import LAST_EPOCH
from derivtrio.redaction import HIDDEN
from derivtrio.wording import shown

#: What any request may have besides.
_ALWAYS: Final = {"req_id": "integer", "passthrough": "object"}
_ESCAPE: Final = "Settings(check_requests=False) turns this check off"
_APIS: Final[Mapping[str, str]] = {"v3": "the v3 API", "options": "the Options API"}

#: By generation and call, as they are needed; there are as many as there are calls.
_checks: dict[tuple[str, str], Check] = {}


def check_request(name: str, request: Mapping[str, Any], generation: str) -> None:
    """Refuse *request*, which makes the call *name*, unless the catalogue allows it.

    Raises:
        InvalidRequest: says what is wrong, where, and what would be right.

    """
    check = _checks.get((generation, name))
    if check is None:
        if generation not in PUBLISHED:
            return  # nothing is known of it
        check = _new_check(name, request, generation)
    complaint = check(request)
    if complaint is not None:
        where, what = complaint
        known = {key.rstrip("!") for key in _taken(name, generation)}
        text = f"{name}: {where[1:]} {what} ({_ESCAPE})"
        raise invalid_request(text, _without_strangers(request, known))


def check_epoch(name: str, epoch: object) -> None:
    """Check that *epoch*, the argument *name*, is an epoch in seconds, or None.

    Raises:
        InvalidRequest: it is not a whole number of seconds, or one of milliseconds.

    """
    if epoch is None:
        return
    if type(epoch) is not int or epoch < 0:
        text = f"{name} is an epoch in whole seconds, not {shown(epoch)}"
        raise invalid_request(text)
    if epoch > LAST_EPOCH:
        text = (
            f"{name} is an epoch in whole seconds; this would be after the year 2286"
            " (milliseconds?)"
        )
        raise invalid_request(text)


def missing_member(name: str, generation: str) -> InvalidRequest | None:
    """Return the error for a call without its own member, where that is not simply 1."""
    shape = _taken(name, generation).get(f"{name}!", (1,))
    if shape == (1,):
        return None
    return invalid_request(f"{name}: {name} is missing; it is {described(shape)}")


def only_streams(name: str, generation: str) -> bool:
    """Return whether the call must be subscribed to."""
    return "subscribe!" in _taken(name, generation)


def _taken(name: str, generation: str) -> Mapping[str, Any]:
    found = entry(name, generation)
    return found.takes if found else {}


def _new_check(name: str, request: Mapping[str, Any], generation: str) -> Check:
    found = entry(name, generation)
    if found is None:
        raise _no_such_call(name, request, generation)
    check = members_check({**found.takes, **_ALWAYS})
    _checks[generation, name] = check
    return check


def _no_such_call(name: str, request: Mapping[str, Any], generation: str) -> InvalidRequest:
    api = _APIS.get(generation, generation)
    hidden = _without_strangers(request, set())
    elsewhere = generations_of(name)
    if elsewhere:
        text = f"{api} has no call {shown(name)}; {_APIS[elsewhere[0]]} has it"
        return invalid_request(text, hidden)
    names = tuple(PUBLISHED[generation])
    for member in request:
        meant = near(str(member), names)
        if meant is not None:
            text = f"{api} has no call {shown(member)}; did you mean {meant!r}? ({_ESCAPE})"
            return invalid_request(text, hidden)
    return invalid_request(f"{api} has no call {shown(name)} ({_ESCAPE})", hidden)


def _without_strangers(request: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """Return *request* without the values of unknown members, which may be misspelt secrets."""
    return {name: value if name in known else HIDDEN for name, value in request.items()}
