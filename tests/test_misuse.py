"""Arguments of a wrong kind are refused at once, in an error of the hierarchy."""

import gc
import queue
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
import trio
from recording_servers import package_of_nats
from scripted import Peer, Request, open_server, polite

import derivtrio
from derivtrio import Client, InvalidRequest, Settings, Subscription
from derivtrio.simulator import open_simulator

CONTRACT = {"contract_type": "CALL", "symbol": "R_100", "currency": "USD"}


class Unspeakable:
    """Something that an error had better not quote."""

    def __repr__(self) -> str:
        return pytest.fail("it is quoted")


def _circle(around: Any) -> dict[str, Any]:
    if isinstance(around, dict):
        around["passthrough"] = around
    else:
        around.append(around)
    return {"time": 1, "passthrough": {"token": "s3cr3t", "a": around}}


def _nested(depth: int) -> Any:
    nested: Any = None
    for _ in range(depth):
        nested = [nested]
    return nested


WRONG: dict[str, tuple[Callable[[Client, Any], Any], list[Any]]] = {
    "the name of a symbol": (lambda c, x: c.ticks(x), ["\ud800", 5, None]),
    "a symbol of candles": (lambda c, x: c.candles(x), ["\ud800", b"R_100"]),
    "what has no JSON form": (
        lambda c, x: c.subscribe(x),
        [{"ticks": "\ud800"}, {"ticks": "R_100", "passthrough": {"a": object()}}],
    ),
    "a symbol that no error can quote": (lambda c, x: c.ticks(x), [10**5000, Unspeakable()]),
    "a start": (
        lambda c, x: c.candles("R_100", start=x),
        [-(10**5000), 1_700_000_000_000, datetime(2026, 11, 27, tzinfo=UTC), Unspeakable()],
    ),
    "a granularity": (lambda c, x: c.candles("R_100", x), [10**5000, True, Unspeakable()]),
    "closed_only": (lambda c, x: c.candles("R_100", closed_only=x), ["no", 1, None]),
    "when_closed": (lambda c, x: c.ticks("R_100", when_closed=x), [10**5000, True, Unspeakable()]),
    "an account": (
        lambda c, x: c.balance(loginid=x),
        [10**5000, "", "CR 1", "CR\uff11", Unspeakable()],
    ),
    "the beginning of a period": (
        lambda c, x: c.statement(date_from=x),
        [-(10**5000), 1_700_000_000_000, 1.5, Unspeakable()],
    ),
    "the end of a period": (
        lambda c, x: c.profit_table(date_to=x),
        [10**5000, 1_700_000_000_000, True, "2026-11-27"],
    ),
    "what contains itself": (lambda c, x: c.call(x), [_circle({}), _circle([])]),
    "what is too deep": (
        lambda c, x: c.call({"time": 1, "passthrough": {"a": x}}),
        [_nested(1000), _nested(100_000)],
    ),
    "strict": (lambda c, x: c.ticks("R_100", strict=x), ["no", 1, None]),
    "traffic": (lambda c, x: c.events(traffic=x), ["no", 1, float("nan"), None]),
    "reconcile": (lambda c, x: c.buy(CONTRACT, 1, reconcile=x), ["no", 1, None]),
    "a contract to follow": (lambda c, x: c.open_contract(x), [0, -1, 2**63, 10**5000, True]),
    "a contract to sell": (lambda c, x: c.sell(x), [0, -1, 2**63, 10**5000, "7"]),
    "a contract to cancel": (lambda c, x: c.cancel(x), [0, -1, 2**63]),
    "a contract to limit": (lambda c, x: c.update_contract(x, stop_loss=1), [0, -1, 2**63]),
}


@pytest.mark.parametrize("what", WRONG)
async def test_g18_an_argument_of_a_wrong_kind_is_refused_at_once(
    autojump_clock: Any, what: str
) -> None:
    use, values = WRONG[what]

    async def handle(peer: Peer, request: Request) -> None:
        await polite(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(
            endpoint=server, settings=Settings(check_requests=False, heartbeat_interval=3600)
        ) as client,
    ):
        for value in values:
            with pytest.raises(InvalidRequest) as caught:
                await _used(use(client, value))
            assert len(str(caught.value)) < 300
        assert server.received == []
        assert client.status.subscriptions == 0


