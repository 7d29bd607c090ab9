"""What a program does with a client, for `interruptions`: each operation is one function.

An operation judges what it got by itself, against the market. `stage.own()` stands for code of the
program's own, which may raise.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import trio

import derivtrio
from derivtrio import Candle, Client, Tick
from derivtrio.simulator import Simulator

#: A Monday morning.
START: Final = 1_749_456_000

#: Which streams the bystanders follow, too; and one that they do not.
SHARED, OTHER = "R_100", "R_50"

CONTRACT: Final = {
    "contract_type": "CALL",
    "symbol": SHARED,
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 10,
    "duration_unit": "h",
}


class Stage(Protocol):
    """What an operation acts on.

    Where only a part of it is to be cancelled, the operation says in `part` which.
    """

    sim: Simulator
    client: Client
    contract_id: int
    kind: str
    part: trio.CancelScope | None

    def own(self) -> None:
        """Stand for code of the operation's own."""
        ...

    def expect(self, what: str, *, holds: bool) -> None:
        """Note *what* is wrong, if it does not hold."""
        ...


async def read(stage: Stage, stream: Any, count: int) -> list[Any]:
    """Return *count* items of *stream*."""
    items = []
    async with stream:
        stage.own()
        while len(items) < count:
            items.append(await anext(stream))
            stage.own()
    return items


def judge_ticks(stage: Stage, ticks: Sequence[Tick]) -> None:
    """Compare *ticks* with the market: each once, in order."""
    if ticks:
        symbol = ticks[0].symbol
        market = stage.sim.market.ticks(symbol, ticks[0].epoch, ticks[-1].epoch)
        got = [(tick.epoch, tick.quote) for tick in ticks]
        _compare(stage, symbol, got, [(tick.epoch, float(tick.quote)) for tick in market])


def judge_candles(stage: Stage, candles: Sequence[Candle]) -> None:
    """Compare the closed ones of *candles* with the market."""
    closed = [candle for candle in candles if candle.closed]
    if closed:
        symbol, length, first = closed[0].symbol, closed[0].granularity, closed[0].open_time
        end = closed[-1].open_time + length - 1
        market = stage.sim.market.candles(symbol, length, first, end)
        got = [(each.open_time, each.open, each.high, each.low, each.close) for each in closed]
        there = [
            (each.open_time, *map(float, (each.open, each.high, each.low, each.close)))
            for each in market
        ]
        _compare(stage, f"candles of {symbol}", got, there)


def _compare(stage: Stage, name: str, got: list[Any], there: list[Any]) -> None:
    lost, more = Counter(there) - Counter(got), Counter(got) - Counter(there)
    text = f"{name}: lost {sorted(lost)[:3]}, too many {sorted(more)[:3]}, or not in order"
    stage.expect(text, holds=got == there)


async def call(stage: Stage) -> None:
    """Make a call."""
    reply = await stage.client.call({"time": 1})
    stage.own()
    assert reply["time"] >= START


async def streaming_call(stage: Stage) -> None:
    """Make a call that opens a stream, which nobody wants."""
    await stage.client.call({"ticks": OTHER, "subscribe": 1})
    stage.own()


async def pages(stage: Stage) -> None:
    """Read history, and then the statement."""
    for page in range(3):
        end = str(START - 100 * page)
        reply = await stage.client.api.ticks_history(SHARED, end=end, count=50)
        assert len(reply["history"]["times"]) == 50
        stage.own()
    async for _ in stage.client.statement():
        stage.own()


async def ticks(stage: Stage) -> None:
    """Follow a symbol of its own."""
    judge_ticks(stage, await read(stage, stage.client.ticks(OTHER), 4))


async def shared_ticks(stage: Stage) -> None:
    """Join the bystanders' stream."""
    judge_ticks(stage, await read(stage, stage.client.ticks(SHARED), 4))


async def raw_streams(stage: Stage) -> None:
    """Follow what is not typed."""
    await read(stage, stage.client.subscribe({"ticks": SHARED}), 2)
    await read(stage, stage.client.subscribe({"ticks": ["R_10", "R_25"]}), 3)
    history = {"ticks_history": "R_75", "end": "latest", "count": 5}
    await read(stage, stage.client.subscribe(history), 2)


async def ticks_from_the_past(stage: Stage) -> None:
    """Fill a hole, and go on into the present."""
    stream = stage.client.ticks(SHARED, start=START - 300)
    judge_ticks(stage, await read(stage, stream, 160))
    stage.expect(f"gaps: {stream.gaps}", holds=not stream.gaps)


async def ticks_across_an_outage(stage: Stage) -> None:
    """Read on across an outage, which makes a hole."""
    stream, got = stage.client.ticks(OTHER), []
    try:
        async with stream:
            got.append(await anext(stream))
            stage.own()
            stage.sim.faults.drop()
            stage.sim.faults.refuse(30)
            while len(got) < 25:
                got.append(await anext(stream))
                stage.own()
    finally:
        judge_ticks(stage, got)


