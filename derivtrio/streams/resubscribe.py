"""Ask again for streams: all of them on a new connection, or one that the server has ended.

A stream that the server refuses for good ends at its consumers with that error. A stream that it
cannot grant just now is asked for again. If it still cannot after half of `restore_timeout`, that
counts as an answer, too: the stream is then renewed beside the others, and nobody waits for it.

All requests count in the server's budgets, and wait for them in the client's one queue. While they
have no room for the next subscription, user calls go first, and that time does not count against
`restore_timeout`. Restoration that has lasted a minute ranks with user calls, so that busy callers
cannot keep a connection from being restored.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import trio

from derivtrio.calls.call import Call, api_call
from derivtrio.calls.request import repeat, slow_down
from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.errors import (
    AlreadySubscribed,
    ApiError,
    ClientClosed,
    DerivError,
    RateLimited,
    ResponseTimeout,
)
from derivtrio.policy.rate_limits import PATIENCE, Urgency
from derivtrio.policy.retry import PASSING, RETRY_PAUSE, THROTTLED, UNANSWERED, is_passing
from derivtrio.streams.upstream import Upstream

#: After so many seconds of restoration its requests are as urgent as user calls.
_PROMOTION: Final = 60


async def renew(
    upstream: Upstream, forgets: Sequence[Call], connection: Connection, session: Session
) -> None:
    """Ask again for a stream that the server has ended, until it is granted or refused for good.

    The server may answer `AlreadySubscribed` as long as it still counts the stream that *forgets*
    end, or one that it has granted without answering in time. Then it is asked again.
    """
    unanswered, since = False, trio.current_time()

    def note(error: DerivError) -> None:
        nonlocal unanswered
        unanswered = isinstance(error, ResponseTimeout)

    def next_call(_: Call | None = None) -> Call:
        return _call_for(upstream, connection)

    rules = (THROTTLED, UNANSWERED, PASSING._replace(patience=PATIENCE))
    while not upstream.over:
        await trio.sleep(RETRY_PAUSE)
        forgotten = all(forget.decided and forget.error is None for forget in forgets)
        try:
            await repeat(next_call(), next_call, session, rules, interrupted=note)
        except ApiError as error:
            if _borrows(upstream, error):
                return
            may_exist = isinstance(error, AlreadySubscribed) and (unanswered or not forgotten)
            if not may_exist or trio.current_time() > since + PATIENCE:
                upstream.refused(error)
                return
        except ClientClosed:  # the client ends its streams itself
            return
        else:
            return
        for forget in forgets:  # asking earlier would be refused again
            with suppress(DerivError):
                await forget.wait()


async def promote(session: Session) -> None:
    """Wait, and then make what still waits to be resubscribed as urgent as user calls."""
    await trio.sleep(_PROMOTION)
    session.queue.promote_restoration()


async def resubscribe(
    upstreams: Iterable[Upstream], connection: Connection, session: Session
) -> None:
    """Ask for every stream, as the budgets allow, until each is granted or refused for good.

    `promote` runs beside it.
    """
    since = trio.current_time()
    # The stream of all open contracts comes last: the server refuses to others what it has granted.
    waiting = sorted(upstreams, key=lambda upstream: upstream.is_family)
    while waiting := [upstream for upstream in waiting if not upstream.over]:
        promoted = trio.current_time() >= since + _PROMOTION
        urgency = Urgency.USER if promoted else Urgency.RESTORATION
        asked = [(each, _call_for(each, connection, urgency, restores=True)) for each in waiting]
        session.queue.put_last([call for _, call in asked])
        refused = [pair for pair in asked if not await _is_answered(*pair, session, since)]
        if trio.current_time() > since + session.settings.restore_timeout / 2:
            refused = [pair for pair in refused if not _left_for_later(*pair)]
        waiting = [upstream for upstream, _ in refused]
        if waiting:
            await trio.sleep(RETRY_PAUSE)


def _left_for_later(upstream: Upstream, refused: Call) -> bool:
    """Have *upstream* renewed, if it was refused for another reason than the rate."""
    if isinstance(refused.error, RateLimited):
        return False
    upstream.renew()
    return True


def _call_for(
    upstream: Upstream,
    connection: Connection,
    urgency: Urgency = Urgency.USER,
    *,
    restores: bool = False,
) -> Call:
    """Return the call that asks for *upstream* again, on *connection*."""
    only_on = connection.number
    request = upstream.request or {}
    call = api_call(request, then=upstream, only_on=only_on, restores=restores, urgency=urgency)
    upstream.asked = call
    return call


def _borrows(upstream: Upstream, error: ApiError) -> bool:
    """Return whether *upstream*, after *error*, can do without a stream of its own."""
    if not isinstance(error, AlreadySubscribed) or upstream.sharing is None:
        return False
    return upstream.sharing.borrow_again(upstream)


async def _is_answered(upstream: Upstream, call: Call, session: Session, since: float) -> bool:
    """Return whether the server has granted the stream, or refused it for good."""
    try:
        await call.wait()
    except ApiError as error:
        if isinstance(error, RateLimited):
            slow_down(call, error, session)
        if _borrows(upstream, error):
            return True
        if is_passing(error) and trio.current_time() <= since + PATIENCE:
            return False
        upstream.refused(error)
    return True
