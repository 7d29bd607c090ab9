"""The test of exercise 1."""

from collections.abc import Callable

import pytest
import trio

import derivtrio
from derivtrio.simulator import open_simulator
from examples.lessons.javascript.exercise import dispatch


class OopsError(Exception):
    """What the student's callback raises."""


def raiser() -> Callable[..., None]:
    """Return a callback that has a mistake in it."""

    def callback(*_: object) -> None:
        raise OopsError

    return callback


def quiet(*_: object) -> None:
    """Be a callback without a mistake."""


@pytest.mark.parametrize("branch", ["on_open", "on_message", "on_close"])
async def test_an_exception_in_any_callback_comes_out(
    autojump_clock: trio.testing.MockClock, branch: str
) -> None:
    callbacks = {"on_open": quiet, "on_message": quiet, "on_close": quiet, branch: raiser()}
    settings = derivtrio.Settings(wait_ready=False)
    async with open_simulator(port=None, faults=["drop@5"]) as sim:
        with pytest.raises(OopsError), trio.fail_after(60):
            async with (
                derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client,
                client.events(traffic=True) as events,
            ):
                await client.call({"ping": 1})  # its events wait in the buffer
                await dispatch(events, **callbacks)
        await trio.sleep(1)
        assert sim.connections == []  # the exception has closed the connection on its way


async def test_without_an_exception_the_loop_ends_with_the_events(
    autojump_clock: trio.testing.MockClock,
) -> None:
    calls: list[str] = []
    settings = derivtrio.Settings(wait_ready=False)
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=settings) as client,
        client.events() as events,
    ):
        await client.wait_ready()
        sim.faults.drop()
        await trio.sleep(30)  # the client has another connection by then
        await client.aclose()
        await dispatch(
            events,
            on_open=lambda: calls.append("open"),
            on_message=lambda _: calls.append("message"),
            on_close=lambda code: calls.append(f"close {code}"),
        )
    assert calls == ["open", "close 1006", "open", "close 1000"]
