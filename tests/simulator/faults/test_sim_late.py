"""Late replies to subscriptions, and symbols with several ticks in one second."""

from contextlib import AbstractAsyncContextManager
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import trio
from sim_trades import DEMO, log_in, refusal
from wire_peer import START, Peer, open_peer

from derivtrio.simulator import Market, Simulator, demo_account, open_simulator
from derivtrio.simulator.contracts.orders import MULTIPLIERS
from derivtrio.simulator.sessions.session import Backend, ServerSession

TICKS: dict[str, Any] = {"ticks": "1HZ100V"}
HISTORY: dict[str, Any] = {"ticks_history": "1HZ100V", "end": "latest", "count": 3, "subscribe": 1}
CANDLES = HISTORY | {"style": "candles", "granularity": 60}


def memory_simulator(*faults: str, **settings: Any) -> AbstractAsyncContextManager[Simulator]:
    return open_simulator(port=None, start=START, faults=faults, **settings)


async def epochs(peer: Peer, count: int) -> list[int]:
    return [(await peer.receive())["tick"]["epoch"] for _ in range(count)]


async def test_a_late_reply_has_old_data_and_the_ticks_in_between_are_lost(
    autojump_clock: object,
) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.late_subscription(5)
        await peer.send({"time": 1})
        assert await peer.receive()
        first = await peer.ask(TICKS)
        assert (first["tick"]["epoch"], trio.current_time()) == (START, 5)
        assert await epochs(peer, 3) == [START + 5, START + 6, START + 7]


async def test_a_late_history_is_as_old_as_its_request(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.late_subscription(5, "ticks_history")
        # Only a subscription is late.
        plain = {name: value for name, value in HISTORY.items() if name != "subscribe"}
        assert await peer.ask(plain)
        assert trio.current_time() == 0
        reply = await peer.ask(HISTORY)
        assert trio.current_time() == 5
        assert reply["history"]["times"] == [START - 2, START - 1, START]
        assert await epochs(peer, 2) == [START + 5, START + 6]


async def test_the_stream_of_a_slow_symbol_goes_on_with_the_next_tick(
    autojump_clock: object,
) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.late_subscription(5, "R_100")
        assert (await peer.ask({"ticks": "R_100"}))["tick"]["epoch"] == START
        assert await epochs(peer, 2) == [START + 6, START + 8]


async def test_what_was_in_between_can_come_after_the_reply_at_once(
    autojump_clock: object,
) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.late_subscription(5, between="after")
        assert (await peer.ask(TICKS))["tick"]["epoch"] == START
        assert await epochs(peer, 5) == [START + number for number in range(1, 6)]
        assert trio.current_time() == 5
        assert await epochs(peer, 1) == [START + 6]


async def test_what_is_in_between_can_come_before_the_reply(autojump_clock: object) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.late_subscription(3, between="before")
        await peer.send(TICKS)
        assert await epochs(peer, 5) == [START + 1, START + 2, START, START + 3, START + 4]


async def test_the_candle_after_a_late_reply_has_the_ticks_in_between(
    autojump_clock: object,
) -> None:
    async with memory_simulator() as sim, open_peer(sim) as peer:
        sim.faults.late_subscription(30)
        await peer.ask(CANDLES)
        for epoch in range(START + 30, START + 90):
            ohlc = (await peer.receive())["ohlc"]
            (candle,) = sim.market.candles("1HZ100V", 60, epoch, epoch)
            assert (ohlc["open_time"], ohlc["epoch"]) == (candle.open_time, epoch)
            shown = [float(ohlc[name]) for name in ("open", "high", "low", "close")]
            assert shown == [candle.open, candle.high, candle.low, candle.close]


async def test_a_late_reply_can_be_scheduled(autojump_clock: object) -> None:
    async with memory_simulator("late_subscription:2:1HZ100V:2:after@0") as sim:
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2):
            async with open_peer(sim) as peer:
                asked = trio.current_time()
                await peer.ask(TICKS)
                assert trio.current_time() == asked + 2
        async with open_peer(sim) as peer:
            asked = trio.current_time()
            await peer.ask(TICKS)
            assert trio.current_time() == asked


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((0,), "0 is not a number of seconds above 0"),
        ((5, "R_101"), "there is no call or symbol 'R_101'"),
        ((5, None, 0), "0 is too few"),
        ((5, None, 1, "twice"), "the ticks in between are lost, after, before, not 'twice'"),
    ],
)
async def test_a_late_reply_that_makes_no_sense_says_why(arguments: Any, why: str) -> None:
    async with memory_simulator() as sim:
        with pytest.raises(ValueError, match=why):
            sim.faults.late_subscription(*arguments)


async def test_two_live_ticks_can_have_one_epoch(autojump_clock: object) -> None:
    async with memory_simulator(ticks_per_second={"1HZ100V": 2}) as sim:
        async with open_peer(sim) as peer, open_peer(sim) as other:
            await peer.ask(TICKS)
            ticks = [(await peer.receive())["tick"] for _ in range(20)]
            assert [tick["epoch"] - START for tick in ticks[:4]] == [1, 1, 2, 2]
            assert len({tick["quote"] for tick in ticks}) > 10
            window = {"start": START + 1, "end": str(START + 10)}
            history = (await other.ask({"ticks_history": "1HZ100V"} | window))["history"]
            assert history["times"] == [tick["epoch"] for tick in ticks]
            assert history["prices"] == [tick["quote"] for tick in ticks]
            expected = sim.market.ticks("1HZ100V", START + 1, START + 10)
            assert history["prices"] == [tick.quote for tick in expected]


