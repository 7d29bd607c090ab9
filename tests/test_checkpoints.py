"""Which of the public `await`s let other tasks run: all, but for those whose docstrings say so.

An `await` that raises without letting others run is a trap, too: a loop that catches the error and
goes on would stop the whole program, with its Ctrl-C. (A request that the client itself finds wrong
is refused at once, as by trio's own functions.)
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from contracts import MULTIPLIER
from trio.testing import assert_checkpoints, assert_no_checkpoints

import derivtrio
from derivtrio import Client
from derivtrio.simulator import open_simulator

Use = Callable[[Client], Awaitable[object]]


async def guarded(client: Client) -> None:
    async with client.same_connection():
        pass


def entered(stream: Callable[[Client], Any]) -> Use:
    return lambda client: stream(client).__aenter__()


async def fail_to_sell(client: Client) -> None:
    with pytest.raises(derivtrio.ApiError):
        await client.sell(1)


async def fail_to_cancel(client: Client) -> None:
    with pytest.raises(derivtrio.ApiError):
        await client.cancel(1)


USES: dict[str, Use] = {
    "call": lambda client: client.call({"time": 1}),
    "api": lambda client: client.api.time(),
    "send": lambda client: client.send('{"ping": 1}'),
    "authorize": lambda client: client.authorize("demo-token"),
    "wait_ready": Client.wait_ready,
    "reconnect": Client.reconnect,
    "same_connection": guarded,
    "buy": lambda client: client.buy(MULTIPLIER, 10),
    "portfolio": Client.portfolio,
    "statement": lambda client: anext(client.statement(), None),
    "profit_table": lambda client: anext(client.profit_table(), None),
    "subscribe": entered(lambda client: client.subscribe({"ticks": "R_100"})),
    "ticks": entered(lambda client: client.ticks("R_100")),
    "ticks, waiting": entered(lambda client: client.ticks("R_50", when_closed="wait")),
    "candles": entered(lambda client: client.candles("R_100")),
    "balance": entered(Client.balance),
    "transactions": entered(Client.transactions),
    "proposal": entered(lambda client: client.proposal(MULTIPLIER)),
    "sell": fail_to_sell,
    "cancel": fail_to_cancel,
    "logout": Client.logout,
    "aclose": Client.aclose,
}


async def test_each_call_lets_other_tasks_run(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as client,
    ):
        for use in USES.values():
            with assert_checkpoints():
                await use(client)
        with assert_checkpoints():
            await client.aclose()


@pytest.mark.parametrize(
    "name", [name for name in USES if name not in ("aclose", "sell", "cancel")]
)
async def test_so_does_each_that_a_closed_client_refuses(autojump_clock: Any, name: str) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as client,
    ):
        await client.aclose()
        with assert_checkpoints(), pytest.raises(derivtrio.ClientClosed):
            await USES[name](client)


async def test_so_does_the_end_of_a_stream_each_time_that_it_is_read(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        client.ticks("1HZ100V", buffer=1) as slow,
        client.ticks("R_100") as ticks,
        client.events() as events,
    ):
        await trio.sleep(10)
        await anext(slow)  # the one that the buffer has room for
        for _ in range(2):
            with assert_checkpoints(), pytest.raises(derivtrio.SlowConsumer):
                await anext(slow)
        await client.aclose()
        for stream in (ticks, events):
            async for _ in stream:
                pass
            with assert_checkpoints():
                await anext(stream, None)


async def test_items_that_wait_are_read_without_a_checkpoint_up_to_256(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        client.ticks("1HZ100V") as ticks,
    ):
        await trio.sleep(300)
        await anext(ticks)
        with assert_no_checkpoints():
            await anext(ticks)
        with assert_checkpoints():
            for _ in range(256):
                await anext(ticks)


async def test_a_subscription_is_left_and_events_are_entered_without_a_checkpoint(
    autojump_clock: Any,
) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        ticks, events = client.ticks("R_100"), client.events()
        await ticks.__aenter__()
        with assert_no_checkpoints():
            await ticks.__aexit__(None, None, None)
            await events.__aenter__()
            await events.__aexit__(None, None, None)
