"""The tasks that work on one connection, one function each.

They share a fate: when one of them notices that the connection is lost it says so to the
connection, and the scope in which all of them run is cancelled. None of them catches anything but
what it names. `heartbeat` has a module of its own. The other tasks of a connection begin when they
are needed (`Connection.start_soon`); CONTRIBUTING.md lists them.
"""

import math
import time
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any

import trio

from derivtrio.api import codec
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.request import make_call, note_limits
from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.connection.disconnect import Disconnect
from derivtrio.connection.websocket import Binary, Message
from derivtrio.errors import AuthorizationRequired, ConnectionChanged, DerivError, ProtocolViolation
from derivtrio.events import MessageReceived, MessageSent
from derivtrio.policy.rate_limits import Urgency
from derivtrio.redaction import masked_text, secrets_in, without
from derivtrio.streams.registry import Registry

_INVALID_DATA = 1007

#: How many requests the writer takes along when they are waiting anyway.
_AT_ONCE = 256


@trio.lowlevel.enable_ki_protection
async def read(connection: Connection, session: Session, registry: Registry) -> None:
    """Route each message that comes, until there will be no more. Never waits for a consumer."""
    bus, counters = session.bus, session.bus.counters
    route = _route_fast if session.settings.fast else _route_plainly
    with connection.reading:
        while (batch := await connection.receive()) is not None:
            if batch:
                counters.last_message_wall = time.time()
                counters.messages_received += len(batch)
            if bus.traffic:
                for data in batch:
                    bus.announce(MessageReceived(_shown(data, connection)))
            route(batch, connection, session)
            if session.router.unwanted:
                registry.forgets.send_unwanted()
            if connection.disconnect is not None:
                return
    connection.lose_to_peer()


def _route_plainly(batch: list[Message], connection: Connection, session: Session) -> None:
    """Decode and route one message after another."""
    for message in _decoding(batch, connection):
        session.router.route(message)


def _route_fast(batch: list[Message], connection: Connection, session: Session) -> None:
    """Do the same, but give a stream its ticks, or its run of messages, in one go."""
    router, fast_ticks = session.router, session.router.fast_ticks
    if fast_ticks.usable and not session.bus.traffic:
        if others := fast_ticks.deliver(batch):
            for message in _decoding(others, connection):  # as they come: no tick overtakes them
                router.route(message)
    else:
        router.route_all(_decoded(batch, connection))


def _decoded(batch: list[Message], connection: Connection) -> list[dict[str, Any]]:
    """Do what `_decoding` does in one go, if all messages are good."""
    try:
        return list(map(codec.decode_object, batch))  # type: ignore[arg-type]
    except (*codec.UNDECODABLE, TypeError):
        return list(_decoding(batch, connection))


def _decoding(batch: Iterable[Message], connection: Connection) -> Iterator[dict[str, Any]]:
    """Decode *batch* message by message; lose *connection* at the first that is not an object."""
    for data in batch:
        if isinstance(data, Binary):
            continue
        try:
            try:
                message = codec.decode(data)
            except codec.DecodeError:
                message = codec.decode_with_halves(data)
        except codec.UNDECODABLE as error:
            connection.lose(_not_json(str(error), error))
            return
        if not isinstance(message, dict):
            connection.lose(_not_json(f"a JSON {type(message).__name__}, not an object"))
            return
        yield message


@trio.lowlevel.enable_ki_protection
async def write(connection: Connection, session: Session) -> None:
    """Write the calls that the queue lets out; those that have piled up, in one go."""
    while True:
        await write_calls(connection, session, *await session.queue.get(_AT_ONCE))


async def write_calls(connection: Connection, session: Session, *calls: Call) -> None:
    """Write those of *calls* that are wanted; register each for its reply just before.

    *Cancellation*: breaks the connection if the writing has begun.
    """
    now = session.queue.clock.current_time()
    messages: list[str | bytes] = []
    unanswered: list[Call] = []
    for call in calls:
        if _is_to_write(call, connection, session):
            messages.append(_prepare(call, connection, session, now))
            if call.raw:
                unanswered.append(call)
    if messages:
        await connection.send(messages)
    for call in unanswered:
        session.router.remove(call.req_id)
        call.settle({})


def _is_to_write(call: Call, connection: Connection, session: Session) -> bool:
    """Return whether *call* is to be written to *connection*; decide it if it never will be."""
    if call.is_trade and not session.trades.is_for_its_account(call):
        text = (
            f"{call.name} was meant for the account {call.meant_for}, and the client has changed"
            " its account, or is changing it; it was not sent"
        )
        call.fail(AuthorizationRequired("AuthorizationRequired", text, None, call.request))
        return False
    if not call.wanted:
        call.settle({})  # nobody waits any more, or only what has asked for a stream that is over
        return False
    if call.only_on in (None, connection.number):
        return True
    text = f"{call.name} was meant for connection {call.only_on}, which is gone; it was not sent"
    call.fail(ConnectionChanged(text))
    return False


def _prepare(call: Call, connection: Connection, session: Session, now: float) -> str | bytes:
    """Register *call*, and return what is to be written."""
    req_id = session.router.register(call)
    call.written(req_id, connection.number, session.settings.response_timeout, now)
    if not call.safe:
        call.loginid = call.request.get("loginid") or session.trades.whose()
    if call.name == "authorize" or session.bus.traffic:
        known = connection.secrets
        known += [secret for secret in secrets_in(call.request) if secret not in known]
        session.router.secrets = known
    body = call.body
    if isinstance(body, str) and not call.raw:
        body = codec.with_req_id(body, req_id)
    if session.bus.traffic:
        sent = Binary(body) if isinstance(body, bytes) else body
        session.bus.announce(MessageSent(_shown(sent, connection)))
    return body


async def ask_for_limits(session: Session) -> None:
    """Ask the server for its limits, which begin to matter; it happens once on a connection.

    If it refuses even that for its rate, it is asked again before it is asked for anything else.
    """
    question = api_call({"website_status": 1}, urgency=Urgency.TRADE)
    try:
        await make_call(question, session, first=True)  # which takes note of what it says
    except DerivError:
        note_limits({}, session)  # then the documented limits count


@trio.lowlevel.enable_ki_protection
async def expire(connection: Connection, session: Session) -> None:
    """Decide the calls whose reply does not come within `response_timeout` of their writing.

    One task for all of them costs less than a deadline for each. All have the same patience, so
    their deadlines come in the order of writing: it is enough to look at the oldest.
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


def _not_json(text: str, cause: Exception | None = None) -> Disconnect:
    error = ProtocolViolation(f"the server sent {text}" if cause is None else f"not JSON: {text}")
    error.__cause__ = cause
    return Disconnect("us", _INVALID_DATA, error=error)


def _shown(data: Message, connection: Connection) -> str | bytes:
    """Return *data* for an event: secrets are masked, also where the server repeats them."""
    if isinstance(data, Binary):
        text = data.data.decode("utf-8", "surrogateescape")
        shown = without(masked_text(text), connection.secrets)
        return shown.encode("utf-8", "surrogateescape")
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    return without(masked_text(text), connection.secrets)
