"""Make a new connection into what the old one was: authorized, and with all its streams.

Nothing survives a socket: no authorization, no subscription. So before a connection is announced as
ready, each is asked for, and each is answered. What the server refuses for good ends its own
consumer with that error. What it cannot do just now is asked for again.
"""

import trio

from derivtrio.authorization import Authorization
from derivtrio.calls import Call, api_call
from derivtrio.crew import Desk, post
from derivtrio.errors import ApiError, DerivError, RestoreTimeout
from derivtrio.ledger import Ledger
from derivtrio.link import NORMAL, Link, Loss
from derivtrio.upstream import Upstream
from derivtrio.verdict import RETRY_PAUSE, is_passing


async def restore(
    link: Link, desk: Desk, ledger: Ledger[Upstream], authorization: Authorization
) -> None:
    """Authorize and resubscribe; lose *link* if that fails or takes too long.

    *Cancellation*: comes, in particular, when the link is lost: this does not return then.
    """
    limit = desk.settings.restore_timeout
    with trio.move_on_after(limit) as patience:
        try:
            await authorization.prove(link, desk)
            await _resubscribe(link, desk, ledger)
        except (DerivError, OSError) as error:
            link.lose(Loss("us", NORMAL, error=error))
    if patience.cancelled_caught:
        text = f"authorization and resubscription took longer than {limit:g} s"
        link.lose(Loss("us", NORMAL, error=RestoreTimeout(text)))
    await trio.lowlevel.checkpoint_if_cancelled()


async def _resubscribe(link: Link, desk: Desk, ledger: Ledger[Upstream]) -> None:
    wanted = [upstream for upstream in ledger if not upstream.over]
    asked = [(upstream, await _ask_for(upstream, link, desk)) for upstream in wanted]
    for upstream, call in asked:
        await _answered(upstream, call, link, desk)


async def _ask_for(upstream: Upstream, link: Link, desk: Desk) -> Call:
    call = api_call(upstream.request or {}, then=upstream, only_on=link.number)
    await post(link, desk, call)
    return call


async def _answered(upstream: Upstream, call: Call, link: Link, desk: Desk) -> None:
    """Wait until the server has granted or refused the stream."""
    while not upstream.over:
        try:
            await call.wait()
        except ApiError as error:
            if not is_passing(error):
                upstream.close(error)
                return
        else:
            return
        await trio.sleep(RETRY_PAUSE)
        call = await _ask_for(upstream, link, desk)
