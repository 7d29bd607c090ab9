"""Ask again for streams: all of them on a new connection, or one that the server has ended.

A stream that the server refuses for good ends at its consumers with that error. A stream that it
cannot grant just now is asked for again. If it still cannot after half of `restore_timeout`, that
counts as an answer, too: the stream is then renewed beside the others, and nobody waits for it.

Streams that may be what breaks connections are asked for last, and alone (`suspects`), or one half
of them after the other (`policy.early_ends`).

All requests count in the server's budgets, and wait for them in the client's one queue. While they
have no room for the next subscription, user calls go first, and that time does not count against
`restore_timeout`. Restoration that has lasted a minute ranks with user calls, so that busy callers
cannot keep a connection from being restored.
"""

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from derivtrio.calls.call import MAX_BREAKS, Call, api_call
from derivtrio.calls.request import repeat, slow_down
from derivtrio.calls.session import Session
from derivtrio.calls.suspects import works_still
from derivtrio.connection.connection import Connection
from derivtrio.errors import (
    AlreadySubscribed,
    ApiError,
    ClientClosed,
    DerivError,
    RateLimited,
)
from derivtrio.policy.early_ends import CONTROL, EARLY
from derivtrio.policy.rate_limits import PATIENCE, Urgency
from derivtrio.policy.retry import (
    PASSING,
    RETRY_PAUSE,
    THROTTLED,
    UNANSWERED,
    is_passing,
)
from derivtrio.streams.suspects import Suspects
from derivtrio.streams.upstream import Upstream
from derivtrio.wording import listed

#: After how many seconds of restoration its requests are as urgent as user calls.
_PROMOTION: Final = 60


async def resubscribe(
    upstreams: Iterable[Upstream], connection: Connection, session: Session, suspects: Suspects
) -> None:
    """Ask for every stream, as the budgets allow, until each is granted or refused for good.

    `promote` runs beside it.
    """
    since, candidates = trio.current_time(), suspects.candidates
    wanted = [each for each in upstreams if each not in candidates]
    suspected = sorted(filter(suspects.__contains__, wanted), key=lambda each: len(each.breaks))
    # The stream of all open contracts comes last: after it, the server refuses contracts their own.
    last = [each for each in wanted if each.is_family and suspected]
    first = [each for each in wanted if each not in suspects and each not in last]
    first.sort(key=lambda upstream: upstream.is_family)
    await _ask_until_answered(first, connection, session, suspects)
    if suspected:
        session.queue.open_to(Urgency.RESTORATION)  # user calls need not wait for suspects
    proven = False
    alone = [each for each in suspected if each not in last]
    while alone or last:
        upstream = min(alone or last, key=partial(_room_at, session=session))
        (alone or last).remove(upstream)
        last_chance = len(upstream.breaks) >= MAX_BREAKS - 1
        proven = proven and not last_chance
        while not proven:
            proven = await works_still(connection, session, since, last_chance=last_chance)
        await _ask_alone(upstream, connection, session, suspects)
    if candidates:
        session.queue.open_to(Urgency.RESTORATION)
        await _ask_by_halves(candidates, connection, session, suspects)


@trio.lowlevel.enable_ki_protection
async def promote(session: Session) -> None:
    """Wait, and then make what still waits to be resubscribed as urgent as user calls."""
    await trio.sleep(_PROMOTION)
    session.queue.promote_restoration()


def _room_at(upstream: Upstream, session: Session) -> float:
    """Return when *upstream* may be asked for: a suspect that must wait holds up no other."""
    return session.queue.room_at(api_call(upstream.request or {}, urgency=Urgency.RESTORATION))


async def _ask_alone(
    upstream: Upstream, connection: Connection, session: Session, suspects: Suspects
) -> None:
    """Ask for a suspect while nothing else is asked for."""
    suspects.on_answer()
    session.on_trial = upstream
    await _ask_until_answered([upstream], connection, session, suspects)
    await trio.sleep(min(suspects.probation(upstream), session.settings.restore_timeout / 2))
    suspects.on_answer()
    session.on_trial = None


