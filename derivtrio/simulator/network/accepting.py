"""Accepting connections until the listener is closed, also when there is no room for one.

A process may have only so many files and sockets open ("Too many open files"). That ends no server:
the connection waits in the kernel's queue until another one has ended. It is told in one line of
the log, once a minute. `trio.serve_listeners` tells it with a traceback, ten times a second.
"""

import errno
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import trio

from derivtrio.wording import TolerantLogger

#: What the system says when it has no room: for this process, for all, or in memory.
_NO_ROOM: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)

#: The pause before the next attempt, and between two lines of the log, in seconds.
_PAUSE: Final = 0.1
_SILENCE: Final = 60.0

_log: Final = TolerantLogger(logging.getLogger("derivtrio.simulator"))


async def accept_each(
    listener: trio.abc.Listener[trio.SocketStream],
    handle: Callable[[trio.SocketStream], Awaitable[object]],
    handlers: trio.Nursery,
) -> None:
    """Have *handle* serve each connection, and close it, in a task of *handlers*.

    Return when *listener* is closed, as it is at the latest at the end.
    """
    told = -math.inf
    async with listener:
        with suppress(trio.ClosedResourceError):
            while True:
                try:
                    handlers.start_soon(handle, await listener.accept())
                except OSError as error:
                    if error.errno not in _NO_ROOM:
                        raise
                    if trio.current_time() >= told + _SILENCE:
                        told = trio.current_time()
                        _log.warning("new connections have to wait: %s", error.strerror)
                    await trio.sleep(_PAUSE)
