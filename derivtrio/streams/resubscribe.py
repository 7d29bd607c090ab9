"""Ask again for streams: all of them on a new connection, or one that the server has ended.

A stream that the server refuses for good ends at its consumers with that error. A stream that it
cannot grant just now is asked for again. If it still cannot after half of `restore_timeout`, that
counts as an answer, too: the stream is then renewed beside the others, and nobody waits for it.

All requests count in the server's budgets. While these have no room for the next subscription,
other calls go first, and that time does not count against `restore_timeout`. What has waited for a
minute ranks with user calls, so that busy callers cannot keep a connection from being restored.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import trio

from derivtrio.api.catalog import name_of
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.request import slow_down, write_calls
from derivtrio.calls.session import Session
from derivtrio.connection.connection import Connection
from derivtrio.errors import AlreadySubscribed, ApiError, DerivError, RateLimited, ResponseTimeout
from derivtrio.policy.rate_limits import PATIENCE, Urgency
from derivtrio.policy.retry import RETRY_PAUSE, is_passing
from derivtrio.streams.upstream import Upstream

#: After so many seconds of restoration its requests are as urgent as anybody's.
_PROMOTION: Final = 60


async def renew(
    upstream: Upstream, forgets: Sequence[Call], connection: Connection, session: Session
) -> None:
    """Ask again for a stream that the server has ended, until it is granted or refused for good.

    The server may still count what *forgets* give up: then it is asked again when they are done. It
    may also not answer. Then it is asked again, as with history, and nobody else notices; a reply
    that comes after all is of a stream that nobody wants.
    """
    since, freed = trio.current_time(), not forgets
    while True:
        await trio.sleep(RETRY_PAUSE)
        if not upstream.over:
            await session.queue.admitted(_name(upstream), Urgency.USER)
        if upstream.over:
            return
        call = await _ask_for(upstream, connection, session)
        try:
            if await _answered(upstream, call, session, since, may_exist=not freed):
                return
        except ResponseTimeout:
            freed = False
            continue
        for forget in forgets:
            with suppress(DerivError):
                await forget.wait()
        freed = all(forget.error is None for forget in forgets)


async def resubscribe(
    upstreams: Iterable[Upstream],
    connection: Connection,
    session: Session,
    patience: trio.CancelScope,
) -> None:
    """Ask for every stream, as the budgets allow, until each is granted or refused for good."""
    since = trio.current_time()
    insistent_until = since + session.settings.restore_timeout / 2
    # Who follows all contracts takes what is left: what is followed already is refused to others.
    waiting = sorted(upstreams, key=lambda upstream: upstream.is_family)
    while waiting := [upstream for upstream in waiting if not upstream.over]:
        now = trio.current_time()
        urgency = Urgency.RESTORATION if now < since + _PROMOTION else Urgency.USER
        budgets = session.queue.budgets
        admitted = [each for each in waiting if budgets.admit(_name(each), urgency, now)]
        asked = [(upstream, await _ask_for(upstream, connection, session)) for upstream in admitted]
        answers = [await _answered(upstream, call, session, since) for upstream, call in asked]
        done = {upstream for (upstream, _), done in zip(asked, answers, strict=True) if done}
        if trio.current_time() > insistent_until:
            done |= _left_for_later([pair for pair in asked if pair[0] not in done])
        waiting = [upstream for upstream in waiting if upstream not in done]
        if not all(answers):
            await trio.sleep(RETRY_PAUSE)
        elif waiting:
            session.queue.open_to(Urgency.USER)
            end = since + _PROMOTION if urgency > Urgency.USER else math.inf
            with unhurried(patience), trio.move_on_at(end):
                await _hold_back([_name(each) for each in waiting], urgency, session)


def _left_for_later(refused: Sequence[tuple[Upstream, Call]]) -> set[Upstream]:
    """Have those renewed that were refused for another reason than the rate; return them."""
    late = {upstream for upstream, call in refused if not isinstance(call.error, RateLimited)}
    for upstream in late:
        upstream.renew()
    return late


def _name(upstream: Upstream) -> str:
    """Return the call that resumes *upstream*."""
    return name_of(upstream.request or {})


async def _hold_back(names: Sequence[str], urgency: Urgency, session: Session) -> None:
    """Wait for the budget of the first of these calls."""
    budgets, now = session.queue.budgets, trio.current_time()
    first = min(names, key=lambda name: budgets.limiting(name, urgency, now)[1])
    await session.queue.hold_back(first, urgency)


@contextmanager
def unhurried(patience: trio.CancelScope) -> Iterator[None]:
    """Let the time that the block takes not count against the *patience*."""
    remaining = patience.deadline - trio.current_time()
    patience.deadline = math.inf
    try:
        yield
    finally:
        patience.deadline = trio.current_time() + remaining


async def _ask_for(upstream: Upstream, connection: Connection, session: Session) -> Call:
    call = api_call(upstream.request or {}, then=upstream, only_on=connection.number)
    await write_calls(connection, session, call)
    return call


async def _answered(
    upstream: Upstream, call: Call, session: Session, since: float, *, may_exist: bool = False
) -> bool:
    """Return whether the server has granted the stream, or refused it for good.

    With *may_exist* it may be about to end one that is in the way.
    """
    try:
        await call.wait()
    except ApiError as error:
        if isinstance(error, RateLimited):
            slow_down(call, error, session)
        passing = is_passing(error) or (may_exist and isinstance(error, AlreadySubscribed))
        if passing and trio.current_time() <= since + PATIENCE:
            return False
        upstream.refused(error)
    return True
