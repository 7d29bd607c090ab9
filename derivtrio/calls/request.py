"""Make a call: queue it, wait for its reply, and ask again where that is right and safe.

- `make_call` makes one call. A read that the server refuses for its rate is asked again.
- `request_until_answered` asks a question that only reads, however long the answer takes.
- `write_calls` is the end of the way: the writer writes what the queue has let out.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import trio

from derivtrio.api import codec
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.doubts import BUYS
from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.errors import (
    ApiError,
    ConnectionChanged,
    ConnectionLost,
    RateLimited,
    ResponseTimeout,
)
from derivtrio.events import MessageSent
from derivtrio.policy.rate_limits import PATIENCE, Urgency
from derivtrio.policy.retry import RETRY_PAUSE, is_passing
from derivtrio.redaction import masked_text


async def make_call(call: Call, session: Session) -> dict[str, Any]:
    """Queue *call* for the writer and return its reply, or raise what it ended with.

    A read that the server refuses for its rate is asked again, for `pacing.PATIENCE` seconds.

    *Cancellation*: the call is not written, or, if it was, its reply is dropped when it comes. A
    trade that was written is then in doubt, and the book has it.
    """
    session.require_home()
    first_refused: float | None = None
    while True:
        if call.is_trade:
            session.trades.begin(call)
        try:
            await session.queue.put(call)
            reply = await call.wait()
        except RateLimited as refusal:
            now = trio.current_time()
            first_refused = now if first_refused is None else first_refused
            slow_down(call, refusal, session)
            if not call.safe or refusal.retry_after is None or now > first_refused + PATIENCE:
                raise
        else:
            if call.name == "website_status":
                note_limits(reply, session)
            elif call.name == "time":
                session.trades.server_time.note_answer(call, reply.get("time"))
            return reply
        finally:
            _note_end(call, session)
        # Not even what is urgent is asked again before the pause is over.
        call = attrs.evolve(call, urgency=max(call.urgency, Urgency.USER))


async def request_until_answered(
    question: Mapping[str, Any], session: Session, urgency: Urgency = Urgency.USER
) -> dict[str, Any]:
    """Return the reply to *question*, which only reads, however long it takes.

    Raises:
        ApiError: the server refuses for good.
        ClientClosed, ConnectionFailed: the client is no more.

    """
    while True:
        try:
            return await make_call(api_call(question, urgency=urgency), session)
        except (ConnectionLost, ResponseTimeout):
            pass
        except ApiError as error:
            if not is_passing(error):
                raise
        await trio.sleep(RETRY_PAUSE)


def note_limits(message: Mapping[str, Any], session: Session) -> None:
    """Take the limits from a `website_status` message."""
    session.queue.budgets.learn(message, trio.current_time())
    session.queue.review()


def slow_down(call: Call, refusal: RateLimited, session: Session) -> None:
    """Have the budgets of *call* respect the server's *refusal*, and say until when."""
    now = trio.current_time()
    written = now if call.written_on is None else call.written_on
    refusal.retry_after = session.queue.budgets.refused(call.name, refusal.code, now, written)
    if refusal.retry_after is not None:
        session.queue.throttled(call.name, Urgency.USER)


def _note_end(call: Call, session: Session) -> None:
    """Note that the caller of *call* has its answer, or has gone away."""
    if call.abandoned:
        session.queue.withdraw(call)
    if call.is_trade:
        session.trades.end(call)
    elif call.abandoned:
        session.router.remove(call.req_id)
    if call.name in BUYS:
        session.trades.note_used(call)


async def write_calls(connection: Connection, session: Session, *calls: Call) -> None:
    """Write *calls*, but for those whose caller has gone; register each for its reply just before.

    *Cancellation*: breaks the connection if the writing has begun.
    """
    wanted = [c for c in calls if not c.abandoned and _belongs(c, connection)]
    if not wanted:
        return
    now = trio.current_time()
    await connection.send(*[_prepare(call, connection, session, now) for call in wanted])
    for call in wanted:
        if call.raw:
            session.router.remove(call.req_id)
            call.settle({})


def _belongs(call: Call, connection: Connection) -> bool:
    """Return whether *call* may be written to *connection*; fail one that was meant for another."""
    if call.only_on in (None, connection.number):
        return True
    text = f"{call.name} was meant for connection {call.only_on}, which is gone; it was not sent"
    call.fail(ConnectionChanged(text))
    return False


def _prepare(call: Call, connection: Connection, session: Session, now: float) -> str | bytes:
    """Register *call*, and return what is to be written."""
    req_id = session.router.register(call)
    call.written(req_id, connection.number, session.settings.response_timeout, now)
    if call.is_trade:
        call.loginid = call.request.get("loginid") or session.trades.whose()
    body = call.body
    if isinstance(body, str) and not call.raw:
        body = codec.with_req_id(body, req_id)
    if session.bus.traffic:
        session.bus.announce(MessageSent(masked_text(body) if isinstance(body, str) else body))
    return body
