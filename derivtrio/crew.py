"""The tasks that work on one link, one function each.

They share a fate: when one of them notices that the link is lost it says so to the link, and the
scope in which all of them run is cancelled. None of them catches anything but what it names.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar

import attrs
import trio

from derivtrio import codec
from derivtrio.book import BUYS, Book
from derivtrio.calls import Call, api_call
from derivtrio.errors import (
    ApiError,
    ConnectionChanged,
    ConnectionLost,
    DerivError,
    HeartbeatMissed,
    OutcomeUnknown,
    ProtocolViolation,
    RateLimited,
    ResponseTimeout,
)
from derivtrio.events import MessageReceived, MessageSent
from derivtrio.journal import Journal
from derivtrio.link import Binary, Link, Loss, Message
from derivtrio.outbox import Outbox
from derivtrio.pacing import PATIENCE, Urgency
from derivtrio.parking import require_trio
from derivtrio.redaction import masked_text
from derivtrio.router import Router
from derivtrio.settings import Settings
from derivtrio.verdict import RETRY_PAUSE, is_passing

_INVALID_DATA = 1007

#: No longer is the pause before something is to be forgotten again, in seconds.
_LONGEST_PAUSE = 30.0

#: So many times a stream is given up again that the server cannot forget.
_MOST_REFUSALS = 8

#: How many requests the writer takes along when they are waiting anyway.
_AT_ONCE = 256


@attrs.define(eq=False)
class Desk:
    """What the crew of every link works with, in the order in which a request passes through.

    Attributes:
        home: the run of trio that all of it belongs to.
        refused_forgets: the streams that the server could not forget just now, and how often not.

    """

    settings: Settings
    outbox: Outbox
    router: Router
    journal: Journal
    book: Book = attrs.field(factory=Book)
    home: trio.lowlevel.TrioToken = attrs.field(factory=require_trio, init=False)
    refused_forgets: dict[str, int] = attrs.field(factory=dict, init=False)
    _refused_one: trio.Event = attrs.field(factory=trio.Event, init=False)

    def note_refused_forget(self, stream_id: str, times: int) -> None:
        """Note that the server could not forget the stream just now, for so many *times*."""
        self.refused_forgets[stream_id] = times
        self._refused_one.set()

    async def refused_forget(self) -> None:
        """Wait until the server cannot forget something."""
        while not self.refused_forgets:
            self._refused_one = trio.Event()
            await self._refused_one.wait()

    def require_home(self) -> None:
        """Raise a RuntimeError where something else runs, such as another thread's trio.

        A task of another run that parked here would have the crew fail that wakes it.
        """
        if require_trio() is not self.home:
            text = "this client belongs to another trio.run; from a thread use trio.from_thread.run"
            raise RuntimeError(text)


async def read(link: Link, desk: Desk) -> None:
    """Route what comes, until nothing more will. Never waits for a consumer."""
    router, express, journal = desk.router, desk.router.express, desk.journal
    with link.reading:
        while (batch := await link.receive()) is not None:
            if journal.traffic:
                for data in batch:
                    journal.announce(MessageReceived(_shown(data)))
            if express.open and not journal.traffic:
                if left := express.left(batch):
                    for message in _decoding(left, link):  # nothing overtakes
                        router.route(message)
            else:
                router.route_all(_decoded(batch, link))
            forget_unwanted(link, desk)
            if link.loss is not None:
                return
    link.lose_to_peer()


def _decoded(batch: list[Message], link: Link) -> list[dict[str, Any]]:
    """Return the messages in *batch*; at the first that is none, lose *link*."""
    try:
        messages = [codec.decode(data) for data in batch]  # type: ignore[arg-type]
    except (*codec.UNDECODABLE, TypeError):
        return list(_decoding(batch, link))
    for message in messages:
        if message.__class__ is not dict:
            return list(_decoding(batch, link))
    return messages


def _decoding(batch: Iterable[Message], link: Link) -> Iterator[dict[str, Any]]:
    """Do so one by one."""
    for data in batch:
        if isinstance(data, Binary):
            continue
        try:
            message = codec.decode(data)
        except codec.UNDECODABLE as error:
            link.lose(_not_json(str(error), error))
            return
        if not isinstance(message, dict):
            link.lose(_not_json(f"a JSON {type(message).__name__}, not an object"))
            return
        yield message


async def write(link: Link, desk: Desk) -> None:
    """Write what user code asks for, in its order; what has piled up, in one go.

    And what is left over of a request that was written at once.
    """
    desk.outbox.hand = Hand(link, desk)
    while True:
        await post(link, desk, *await desk.outbox.get(_AT_ONCE))
        await link.finish()


async def ask_for_limits(desk: Desk) -> None:
    """Ask the server for its limits when they begin to matter, once on a connection.

    If it refuses even that for its rate, it is asked again before it is asked for anything else.
    """
    await desk.outbox.limits_matter.wait()
    urgency, since = Urgency.TRADE, trio.current_time()
    while trio.current_time() <= since + PATIENCE:
        call = api_call({"website_status": 1}, urgency=urgency)
        said: Mapping[str, Any] = {}  # then it is what is documented that counts
        try:
            said = await _made_first(call, desk)
        except RateLimited as refusal:
            slow_down(call, refusal, desk)
            if refusal.retry_after is not None:
                urgency = Urgency.USER
                continue
        except DerivError:
            pass
        note_limits(said, desk)
        return


async def _made_first(call: Call, desk: Desk) -> dict[str, Any]:
    desk.outbox.put_first([call])
    try:
        return await call.wait()
    finally:
        desk.outbox.withdraw(call)


def note_limits(message: Mapping[str, Any], desk: Desk) -> None:
    """Take the limits from a `website_status` message."""
    desk.outbox.budgets.learn(message, trio.current_time())
    desk.outbox.review()


async def beat(link: Link, desk: Desk) -> None:
    """Ask a silent server for a sign of life; lose the link to one that gives none.

    Anything that comes is a sign of life. So a server that dies is found out no later than
    `heartbeat_interval + heartbeat_timeout` after its last word.
    """
    settings, ping_id = desk.settings, 0
    while True:
        await trio.sleep_until(link.heard + settings.heartbeat_interval)
        if trio.current_time() < link.heard + settings.heartbeat_interval:
            continue
        desk.router.discard(ping_id)  # of a server that answers everything but pings
        ping_id = desk.router.register(Pong(desk.journal))
        desk.outbox.budgets.count("ping", trio.current_time())
        arrival = link.arrival()
        with trio.move_on_after(settings.heartbeat_timeout) as patience:
            if not link.writing:  # else the ping would have to wait, and so would we
                await link.send(codec.with_req_id('{"ping":1}', ping_id))
            await arrival.wait()
        if patience.cancelled_caught:
            text = f"nothing came for {trio.current_time() - link.heard:.3g} s, in spite of a ping"
            if arrival.is_set():
                text = f"the server did not take a ping within {settings.heartbeat_timeout:.3g} s"
            link.lose(Loss("heartbeat", error=HeartbeatMissed(text)))
            return


async def expire(desk: Desk) -> None:
    """Decide the calls whose reply does not come within `response_timeout` of their writing.

    One task for all of them costs less than a deadline for each. All have the same patience, so
    none that is written while this sleeps can be due before it wakes.
    """
    while True:
        now = trio.current_time()
        pending = desk.router.of_kind(Call)
        for call in pending:
            if call.deadline <= now:
                if not call.is_trade:
                    desk.router.discard(call.req_id)
                call.expire()
        later = (call.deadline for call in pending if now < call.deadline < math.inf)
        await trio.sleep_until(min(later, default=now + desk.settings.response_timeout))


async def post(link: Link, desk: Desk, *calls: Call) -> None:
    """Write *calls*, but for those whose caller has gone; register each for its reply just before.

    *Cancellation*: breaks the link if the writing has begun.
    """
    wanted = [c for c in calls if not c.abandoned and _belongs(c, link)]
    if not wanted:
        return
    now = trio.current_time()
    await link.send(*[_prepare(call, link, desk, now) for call in wanted])
    for call in wanted:
        if call.raw:
            desk.router.discard(call.req_id)
            call.settle({})


def _belongs(call: Call, link: Link) -> bool:
    """Return whether *call* may be written to *link*; fail one that was meant for another."""
    if call.only_on in (None, link.number):
        return True
    text = f"{call.name} was meant for connection {call.only_on}, which is gone; it was not sent"
    call.fail(ConnectionChanged(text))
    return False


def _prepare(call: Call, link: Link, desk: Desk, now: float) -> str | bytes:
    """Register *call*, and return what is to be written."""
    req_id = desk.router.register(call)
    call.written(req_id, link.number, desk.settings.response_timeout, now)
    if call.is_trade:
        call.loginid = call.request.get("loginid") or desk.book.whose()
    body = call.body
    if isinstance(body, str) and not call.raw:
        body = codec.with_req_id(body, req_id)
    if desk.journal.traffic:
        desk.journal.announce(MessageSent(masked_text(body) if isinstance(body, str) else body))
    return body


@attrs.define(eq=False)
class Hand:
    """Writes one call at once, in the task that makes it."""

    _link: Link
    _desk: Desk

    @property
    def free(self) -> bool:
        """Whether it can, now."""
        return self._link.prompt

    def write(self, call: Call) -> None:
        """Write *call*."""
        text = _prepare(call, self._link, self._desk, trio.current_time())
        assert isinstance(text, str), "it is an API request"  # noqa: S101
        if not self._link.send_now(text):
            self._desk.outbox.knock()


async def make(call: Call, desk: Desk) -> dict[str, Any]:
    """Queue *call* for the writer and return its reply, or raise what it ended with.

    A read that the server refuses for its rate is asked again, for `pacing.PATIENCE` seconds.

    *Cancellation*: the call is not written, or, if it was, its reply is dropped when it comes. A
    trade that was written is then in doubt, and the book has it.
    """
    desk.require_home()
    first_refused: float | None = None
    while True:
        if call.is_trade:
            desk.book.begin(call)
        try:
            await desk.outbox.put(call)
            reply = await call.wait()
        except RateLimited as refusal:
            now = trio.current_time()
            first_refused = now if first_refused is None else first_refused
            slow_down(call, refusal, desk)
            if not call.safe or refusal.retry_after is None or now > first_refused + PATIENCE:
                raise
        else:
            if call.name == "website_status":
                note_limits(reply, desk)
            return reply
        finally:
            _note_end(call, desk)
        # Not even what is urgent is asked again before the pause is over.
        call = attrs.evolve(call, urgency=max(call.urgency, Urgency.USER))


async def insist(
    request: Mapping[str, Any], desk: Desk, urgency: Urgency = Urgency.USER
) -> dict[str, Any]:
    """Return the reply to *request*, which only reads, however long it takes.

    Raises:
        ApiError: the server refuses for good.
        ClientClosed, ConnectionFailed: the client is no more.

    """
    while True:
        try:
            return await make(api_call(request, urgency=urgency), desk)
        except (ConnectionLost, ResponseTimeout):
            pass
        except ApiError as error:
            if not is_passing(error):
                raise
        await trio.sleep(RETRY_PAUSE)


def _note_end(call: Call, desk: Desk) -> None:
    """Note that the caller of *call* has its answer, or has gone away."""
    if call.abandoned:
        desk.outbox.withdraw(call)
    if call.is_trade:
        desk.book.end(call)
    elif call.abandoned:
        desk.router.discard(call.req_id)
    if call.name in BUYS:
        desk.book.note_used(call)


def slow_down(call: Call, refusal: RateLimited, desk: Desk) -> None:
    """Have the budgets of *call* respect the server's *refusal*, and say until when."""
    now = trio.current_time()
    written = now if call.written_on is None else call.written_on
    refusal.retry_after = desk.outbox.budgets.refused(call.name, refusal.code, now, written)
    if refusal.retry_after is not None:
        desk.outbox.throttled(call.name, Urgency.USER)


