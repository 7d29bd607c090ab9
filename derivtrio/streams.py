"""Subscriptions: what user code iterates over."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

import attrs

from derivtrio.calls import api_call
from derivtrio.catalog import may_stream
from derivtrio.crew import make
from derivtrio.errors import malformed
from derivtrio.events import Event, Gap
from derivtrio.journal import Journal
from derivtrio.mailbox import Mailbox
from derivtrio.supervisor import Supervisor
from derivtrio.upstream import Upstream

T = TypeVar("T")


class Source(Protocol):
    """Where a subscription's items come from."""

    @property
    def id(self) -> str | None:
        """The server's id of the stream on the present connection."""
        ...

    async def open(self) -> None:
        """Let items flow into the mailbox; raise what stands against it."""
        ...

    def close(self) -> None:
        """Let them flow no more. It need not have been opened."""
        ...


@attrs.define(eq=False)
class Subscription(Generic[T]):
    """A stream, to be entered with `async with` and read with `async for`.

    Entering asks the server and waits for its first reply, so a refusal is raised there. Leaving
    forgets the stream. The `async for` ends when the stream is over: the contract is sold, the
    client was closed. It raises what ended the stream otherwise: an `ApiError`, `SlowConsumer`,
    `ConnectionFailed`. Across reconnects it goes on.

    *Cancellation*: nothing is lost by cancelling the wait for the next item.
    """

    _mailbox: Mailbox[T]
    _source: Source = attrs.field(repr=False)
    _entered: bool = attrs.field(default=False, init=False)
    _gaps: list[Gap] = attrs.field(factory=list, init=False)

    @property
    def id(self) -> str | None:
        """The server's `subscription.id` on the present connection; None without one."""
        return self._source.id

    @property
    def dropped(self) -> int:
        """How many items the overflow policy has taken from this consumer."""
        return self._mailbox.dropped

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The holes that the server's history could not close."""
        return tuple(self._gaps)

    async def __aenter__(self) -> "Subscription[T]":
        if self._entered:
            text = "a subscription is entered once; make a new one"
            raise RuntimeError(text)
        self._entered = True
        await self._source.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._source.close()

    def __aiter__(self) -> "Subscription[T]":
        if not self._entered:
            text = "enter the subscription first: async with client.subscribe(…) as stream"
            raise RuntimeError(text)
        return self

    async def __anext__(self) -> T:
        return await self._mailbox.get()


@attrs.define(eq=False)
class ServerStream:
    """The source of a subscription at the server."""

    _supervisor: Supervisor
    _request: Mapping[str, Any]
    _upstream: Upstream

    @property
    def id(self) -> str | None:
        """The first of the ids it has on the present connection."""
        return next(iter(self._upstream.ids), None)

    async def open(self) -> None:
        """Ask the server for the stream; wait for its first reply."""
        try:
            await make(api_call(self._request, then=self._upstream), self._supervisor.desk)
        except BaseException:
            self.close()  # the reply may have come at the very moment of the cancellation
            raise
        self._supervisor.ledger.add(self._upstream)

    def close(self) -> None:
        """Have it forgotten."""
        self._supervisor.drop(self._upstream)


@attrs.define(eq=False)
class EventStream:
    """The source of a subscription to the client's own events."""

    _journal: Journal
    _mailbox: Mailbox[Event]
    _traffic: bool
    id: None = None

    async def open(self) -> None:
        """Listen from now on."""
        self._journal.listen(self._mailbox, traffic=self._traffic)

    def close(self) -> None:
        """Stop listening."""
        self._journal.ignore(self._mailbox)


def subscribing(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *request* with `subscribe: 1`.

    Raises:
        InvalidRequest: it cannot be subscribed to.

    """
    call = api_call(request)
    if request.get("subscribe", 1) != 1:
        text = f"subscribe is 1 or left out, not {request['subscribe']!r}"
        raise malformed(text, request)
    if not may_stream(call.name):
        text = f"{call.name} does not stream; ask it with client.call"
        raise malformed(text, request)
    return {**request, "subscribe": 1}
