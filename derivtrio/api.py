"""`client.api`: every call of the API by its name.

There is one method here, for all of them. Their fields and replies have types all the same, in
`api.pyi`, which is generated from Deriv's schemas and read by type checkers only.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import attrs

from derivtrio.catalog import PUBLISHED
from derivtrio.checking import missing_member, only_streams
from derivtrio.errors import InvalidRequest, malformed


@attrs.frozen(repr=False)
class Api:
    """Makes calls by name: `await client.api.ticks_history("R_100", end="latest")`.

    A call's own member, where it is more than a 1, is the first argument, by position or by name;
    all other fields are given by name. Each call does what `Client.call` does with that request,
    and raises what that raises.

    It is for one reply. What streams is had from `Client.subscribe`: `subscribe` is no argument.
    Where requests are not checked (see `Settings.check_requests`), everything else is sent.
    """

    _call: Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]
    _generation: str
    _checked: bool = True

    def __repr__(self) -> str:
        return f"<derivtrio.Api of {self._generation}>"

    def __getattr__(self, name: str) -> Callable[..., Awaitable[dict[str, Any]]]:
        if name.startswith("_"):
            raise AttributeError(name, name=name, obj=self)
        return partial(self._make, name)

    def __dir__(self) -> list[str]:
        return sorted(PUBLISHED.get(self._generation, {}))

    async def _make(self, name: str, /, *own: Any, **fields: Any) -> dict[str, Any]:
        request = _request(name, own, fields)
        if self._checked:
            _check_own(name, request, self._generation)
        return await self._call(request if name in request else {name: 1, **request})


def _request(name: str, own: tuple[Any, ...], fields: dict[str, Any]) -> dict[str, Any]:
    if "subscribe" in fields:
        raise _only_one_reply(name)
    if len(own) > 1 or (own and name in fields):
        text = f"{name}: its own member is the one argument by position; the others have names"
        raise malformed(text)
    return {name: own[0], **fields} if own else fields


def _check_own(name: str, request: dict[str, Any], generation: str) -> None:
    if only_streams(name, generation):
        raise _only_one_reply(name)
    if name not in request:
        missing = missing_member(name, generation)
        if missing is not None:
            raise missing


def _only_one_reply(name: str) -> InvalidRequest:
    return malformed(f"{name}: client.api is for one reply; a stream is had from client.subscribe")
