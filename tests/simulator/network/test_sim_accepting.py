"""A server's listener: clients wait while the process may open no more sockets."""

import errno
import math

import pytest
import trio
import trio.testing
from crowded import CrowdedListener

from derivtrio.simulator.network.accepting import accept_each


async def test_clients_wait_while_no_more_sockets_can_be_opened(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    listener = CrowdedListener(90.0)
    served: list[float] = []

    async def handle(stream: trio.abc.Stream) -> None:
        served.append(trio.current_time())
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept_each, listener, handle, nursery)
        assert await listener.connect().receive_some() == b""
        nursery.cancel_scope.cancel()
    assert served == [pytest.approx(90.0, abs=0.2)]
    assert listener.is_closed
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == 2 * [("WARNING", "new connections have to wait: Too many open files")]


async def test_any_other_error_ends_a_listener() -> None:
    listener = CrowdedListener(math.inf, errno.EBADF)
    async with trio.open_nursery() as nursery:
        with pytest.raises(OSError, match="Bad file descriptor"):
            await accept_each(listener, trio.aclose_forcefully, nursery)
    assert listener.is_closed
