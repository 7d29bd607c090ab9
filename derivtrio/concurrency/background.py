"""A task beside a block, whose exceptions stay apart.

A nursery wraps whatever leaves it in an `ExceptionGroup`, the body's own exception included. That
is right for tasks that are peers. Here they are not: the block is the user's, the task is ours,
and a `ValueError` of the user should come out as a `ValueError`. So the block's exception is kept,
the nursery ends without it, and it is raised again outside. `Cancelled` is treated the same, and
means the same after it: the scope that sent it lies outside, too.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def running(
    task: Callable[[], Awaitable[None]], *, stop: Callable[[], None], name: str
) -> AsyncGenerator[None]:
    """Run *task* beside the block; at the block's end call *stop*, and wait for the task.

    What the block raises comes out as it is. What the task raises cancels the block and comes out
    in an `ExceptionGroup`: it is a bug.

    *Cancellation*: reaches the block, not the task, which is shielded and must end after *stop*.
    """
    raised: BaseException | None = None
    async with trio.open_nursery() as nursery:

        async def shielded() -> None:
            with trio.CancelScope(shield=True):
                await task()

        nursery.start_soon(shielded, name=name)
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised again below, outside the nursery
            raised = error
        stop()
    if raised is not None:
        raise raised
