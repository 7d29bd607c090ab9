"""Make a new connection into what the old one was: authorized, and with all its streams.

Nothing survives a socket: no authorization, no subscription. So before a connection is announced as
ready, each is asked for, and each is answered. What the server refuses for good ends its own
consumer with that error. What it cannot do just now is asked for again. If it cannot do so for half
of `restore_timeout`, that is an answer, too: the stream is then renewed like one that the server
has ended, and all others go on.

All that counts in the server's budgets. While they have no room for the next subscription, other
requests go first, and the time does not count against `restore_timeout`. Lest those who always
ask for more keep a connection from being restored for ever, what has waited for a minute ranks
with them.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import trio

from derivtrio.authorization import Authorization
from derivtrio.calls import Call, api_call
from derivtrio.catalog import name_of
from derivtrio.crew import Desk, post, slow_down
from derivtrio.errors import (
    AlreadySubscribed,
    ApiError,
    DerivError,
    RateLimited,
    ResponseTimeout,
    RestoreTimeout,
)
from derivtrio.ledger import Ledger
from derivtrio.link import NORMAL, Link, Loss
from derivtrio.pacing import PATIENCE, Urgency
from derivtrio.upstream import Upstream
from derivtrio.verdict import RETRY_PAUSE, is_passing

#: After so many seconds of restoration its requests are as urgent as anybody's.
_PROMOTION: Final = 60


async def restore(
    link: Link, desk: Desk, ledger: Ledger[Upstream], authorization: Authorization
) -> None:
    """Authorize and resubscribe; lose *link* if that fails or takes too long.

    *Cancellation*: comes, in particular, when the link is lost: this does not return then.
    """
    limit = desk.settings.restore_timeout
    with trio.move_on_after(limit) as patience:

        async def admitted(name: str) -> None:
            with _unhurried(patience):  # and nothing can be sold before it
                await desk.outbox.admitted(name, Urgency.TRADE)

        try:
            await authorization.prove(link, desk, admitted)
            desk.outbox.open_to(Urgency.TRADE)
            await _resubscribe(link, desk, ledger, patience)
        except (DerivError, OSError) as error:
            link.lose(Loss("us", NORMAL, error=error))
    if patience.cancelled_caught:
        text = f"authorization and resubscription took longer than {limit:g} s"
        link.lose(Loss("us", NORMAL, error=RestoreTimeout(text)))
    await trio.lowlevel.checkpoint_if_cancelled()


async def renew(upstream: Upstream, forgets: Sequence[Call], link: Link, desk: Desk) -> None:
    """Ask again for a stream that the server has ended, until it is granted or refused for good.

    The server may still count what *forgets* give up: then it is asked again when they are done. It
    may also not answer. Then it is asked again, as with history, and nobody else notices; a reply
    that comes after all is of a stream that nobody wants.
    """
    since, freed = trio.current_time(), not forgets
    while True:
        await trio.sleep(RETRY_PAUSE)
        if not upstream.over:
            await desk.outbox.admitted(_name(upstream), Urgency.USER)
        if upstream.over:
            return
        call = await _ask_for(upstream, link, desk)
        try:
            if await _answered(upstream, call, desk, since, may_exist=not freed):
                return
        except ResponseTimeout:
            freed = False
            continue
        for forget in forgets:
            with suppress(DerivError):
                await forget.wait()
        freed = all(forget.error is None for forget in forgets)


async def _resubscribe(
    link: Link, desk: Desk, ledger: Ledger[Upstream], patience: trio.CancelScope
) -> None:
    """Ask for every stream, as the budgets allow, until each is granted or refused for good."""
    since = trio.current_time()
    insistent_until = since + desk.settings.restore_timeout / 2
    # Who follows all contracts takes what is left: what is followed already is refused to others.
    waiting = sorted(ledger, key=lambda upstream: upstream.is_family)
    while waiting := [upstream for upstream in waiting if not upstream.over]:
        now = trio.current_time()
        urgency = Urgency.RESTORATION if now < since + _PROMOTION else Urgency.USER
        budgets = desk.outbox.budgets
        admitted = [each for each in waiting if budgets.admit(_name(each), urgency, now)]
        asked = [(upstream, await _ask_for(upstream, link, desk)) for upstream in admitted]
        answers = [await _answered(upstream, call, desk, since) for upstream, call in asked]
        done = {upstream for (upstream, _), done in zip(asked, answers, strict=True) if done}
        if trio.current_time() > insistent_until:
            done |= _left_for_later([pair for pair in asked if pair[0] not in done])
        waiting = [upstream for upstream in waiting if upstream not in done]
        if not all(answers):
            await trio.sleep(RETRY_PAUSE)
        elif waiting:
            desk.outbox.open_to(Urgency.USER)
            end = since + _PROMOTION if urgency > Urgency.USER else math.inf
            with _unhurried(patience), trio.move_on_at(end):
                await _hold_back([_name(each) for each in waiting], urgency, desk)


def _left_for_later(refused: Sequence[tuple[Upstream, Call]]) -> set[Upstream]:
    """Have those renewed that were refused for another reason than the rate; return them."""
    late = {upstream for upstream, call in refused if not isinstance(call.error, RateLimited)}
    for upstream in late:
        upstream.renew()
    return late


def _name(upstream: Upstream) -> str:
    """Return the call that resumes *upstream*."""
    return name_of(upstream.request or {})


async def _hold_back(names: Sequence[str], urgency: Urgency, desk: Desk) -> None:
    """Wait for the budget of the first of these calls."""
    budgets, now = desk.outbox.budgets, trio.current_time()
    first = min(names, key=lambda name: budgets.limiting(name, urgency, now)[1])
    await desk.outbox.hold_back(first, urgency)


@contextmanager
def _unhurried(patience: trio.CancelScope) -> Iterator[None]:
    """Let the time that the block takes not count against the *patience*."""
    remaining = patience.deadline - trio.current_time()
    patience.deadline = math.inf
    try:
        yield
    finally:
        patience.deadline = trio.current_time() + remaining


async def _ask_for(upstream: Upstream, link: Link, desk: Desk) -> Call:
    call = api_call(upstream.request or {}, then=upstream, only_on=link.number)
    await post(link, desk, call)
    return call


async def _answered(
    upstream: Upstream, call: Call, desk: Desk, since: float, *, may_exist: bool = False
) -> bool:
    """Return whether the server has granted the stream, or refused it for good.

    With *may_exist* it may be about to end one that is in the way.
    """
    try:
        await call.wait()
    except ApiError as error:
        if isinstance(error, RateLimited):
            slow_down(call, error, desk)
        passing = is_passing(error) or (may_exist and isinstance(error, AlreadySubscribed))
        if passing and trio.current_time() <= since + PATIENCE:
            return False
        upstream.refused(error)
    return True
