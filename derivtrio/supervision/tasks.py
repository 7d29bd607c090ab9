"""The tasks that work on one connection, one function each.

They share a fate: when one of them notices that the connection is lost it says so to the
connection, and the scope in which all of them run is cancelled. None of them catches anything but
what it names.
"""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import Any

import attrs
import trio

from derivtrio.api import codec
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.request import make_call, note_limits, write_calls
from derivtrio.calls.session import Session
from derivtrio.calls.status import ConnectionState
from derivtrio.connection.connection import Connection
from derivtrio.connection.disconnect import Disconnect
from derivtrio.connection.websocket import Binary, Message
from derivtrio.errors import BrokenConnection, DerivError, HeartbeatMissed, ProtocolViolation
from derivtrio.events import MessageReceived
from derivtrio.policy.rate_limits import Urgency
from derivtrio.redaction import masked_text
from derivtrio.streams.registry import Registry

_INVALID_DATA = 1007

#: How many requests the writer takes along when they are waiting anyway.
_AT_ONCE = 256


async def read(connection: Connection, session: Session, registry: Registry) -> None:
    """Route what comes, until nothing more will. Never waits for a consumer."""
    bus, counters = session.bus, session.bus.counters
    route = _route_fast if session.settings.fast else _route_plainly
    with connection.reading:
        while (batch := await connection.receive()) is not None:
            if batch:
                counters.last_message_wall = time.time()
                counters.messages_received += len(batch)
            if bus.traffic:
                for data in batch:
                    bus.announce(MessageReceived(_shown(data)))
            route(batch, connection, session)
            if session.router.unwanted:
                registry.unsubscribe_unwanted()
            if connection.disconnect is not None:
                return
    connection.lose_to_peer()


def _route_plainly(batch: list[Message], connection: Connection, session: Session) -> None:
    """Decode and route one message after another."""
    for message in _decoding(batch, connection):
        session.router.route(message)


def _route_fast(batch: list[Message], connection: Connection, session: Session) -> None:
    """Do the same, but give ticks and runs of messages to their streams in one go."""
    router, fast_ticks = session.router, session.router.fast_ticks
    if fast_ticks.usable and not session.bus.traffic:
        if others := fast_ticks.deliver(batch):
            for message in _decoding(others, connection):  # as they come: no tick overtakes them
                router.route(message)
    else:
        router.route_all(_decoded(batch, connection))


def _decoded(batch: list[Message], connection: Connection) -> list[dict[str, Any]]:
    """Return the messages in *batch*; at the first that is not one, lose *connection*."""
    try:
        messages = [codec.decode(data) for data in batch]  # type: ignore[arg-type]
    except (*codec.UNDECODABLE, TypeError):
        return list(_decoding(batch, connection))
    for message in messages:
        if message.__class__ is not dict:
            return list(_decoding(batch, connection))
    return messages


def _decoding(batch: Iterable[Message], connection: Connection) -> Iterator[dict[str, Any]]:
    """Do so one by one."""
    for data in batch:
        if isinstance(data, Binary):
            continue
        try:
            message = codec.decode(data)
        except codec.UNDECODABLE as error:
            connection.lose(_not_json(str(error), error))
            return
        if not isinstance(message, dict):
            connection.lose(_not_json(f"a JSON {type(message).__name__}, not an object"))
            return
        yield message


async def write(connection: Connection, session: Session) -> None:
    """Write what user code asks for, in its order; what has piled up, in one go."""
    while True:
        await write_calls(connection, session, *await session.queue.get(_AT_ONCE))


async def ask_for_limits(session: Session) -> None:
    """Ask the server for its limits when they begin to matter, once on a connection.

    If it refuses even that for its rate, it is asked again before it is asked for anything else.
    """
    await session.queue.limits_matter.wait()
    question = api_call({"website_status": 1}, urgency=Urgency.TRADE)
    try:
        await make_call(question, session, first=True)  # which takes note of what it says
    except DerivError:
        note_limits({}, session)  # then the documented limits count


