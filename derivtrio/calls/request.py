"""Make a call: queue it, wait for its reply, and ask again where that is right and safe.

- `checked_call` returns the call that a request is, and `make_call` makes it, for user code. If the
  server refuses a read for its rate, the read is made again.
- `request_until_answered` asks a question that only reads, however long the answer takes.
- Both are one loop, `repeat`; whether it goes on is decided in `policy.retry`.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import trio

from derivtrio.api.validation import check_request
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.doubts import BULK_BUY, BUYS, order_text
from derivtrio.calls.metrics import LAST_BUCKET
from derivtrio.calls.session import Session
from derivtrio.concurrency.home import require_home
from derivtrio.errors import ConnectionLost, DerivError, OutcomeUnknown, RateLimited
from derivtrio.policy.rate_limits import Urgency
from derivtrio.policy.retry import (
    ONCE,
    UNTIL_ANSWERED,
    Rule,
    lacks_account,
    pause_before_retry,
)

#: How often a question may end with `ConnectionLost`, each time after three connections.
_MOST_LOSSES: Final = 2


def checked_call(request: Mapping[str, Any], session: Session) -> Call:
    """Return the call that *request* makes, checked if `Settings.check_requests` says so."""
    call = api_call(request)
    if session.settings.check_requests:
        check_request(call.name, request, session.generation)
    return call


def make_call(call: Call, session: Session, *, first: bool = False) -> Awaitable[dict[str, Any]]:
    """Queue *call* for the writer and return its reply, or raise what it ended with.

    With *first* it goes before all others that are as urgent. A read that the server refuses for
    its rate is made again, for more than an hour (`rate_limits.PATIENCE`).

    *Cancellation*: the call is not written, or, if it was, its reply is dropped when it comes. A
    trade that was written is then in doubt, and the trade log has it.
    """
    return repeat(call, attrs.evolve, session, ONCE, first=first)


async def request_until_answered(
    question: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    session: Session,
    urgency: Urgency = Urgency.USER,
    *,
    interrupted: Callable[[DerivError], None] | None = None,
) -> dict[str, Any]:
    """Return the reply to *question*, which only reads, however long it takes.

    A *question* that is a function is called before each attempt. *interrupted* is told of each
    error after which the question is asked again.

    *Cancellation*: the question is dropped.

    Raises:
        ApiError: the server refuses for good.
        ClientClosed, ConnectionFailed: the client has ended.
        ConnectionLost: it has broken six connections; the server cannot handle it.

    """
    losses = 0

    def note(error: DerivError) -> None:
        nonlocal losses
        losses += isinstance(error, ConnectionLost)
        if losses == _MOST_LOSSES:
            raise error
        if interrupted is not None:
            interrupted(error)

    def next_call(_: Call | None = None) -> Call:
        request = question() if callable(question) else question
        return api_call(request, urgency=urgency)

    return await repeat(next_call(), next_call, session, UNTIL_ANSWERED, interrupted=note)


@trio.lowlevel.enable_ki_protection
async def repeat(
    call: Call,
    again: Callable[[Call], Call],
    session: Session,
    rules: Sequence[Rule],
    *,
    first: bool = False,
    interrupted: Callable[[DerivError], None] | None = None,
) -> dict[str, Any]:
    """Make *call*, and, as long as *rules* say so, the calls that *again* makes of it.

    If the server no longer takes the connection for an account, the connection is authorized anew,
    and *call* is made once more. That is safe for any call, because it was refused. But what
    changes an account is not made for another one, which the user may have chosen meanwhile.

    *interrupted* is told of each error that is not the last.

    *Cancellation*: as in `make_call`.
    """
    require_home(session.home)
    first_failed: float | None = None
    reauthorized = False
    while True:
        _note_begun(call, session)
        try:
            if first:
                session.queue.put_first([call])
            else:
                await session.queue.put(call)
            return _noted(await call.wait(), call, session, rules)
        except DerivError as error:
            first_failed = trio.current_time() if first_failed is None else first_failed
            pause, urgency = _after(error, call, session, rules, first_failed)
            refused = call.written_mono is not None and lacks_account(error, call.request)
            # Once only: a server that refuses every time would be asked for ever.
            if pause is None and not reauthorized and refused:
                reauthorized = True
                if session.reauthorize is not None and await session.reauthorize(call, error):
                    pause = 0 if _has_its_account(call, session) else None
            if pause is None:
                raise
            if interrupted is not None:
                interrupted(error)
        finally:
            _note_end(call, session)
        if pause:
            await trio.sleep(pause)
        # A call has one life, so what is asked again is a new one.
        call = again(call)
        call.urgency = max(call.urgency, urgency)


def _after(
    error: DerivError, call: Call, session: Session, rules: Sequence[Rule], first_failed: float
) -> tuple[float | None, Urgency]:
    """Return the pause after *error* and the most that the next call may be urgent; or no pause."""
    urgency = Urgency.TRADE
    if isinstance(error, RateLimited):
        slow_down(call, error, session)
        urgency = Urgency.USER  # not even an urgent call may ignore the pause of its budgets
    elapsed = trio.current_time() - first_failed
    return pause_before_retry(error, rules, safe=call.safe, elapsed=elapsed), urgency


def _has_its_account(call: Call, session: Session) -> bool:
    """Return whether *call*, made now, is for the account that it was for before."""
    return call.safe or "loginid" in call.request or call.loginid == session.trades.whose()


def _noted(
    reply: dict[str, Any], call: Call, session: Session, rules: Sequence[Rule]
) -> dict[str, Any]:
    """Return *reply*; take the time it took, and what else it says that matters later.

    The latency's bucket is the number of binary digits of its milliseconds.
    """
    if call.written_mono is not None:  # it is None where a call was decided without being written
        now = session.queue.clock.current_time()  # a turn through trio would take longer
        if rules is ONCE:
            session.answered_mono = now
        took = int((now - call.written_mono) * 1000).bit_length()
        session.bus.counters.latencies[min(took, LAST_BUCKET)] += 1
    if call.name == "website_status":
        note_limits(reply, session)
    elif call.name == "time":
        session.trades.note_time(call, reply.get("time"))
    elif call.name == "proposal":
        session.trades.note_proposal(call.request, reply)
    elif call.name == BULK_BUY:
        session.trades.end_bulk(call, reply)
    return reply


def note_limits(message: Mapping[str, Any], session: Session) -> None:
    """Take the limits from a `website_status` message."""
    session.queue.budgets.learn(message, trio.current_time())
    session.queue.wake_writer()


def slow_down(call: Call, refusal: RateLimited, session: Session) -> None:
    """Have the budgets of *call* respect the server's *refusal*, and say until when."""
    now = trio.current_time()
    written = now if call.written_mono is None else call.written_mono
    refusal.retry_after = session.queue.budgets.refused(call.name, refusal.code, now, written)
    if refusal.retry_after is not None:
        session.queue.throttled(call.name, Urgency.USER)


def _note_begun(call: Call, session: Session) -> None:
    """Note that *call* is about to be queued."""
    if call.is_trade:
        session.trades.begin(call)
    elif call.name == BULK_BUY:
        session.trades.begin_bulk(call)
    if session.observer is not None:
        session.observer.call_begun(call)


def _note_end(call: Call, session: Session) -> None:
    """Note that the caller of *call* has its answer, or has gone away."""
    if abandoned := call.abandoned:
        session.queue.withdraw(call)
        session.given_up |= call.written_mono is not None and call.answer is None
    session.bus.counters.calls[call.outcome] += 1
    if call.is_trade:
        if (unknown := session.trades.end(call)) is not None:
            session.bus.log(
                logging.WARNING, "%s (%s; see client.doubts)", unknown, order_text(call)
            )
    elif abandoned:
        session.router.remove(call.req_id)
    if call.name in BUYS:
        session.trades.note_used(call)
        if call.written_mono is None or (call.error and not isinstance(call.error, OutcomeUnknown)):
            session.trades.end_bulk(call)
    if session.observer is not None:
        session.observer.call_ended(call)
