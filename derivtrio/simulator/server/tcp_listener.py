"""The TCP side: a port that can refuse.

While `refuse` is in force the port stays bound but nobody listens on it: that is what makes the
kernel answer ECONNREFUSED, and nobody else can take the port meanwhile.
"""

import sys
from contextlib import suppress

import trio
from trio.socket import AF_INET, AF_INET6, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, SocketType

from derivtrio.simulator.server.acceptor import Acceptor

_BACKLOG = 128


async def listen(
    host: str,
    port: int,
    acceptor: Acceptor,
    handlers: trio.Nursery,
    *,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Hand every connection to *reception*, each in a task of *handlers*; report the port.

    Raises:
        OSError: *host*, which is a numeric address, or *port* cannot be had.

    """
    while True:
        with _tcp_socket(host) as sock:
            await sock.bind((host, port))
            port = sock.getsockname()[1]
            await acceptor.faults.wait_accepting()
            acceptor.faults.on_refuse = sock.close
            sock.listen(_BACKLOG)
            task_status.started(port)
            task_status = trio.TASK_STATUS_IGNORED
            await _accept_until_closed(trio.SocketListener(sock), acceptor, handlers)


def _tcp_socket(host: str) -> SocketType:
    sock = trio.socket.socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM)
    if sys.platform != "win32":
        sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    return sock


async def _accept_until_closed(
    listener: trio.SocketListener, acceptor: Acceptor, handlers: trio.Nursery
) -> None:
    # `trio.serve_listeners` would close each stream after its handler, and some are to be held.
    with suppress(trio.ClosedResourceError):
        while True:
            handlers.start_soon(acceptor.handle, await listener.accept())