async def _ask_by_halves(
    candidates: Sequence[Upstream], connection: Connection, session: Session, suspects: Suspects
) -> None:
    """Ask for *candidates* so that an early end leaves fewer; for one alone, after a while."""
    count = len(candidates)
    text = "connections end just after streams are granted; these are asked for apart: %s"
    session.bus.log(logging.INFO, text, listed([each.label for each in candidates]))
    if count == 1:
        await _live_on(CONTROL, session, suspects)
        session.on_trial = candidates[0]
    for half in filter(None, (candidates[: count // 2], candidates[count // 2 :])):
        await _ask_until_answered(half, connection, session, suspects)
        await _live_on(EARLY, session, suspects)
    session.on_trial = None


async def _live_on(seconds: float, session: Session, suspects: Suspects) -> None:
    """Wait so long, which does not count against `restore_timeout`."""
    end, step = trio.current_time() + seconds, session.settings.restore_timeout / 2
    suspects.on_answer()
    while (left := end - trio.current_time()) > 0:
        await trio.sleep(min(left, step))
        suspects.on_answer()


async def _ask_until_answered(
    upstreams: Sequence[Upstream], connection: Connection, session: Session, suspects: Suspects
) -> None:
    """Ask for *upstreams* at once, and again for those that are refused in passing."""
    since, waiting = trio.current_time(), list(upstreams)
    while waiting := [upstream for upstream in waiting if not upstream.over]:
        promoted = trio.current_time() >= since + _PROMOTION
        urgency = Urgency.USER if promoted else Urgency.RESTORATION
        asked = [
            (each, _call_for(each, connection, suspects, urgency, restores=True))
            for each in waiting
        ]
        # All are queued before the first answer is waited for: none waits for another's.
        session.queue.put_last([call for _, call in asked])
        refused = [pair for pair in asked if not await _take_answer(*pair, session, since)]
        if trio.current_time() > since + session.settings.restore_timeout / 2:
            refused = [pair for pair in refused if not _left_for_later(*pair)]
        waiting = [upstream for upstream, _ in refused]
        if waiting:
            await trio.sleep(RETRY_PAUSE)


async def _take_answer(upstream: Upstream, call: Call, session: Session, since: float) -> bool:
    """Wait for the answer; return whether it is the last: granted, or refused for good.

    Whoever consumes a stream that is refused for good is told.
    """
    try:
        await call.wait()
    except ApiError as error:
        if isinstance(error, RateLimited):
            slow_down(call, error, session)
        if _borrows(upstream, error):
            return True
        if _may_exist(upstream, error) and upstream.is_family:
            upstream.renew()  # which clears the streams of contracts; that is not done meanwhile
            return True
        may_pass = is_passing(error) or _may_exist(upstream, error)
        if may_pass and trio.current_time() <= since + PATIENCE:
            return False
        upstream.refused(error)
    return True


def _left_for_later(upstream: Upstream, refused: Call) -> bool:
    """Have *upstream* renewed, if it was refused for another reason than the rate."""
    if isinstance(refused.error, RateLimited):
        return False
    upstream.renew()
    return True


async def renew(
    upstream: Upstream,
    forgets: Sequence[Call],
    connection: Connection,
    session: Session,
    suspects: Suspects,
) -> None:
    """Ask again for a stream that the server has ended, until it is granted or refused for good.

    The server may answer `AlreadySubscribed` as long as it still counts the stream that *forgets*
    end, or one that it has granted without saying so. Then it is asked again.
    """
    since = trio.current_time()

    def next_call(_: Call | None = None) -> Call:
        return _call_for(upstream, connection, suspects)

    rules = (THROTTLED, UNANSWERED, PASSING._replace(patience=PATIENCE))
    while not upstream.over:
        await trio.sleep(RETRY_PAUSE)
        forgotten = all(forget.decided and forget.error is None for forget in forgets)
        try:
            await repeat(next_call(), next_call, session, rules)
        except ApiError as error:
            if _borrows(upstream, error):
                return
            may_exist = _may_exist(upstream, error) or not forgotten
            refused = not (isinstance(error, AlreadySubscribed) and may_exist)
            if refused or trio.current_time() > since + PATIENCE:
                upstream.refused(error)
                return
            if upstream.is_family and upstream.sharing is not None:
                with suppress(DerivError):
                    await upstream.sharing.clear_now()
        except ClientClosed:  # the client ends its streams itself
            return
        else:
            return
        for forget in forgets:  # asking earlier would be refused again
            with suppress(DerivError):
                await forget.wait()


def _call_for(
    upstream: Upstream,
    connection: Connection,
    suspects: Suspects,
    urgency: Urgency = Urgency.USER,
    *,
    restores: bool = False,
) -> Call:
    """Return the call that asks for *upstream* again, on *connection*."""
    only_on = connection.number
    request = upstream.request or {}
    call = api_call(request, then=upstream, only_on=only_on, restores=restores, urgency=urgency)
    suspects.asked(upstream, call)
    upstream.asked = call
    return call


def _borrows(upstream: Upstream, error: ApiError) -> bool:
    """Return whether *upstream*, after *error*, can do without a stream of its own."""
    if not isinstance(error, AlreadySubscribed) or upstream.sharing is None:
        return False
    return upstream.sharing.borrow_again(upstream)


def _may_exist(upstream: Upstream, error: ApiError) -> bool:
    """Return whether *error* says that the server has the stream, without having told of it.

    Of all open contracts it never tells: what it counts then is what a request before has left.
    """
    return isinstance(error, AlreadySubscribed) and (upstream.lingers or upstream.is_family)
