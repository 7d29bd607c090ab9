"""A task beside a block, whose exceptions stay apart; and a deadline that is judged fairly.

*The task.* A nursery wraps whatever leaves it in an `ExceptionGroup`, the body's own exception
included. That is right for tasks that are peers. Here they are not: the block is the user's, the
task is ours, and a `ValueError` of the user should come out as a `ValueError`. So the block's
exception is kept, the nursery ends without it, and it is raised again outside. `Cancelled` is
treated the same, and means the same after it: the scope that sent it lies outside, too.

*The deadline.* A program that was stopped for a while (by a long computation, by SIGSTOP, by the
machine's sleep) finds two things when it goes on: a deadline that has passed, and the bytes that
came in time. trio looks for both in the same turn of its loop, so with `trio.move_on_at` the
deadline wins, and what has come is thrown away. `patience` lets other tasks take first what is
there. `let_others_run` is how: some turns of the loop, until nothing moves any more.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

#: After how many turns of trio's loop without progress nothing more is on its way. Each turn looks
#: at the sockets and lets every task run that can. From a socket to the task that waits for a reply
#: there are up to five tasks. Each is woken by the one before, and runs in the next turn.
_QUIET_TURNS: Final = 20

#: The most bytes that can wait in a socket. A peer that sends faster than we read must not put off
#: a verdict for ever.
_MOST_BUFFERED: Final = 2**24


@asynccontextmanager
@trio.lowlevel.enable_ki_protection
async def running(
    task: Callable[[], Awaitable[None]],
    *,
    stop: Callable[[], None],
    name: str,
    inside: trio.CancelScope | None = None,
) -> AsyncGenerator[None]:
    """Run *task* beside the block; at the block's end call *stop*, and wait for the task.

    The task runs *inside* the scope that *stop* cancels, where it has one, or else in a new one.

    What the block raises comes out as it is. What the task raises cancels the block and comes out
    in an `ExceptionGroup`: it is a bug.

    *Cancellation*: reaches the block, not the task, which is shielded and must end after *stop*.
    """
    raised: BaseException | None = None
    scope = trio.CancelScope() if inside is None else inside
    # What cancels the block must not stop the task: the block still needs it while it leaves.
    scope.shield = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_run_inside, scope, task, name=name)
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised again below, outside the nursery
            raised = error
        stop()
    if raised is not None:
        raise raised


@trio.lowlevel.enable_ki_protection
async def undisturbed(task: Callable[..., Awaitable[None]], *args: Any) -> None:
    """Run *task*, one of ours; Ctrl-C interrupts the program's main task in its place."""
    await task(*args)


@trio.lowlevel.enable_ki_protection
async def _run_inside(scope: trio.CancelScope, task: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await task()


async def let_others_run(progress: Callable[[], int] = int) -> None:
    """Let other tasks take what has come already, and return when nothing moves any more.

    *progress* counts what they take, in bytes. It must grow while they are at work.
    """
    start = seen = progress()
    quiet = 0
    while quiet < _QUIET_TURNS and seen <= start + _MOST_BUFFERED:
        await trio.lowlevel.checkpoint()
        before, seen = seen, progress()
        quiet = quiet + 1 if seen == before else 0


@asynccontextmanager
@trio.lowlevel.enable_ki_protection
async def patience(
    deadline: float, turn: Callable[[], Awaitable[None]] = let_others_run
) -> AsyncGenerator[trio.CancelScope]:
    """Cancel the block at *deadline*, as `trio.move_on_at` does, but not before *turn* has run.

    A block that ends meanwhile is not cancelled. *turn* lets other tasks take what has come.
    """
    block, watch = trio.CancelScope(), trio.CancelScope()

    async def cancel_late() -> None:
        await trio.sleep_until(deadline)
        await turn()
        block.cancel()

    name = "derivtrio.patience"
    async with running(cancel_late, stop=watch.cancel, name=name, inside=watch):
        with block:
            yield block