def forget_unwanted(link: Link, desk: Desk) -> list[Call]:
    """Have the server told which streams nobody wants; nobody needs to wait for its answers."""
    if not desk.router.unwanted:
        return []
    unwanted = dict.fromkeys(desk.router.unwanted, 0)
    desk.router.unwanted.clear()
    return _forget(unwanted, link, desk)


def _forget(unwanted: Mapping[str, int], link: Link, desk: Desk) -> list[Call]:
    """Have the server told of streams, each of which it has refused to forget so many times."""
    calls = []
    for stream_id, refusals in unwanted.items():
        call = api_call({"forget": stream_id}, only_on=link.number)
        call.on_error = partial(_note_refusal, call, desk, refusals)
        calls.append(call)
    desk.outbox.put_first(calls)
    return calls


def _note_refusal(call: Call, desk: Desk, refusals: int, error: Exception) -> None:
    if isinstance(error, RateLimited):
        slow_down(call, error, desk)
    refusal = error.__cause__ if isinstance(error, OutcomeUnknown) else error
    if isinstance(refusal, ApiError) and is_passing(refusal) and refusals < _MOST_REFUSALS:
        desk.note_refused_forget(call.request["forget"], refusals + 1)


async def forget_again(link: Link, desk: Desk) -> None:
    """Have the server told again, after a pause, of what it could not forget.

    Otherwise it would send it as long as the connection lives, and refuse to send the same to
    whoever wants it later. The pause doubles as long as that is of no use, and in the end it is
    left at that.
    """
    desk.refused_forgets.clear()
    pause, last = RETRY_PAUSE, -math.inf
    while True:
        await desk.refused_forget()
        now = trio.current_time()
        pause = min(2 * pause, _LONGEST_PAUSE) if now < last + 2 * _LONGEST_PAUSE else RETRY_PAUSE
        last = now
        await trio.sleep(pause)
        unwanted = dict(desk.refused_forgets)
        desk.refused_forgets.clear()
        _forget(unwanted, link, desk)


@attrs.define(eq=False)
class Pong:
    """Receives the answer to a heartbeat, and measures the way there and back."""

    lane: ClassVar[None] = None
    stream: ClassVar[None] = None
    _journal: Journal
    _asked: float = attrs.field(factory=trio.current_time, init=False)

    def deliver(self, message: dict[str, Any]) -> None:  # noqa: ARG002
        """Take the time."""
        self._journal.round_trip = trio.current_time() - self._asked

    def lost(self, why: str) -> None:
        """Nobody waits for it."""


def _not_json(text: str, cause: Exception | None = None) -> Loss:
    error = ProtocolViolation(f"the server sent {text}" if cause is None else f"not JSON: {text}")
    error.__cause__ = cause
    return Loss("us", _INVALID_DATA, error=error)


def _shown(data: Message) -> str | bytes:
    if isinstance(data, Binary):
        return data.data
    return masked_text(data if isinstance(data, str) else data.decode("utf-8", "replace"))