async def beat(connection: Connection, session: Session) -> None:
    """Ask a silent server for a sign of life; lose the connection to one that gives none."""
    await Heartbeat(connection, session).run()


async def expire(connection: Connection, session: Session) -> None:
    """Decide the calls whose reply does not come within `response_timeout` of their writing.

    One task for all of them costs less than a deadline for each. All have the same patience, so
    their deadlines come in the order of writing: no more is looked at than the oldest.
    """
    while True:
        if _next_deadline(session) <= trio.current_time():
            await connection.catch_up()
        now = trio.current_time()
        for call in _overdue(session, now):
            if not call.is_trade:
                session.router.remove(call.req_id)
            call.expire()
            session.timed_out.set()
        # Whatever is written while this sleeps is due after it wakes.
        latest = now + session.settings.response_timeout
        await trio.sleep_until(min(_next_deadline(session), latest))


def _next_deadline(session: Session) -> float:
    return next((call.deadline for call in _with_deadline(session)), math.inf)


def _overdue(session: Session, now: float) -> list[Call]:
    return list(takewhile(lambda call: call.deadline <= now, _with_deadline(session)))


def _with_deadline(session: Session) -> Iterator[Call]:
    """Iterate over the calls that wait for a reply, the first to be due first.

    A trade that has expired waits for ever, and for nothing but late news.
    """
    for receiver in session.router.waiting():
        if isinstance(receiver, Call) and receiver.deadline < math.inf:
            yield receiver


