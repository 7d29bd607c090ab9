"""A TCP port that can refuse connections.

While `faults.refuse` is active, the port is bound but does not listen. So the kernel answers
ECONNREFUSED, and no other program can take the port.
"""

import sys

import trio
from trio.socket import AF_INET, AF_INET6, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, SocketType

from derivtrio.simulator.network.accepting import accept_each
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
    """Accept connections, each in a task of *handlers*; report the port when it listens.

    Raises:
        OSError: *host*, a numeric address, or *port* is not available.

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
            # A held stream stays open: `Acceptor.handle` closes the others itself.
            await accept_each(trio.SocketListener(sock), acceptor.handle, handlers)


def _tcp_socket(host: str) -> SocketType:
    sock = trio.socket.socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM)
    if sys.platform != "win32":
        sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    return sock