ORDER = CONTRACT | {"basis": "stake", "amount": 10, "duration": 5, "duration_unit": "t"}

#: What a task can ask a client for, or a stream whose items it has read.
ASKED: dict[str, Callable[[Client, Subscription[Any]], Awaitable[Any]]] = {
    "a call": lambda client, _: client.call({"time": 1}),
    "a purchase": lambda client, _: client.buy(ORDER, 10),
    "a purchase as a call": lambda client, _: client.call(
        {"buy": "1", "price": 10, "parameters": ORDER}
    ),
    "the contracts": lambda client, _: client.portfolio(),
    "a stream": lambda client, _: client.ticks("R_50").__aenter__(),
    "an item": lambda _, stream: anext(stream),
    "being ready": lambda client, _: client.wait_ready(),
    "another connection": lambda client, _: client.reconnect(),
    "the end": lambda client, _: client.aclose(),
    "another client": lambda *_: derivtrio.open_client().__aenter__(),
}


async def _with_a_client(ask: Callable[[Client, Subscription[Any]], Awaitable[None]]) -> None:
    """Let *ask* ask for everything as no task of trio's; then all must be as before."""
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as client,
        client.ticks("R_100") as stream,
    ):
        await anext(stream)
        calls = client.metrics.calls
        await ask(client, stream)
        assert (await anext(stream)).symbol == "R_100"
        assert (client.status.connection, client.status.subscriptions) == (1, 1)
        assert sim.ledger("VRTC1000001").transactions == []
        assert client.metrics.calls == calls


async def test_g03_asyncios_tasks_inside_trio_are_told_and_nothing_is_bought(
    autojump_clock: Any,
) -> None:
    package_of_nats()  # which needs trio_asyncio
    trio_asyncio: Any = import_module("trio_asyncio")

    async def ask(client: Client, stream: Subscription[Any]) -> None:
        async def ask_as_asyncio(use: Callable[..., Awaitable[Any]]) -> None:
            with pytest.raises(RuntimeError, match="trio"):
                await use(client, stream)

        async with trio_asyncio.open_loop():
            for use in ASKED.values():
                await trio_asyncio.aio_as_trio(ask_as_asyncio)(use)

    await _with_a_client(ask)


def test_g03_the_host_of_a_guest_run_is_told_and_nothing_is_bought() -> None:
    host: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    ended: list[Any] = []

    async def ask(client: Client, stream: Subscription[Any]) -> None:
        asked, run = trio.Event(), trio.lowlevel.current_trio_token()

        def ask_as_host() -> None:
            for use in ASKED.values():
                with pytest.raises(RuntimeError, match="trio"):
                    use(client, stream).__await__().send(None)
            run.run_sync_soon(asked.set)

        host.put(ask_as_host)
        with trio.fail_after(60):
            await asked.wait()

    trio.lowlevel.start_guest_run(
        _with_a_client, ask, run_sync_soon_threadsafe=host.put, done_callback=ended.append
    )
    while not ended:
        host.get()()
    ended[0].unwrap()


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # trio's, of the first
async def test_g12_a_stream_inside_a_generator_that_is_left_behind_is_forgotten(
    autojump_clock: Any,
) -> None:
    async def quotes(client: Client) -> AsyncGenerator[float]:
        async with client.ticks("R_100") as ticks:
            async for tick in ticks:
                yield tick.quote

    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        async for _ in quotes(client):
            break
        gc.collect()
        await trio.sleep(1)
        assert client.status.subscriptions == 0
        async with aclosing(quotes(client)) as generator:
            await anext(generator)
        assert client.status.subscriptions == 0
        await client.call({"time": 1})


async def _used(what: Any) -> None:
    if not hasattr(what, "__aenter__"):
        await what
        return
    async with what:
        pass