@attrs.define(eq=False)
class Heartbeat:
    """Finds out that a connection is dead.

    The rules:

    1. Only an API message is a sign of life. A front end can send WebSocket frames for ever while
       the backend behind it is dead.
    2. After `heartbeat_interval` without one, a `ping` asks for any message within
       `heartbeat_timeout`.
    3. After a call that had no reply in time, the reply to this very `ping` is asked for: streams
       may go on while no request is answered. The next time this happens on the same connection,
       `time` is asked for, too: a front end may answer pings by itself. A call that has no reply
       while these have theirs is no fault of the connection.
    4. A call whose caller has gone away before the reply counts as one without a reply, when the
       heartbeat looks next.
    5. Before a verdict the reader takes what has come. If the verdict itself comes late, this
       program did not run for a while, and perhaps the network neither. Then the server is asked
       again, once.
    6. A write of which the server takes nothing for `heartbeat_interval + heartbeat_timeout` is the
       end, too, whatever the server says meanwhile.
    """

    _connection: Connection
    _session: Session
    _doubts: int = attrs.field(default=0, init=False)
    _excused: bool = attrs.field(default=False, init=False)
    _asked: list[int] = attrs.field(factory=list, init=False)

    async def run(self) -> None:
        """Watch the connection until it is lost."""
        connection, session = self._connection, self._session
        interval = session.settings.heartbeat_interval
        session.take_doubt()  # it was about the connection before
        while connection.disconnect is None:
            with trio.move_on_at(min(connection.heard + interval, self._stalls_at)):
                await session.timed_out.wait()
            if self._stalls_at <= trio.current_time():
                await self._judge_writing()
            elif session.take_doubt():
                self._doubts += 1
                await self._ask(["ping", "time"] if self._doubts > 1 else ["ping"], doubted=True)
            elif trio.current_time() >= connection.heard + interval:
                await self._ask(["ping"], doubted=False)

    @property
    def _stalls_at(self) -> float:
        return self._connection.stalls_at if self._connection.writing else math.inf

    async def _judge_writing(self) -> None:
        """Lose the connection if its write still stalls after everybody's turn."""
        settings = self._session.settings
        await self._connection.catch_up()
        if self._stalls_at <= trio.current_time():
            stall = settings.heartbeat_interval + settings.heartbeat_timeout
            self._lose(f"the server took no bytes for {stall:g} s")

    async def _ask(self, questions: Sequence[str], *, doubted: bool) -> None:
        """Ask, and lose the connection if there is no sign of life in time."""
        connection, writing = self._connection, False
        arrival, pongs = connection.arrival(), self._register(questions)
        signs = [pong.came for pong in pongs] if doubted else [arrival]
        deadline = trio.current_time() + self._session.settings.heartbeat_timeout
        with trio.move_on_at(deadline):
            if connection.writing:
                await connection.flushed()
            writing = True
            texts = (f'{{"{question}":1}}' for question in questions)
            await connection.send(*map(codec.with_req_id, texts, self._asked))
            writing = False
            for sign in signs:
                await sign.wait()
        if not writing and not all(sign.is_set() for sign in signs):
            await connection.catch_up()
        if writing:  # the write was cut off, and half a frame cannot be taken back
            self._lose(f"the server did not take a ping within {self._timeout}")
        elif all(sign.is_set() for sign in signs):
            self._excused = False
        elif not self._is_excused(deadline):
            self._lose(self._doubt_text(pongs[0]) if doubted else self._silence_text())
        elif doubted:
            self._session.timed_out.set()

    def _register(self, questions: Sequence[str]) -> list["Pong"]:
        """Have the answers to *questions* routed; expect none to earlier ones any more."""
        router, budgets = self._session.router, self._session.queue.budgets
        for req_id in self._asked:  # of a server that answers everything but pings
            router.remove(req_id)
        for question in questions:
            budgets.count(question, trio.current_time())
        pongs = [Pong(self._session.state) for _ in questions]
        self._asked = [router.register(pong) for pong in pongs]
        return pongs

    def _is_excused(self, deadline: float) -> bool:
        """Return whether the server is asked again, because this is judged much too late."""
        late = trio.current_time() - deadline
        excused, self._excused = self._excused, True
        return not excused and late > self._session.settings.heartbeat_timeout / 2

    def _lose(self, text: str) -> None:
        self._connection.lose(Disconnect("heartbeat", error=HeartbeatMissed(text)))

    @property
    def _timeout(self) -> str:
        return f"{self._session.settings.heartbeat_timeout:.3g} s"

    @property
    def _silence(self) -> str:
        return f"{trio.current_time() - self._connection.heard:.3g} s"

    def _silence_text(self) -> str:
        if not self._connection.bytes_came:
            return f"nothing came for {self._silence}, in spite of a ping"
        return (
            f"no API message came for {self._silence}, in spite of a ping, although bytes did"
            " (WebSocket frames, or a message without an end)"
        )

    def _doubt_text(self, pong: "Pong") -> str:
        if pong.came.is_set():
            return (
                "calls had no reply in time, although pings have: the server did not even tell its"
                f" time within {self._timeout}"
            )
        return (
            f"a call had no reply in time, and a ping after it none within {self._timeout}; the"
            f" last message of any kind came {self._silence} ago"
        )


@attrs.define(eq=False)
class Pong:
    """Receives the answer to a heartbeat, and measures the way there and back."""

    _state: ConnectionState
    came: trio.Event = attrs.field(factory=trio.Event, init=False)
    _asked: float = attrs.field(factory=trio.current_time, init=False)

    def deliver(self, message: dict[str, Any]) -> None:  # noqa: ARG002
        """Take the time."""
        self._state.round_trip = trio.current_time() - self._asked
        self.came.set()

    def lost(self, why: BrokenConnection) -> None:
        """Nobody waits for it."""


def _not_json(text: str, cause: Exception | None = None) -> Disconnect:
    error = ProtocolViolation(f"the server sent {text}" if cause is None else f"not JSON: {text}")
    error.__cause__ = cause
    return Disconnect("us", _INVALID_DATA, error=error)


def _shown(data: Message) -> str | bytes:
    if isinstance(data, Binary):
        return data.data
    return masked_text(data if isinstance(data, str) else data.decode("utf-8", "replace"))