async def two_readers(stage: Stage) -> None:
    """Let two tasks read one stream across an outage; one of them may be cancelled."""
    stream = stage.client.ticks(OTHER)
    got: list[list[Tick]] = [[], []]

    async def take(mine: list[Tick], scope: trio.CancelScope) -> None:
        with scope:
            async for tick in stream:
                mine.append(tick)  # noqa: PERF401 - what came before a cancellation counts

    async with stream, trio.open_nursery() as nursery:
        stage.part = trio.CancelScope()
        nursery.start_soon(take, got[0], stage.part)
        nursery.start_soon(take, got[1], trio.CancelScope())
        await trio.sleep(3)
        stage.sim.faults.drop()
        stage.sim.faults.refuse(10)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    both = sorted(got[0] + got[1], key=lambda tick: tick.epoch)
    judge_ticks(stage, both)
    enough = len(both) >= 20 or stage.kind not in ("cancelled", "nothing")
    stage.expect(f"only {len(both)} ticks", holds=enough)
    for mine in got:
        epochs = [tick.epoch for tick in mine]
        stage.expect(f"one reader got {epochs}", holds=epochs == sorted(epochs))


async def candles(stage: Stage) -> None:
    """Follow candles from the past, and then those that the bystanders follow."""
    past = stage.client.candles(OTHER, 60, start=START - 300)
    judge_candles(stage, await read(stage, past, 10))
    judge_candles(stage, await read(stage, stage.client.candles(SHARED, 60), 5))


async def account(stage: Stage) -> None:
    """Follow the balance, and the transactions across an outage."""
    loginid = next(iter(stage.sim.accounts))
    await read(stage, stage.client.balance(), 1)
    async with stage.client.transactions() as stream:
        stage.own()
        for amount in (5, 6):
            stage.sim.deposit(loginid, Decimal(amount))
            assert (await anext(stream)).amount == amount
            stage.own()
            stage.sim.faults.drop()


async def contracts(stage: Stage) -> None:
    """Follow prices, a contract and all contracts, the last two at the same time."""
    await read(stage, stage.client.proposal(CONTRACT), 2)
    async with stage.client.subscribe({"proposal_open_contract": 1}) as everything:
        stage.own()
        await read(stage, stage.client.open_contract(stage.contract_id), 2)
        await anext(everything)
        stage.own()


async def trades(stage: Stage) -> None:
    """Buy and sell; whatever was executed then is known, or in doubt and found out."""
    client = stage.client
    known = {held.contract_id for held in await client.portfolio()}
    try:
        purchase = await client.buy(CONTRACT, price=20)
        known.add(purchase.contract_id)
        stage.own()
        await trio.sleep(3)  # it can be sold from its entry tick on
        await client.sell(purchase, price=0)
        stage.own()
    except derivtrio.OutcomeUnknown:
        stage.expect("nothing was interrupted", holds=stage.kind not in ("raised", "nothing"))
    finally:
        with trio.CancelScope(shield=True):
            await _know_all(stage, known)


async def _know_all(stage: Stage, known: set[int]) -> None:
    """Look up what is in doubt; note contracts that are held and were not *known*."""
    for doubt in stage.client.doubts:
        outcome = await stage.client.reconcile(doubt)
        if isinstance(outcome, derivtrio.Bought):
            known.add(outcome.purchase.contract_id)
    held = {each.contract_id for each in await stage.client.portfolio()}
    stage.expect(f"{held - known} are held, and nobody knows", holds=held <= known)


async def events(stage: Stage) -> None:
    """Watch the client's events, and its traffic."""
    async with stage.client.events(traffic=True) as stream:
        stage.own()
        await stage.client.call({"time": 1})
        await anext(stream)
        stage.own()


async def same_connection(stage: Stage) -> None:
    """Do something that must not straddle two connections."""
    try:
        async with stage.client.same_connection():
            stage.own()
            await stage.client.call({"time": 1})
            await read(stage, stage.client.ticks(SHARED), 2)
    except derivtrio.ConnectionChanged:
        stage.expect("nothing was replaced", holds=stage.kind not in ("raised", "cancelled"))


async def reconnect(stage: Stage) -> None:
    """Replace the connection, and begin to follow a stream meanwhile."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.client.reconnect)
        judge_ticks(stage, await read(stage, stage.client.ticks(OTHER), 3))


async def many_at_once(stage: Stage) -> None:
    """Let eight tasks follow four symbols."""

    async def one(number: int) -> None:
        stream = stage.client.ticks(("R_10", "R_25", OTHER, SHARED)[number % 4])
        judge_ticks(stage, await read(stage, stream, 2))

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(one, number)


OPERATIONS: Final[dict[str, Callable[[Stage], Awaitable[None]]]] = {
    each.__name__: each
    for each in (
        call,
        streaming_call,
        pages,
        ticks,
        shared_ticks,
        raw_streams,
        ticks_from_the_past,
        ticks_across_an_outage,
        two_readers,
        candles,
        account,
        contracts,
        trades,
        events,
        same_connection,
        reconnect,
        many_at_once,
    )
}