async def test_a_candle_has_all_ticks_of_a_second(autojump_clock: object) -> None:
    async with memory_simulator(ticks_per_second={"1HZ100V": 3}) as sim:
        async with open_peer(sim) as peer:
            await peer.ask(CANDLES)
            messages = [(await peer.receive())["ohlc"] for _ in range(60)]
            last = messages[-1]
            (candle,) = sim.market.candles("1HZ100V", 60, START + 20, START + 20)
            shown = [float(last[name]) for name in ("open", "high", "low", "close")]
            assert shown == [candle.open, candle.high, candle.low, candle.close]


async def test_a_connection_can_end_between_two_ticks_of_one_second(
    autojump_clock: object,
) -> None:
    async with memory_simulator(ticks_per_second={"1HZ100V": 2}) as sim, open_peer(sim) as peer:
        await peer.ask(TICKS)
        assert await epochs(peer, 2) == [START + 1, START + 1]
        sim.faults.cut(10_000)
        assert await epochs(peer, 1) == [START + 2]
        assert (await peer.ended()).code is None


def test_a_fraction_gives_some_seconds_two_ticks() -> None:
    market = Market(1, {"1HZ100V": Fraction(3, 2)})
    ticks = market.ticks("1HZ100V", START, START + 5)
    assert [tick.epoch - START for tick in ticks] == [0, 0, 1, 2, 2, 3, 4, 4, 5]
    for start in range(START, START + 4):
        assert market.ticks("1HZ100V", start, start + 1) == [
            tick for tick in ticks if start <= tick.epoch <= start + 1
        ]
        assert market.tick("1HZ100V", start) == market.ticks("1HZ100V", start, start)[-1]
        assert market.next_tick_epoch("1HZ100V", start) == start + 1


def test_the_market_is_still_a_function_of_its_arguments() -> None:
    rates = {"R_100": 2, "stpRNG": 3}
    fresh, used = Market(1, rates), Market(1, rates)
    used.ticks("R_100", START - 50_000, START + 50_000, 3000)
    for symbol in rates:
        assert used.ticks(symbol, START, START + 100) == fresh.ticks(symbol, START, START + 100)
    steps = [tick.quote for tick in fresh.ticks("stpRNG", START, START + 50)]
    assert {round(abs(b - a), 1) for a, b in pairwise(steps)} == {0.1}
    # The other symbols are as they are without it.
    assert fresh.ticks("R_50", START, START + 9) == Market(1).ticks("R_50", START, START + 9)


@pytest.mark.parametrize(
    ("rates", "why"),
    [
        ({"XYZ": 2}, "there is no symbol 'XYZ'"),
        ({"frxEURUSD": 2}, "frxEURUSD cannot have several ticks per second"),
        ({"RDBULL": 2}, "RDBULL cannot have several ticks per second"),
        ({"R_100": 1}, "R_100 can have above 1 and up to 10 ticks per second, not 1"),
        ({"R_100": 11}, "R_100 can have above 1 and up to 10 ticks per second, not 11"),
    ],
)
async def test_a_rate_that_makes_no_sense_says_why(rates: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        async with memory_simulator(ticks_per_second=rates):
            raise AssertionError


def test_no_contract_counts_ticks_where_they_share_a_second() -> None:
    account = demo_account()
    market = Market(1, {"R_100": 2})
    session = ServerSession(Backend(1, market, {account.loginid: account}), number=1)
    from asking import ask  # noqa: PLC0415

    ask(session, {"authorize": "demo-token"})
    assert refusal(session)[1] == "Trading is not offered for this duration."
    accumulator = {"contract_type": "ACCU", "growth_rate": 0.01}
    offers = ask(session, {"contracts_for": "R_100"})["contracts_for"]["available"]
    assert {offer["expiry_type"] for offer in offers} == {"intraday", "daily", "no_expiry"}
    assert {o["contract_type"] for o in offers} == {"CALL", "CALLE", "PUT", "PUTE", *MULTIPLIERS}
    parameters = {"amount": 10, "basis": "stake", "currency": "USD", "symbol": "R_100"}
    refused = ask(session, {"buy": "1", "price": 10, "parameters": parameters | accumulator})
    assert refused["error"]["message"] == "Trading is not offered for this asset."


async def test_a_contract_of_a_certain_time_is_settled_by_the_last_tick(
    autojump_clock: object,
) -> None:
    rates = {"1HZ100V": 2}
    async with memory_simulator(ticks_per_second=rates) as sim, open_peer(sim) as peer:
        await log_in(peer)
        parameters = {
            "amount": 10,
            "basis": "stake",
            "contract_type": "CALL",
            "currency": "USD",
            "duration": 20,
            "duration_unit": "s",
            "symbol": "1HZ100V",
        }
        bought = await peer.ask({"buy": "1", "price": 10, "parameters": parameters})
        await trio.sleep(30)
        contract = sim.ledger(DEMO).contracts[bought["buy"]["contract_id"]]
        assert contract.closing is not None
        assert contract.closing.tick == sim.market.ticks("1HZ100V", START + 20, START + 20)[-1]
