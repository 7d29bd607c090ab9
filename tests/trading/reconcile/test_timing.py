"""Until when a request may still be executed."""

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel
from bank import PARAMETERS, Bank, lost_after, lost_before
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import Ambiguous, Bought, ClientClosed, NotBought, OutcomeUnknown
from derivtrio.calls.call import Call, api_call
from derivtrio.calls.other_clients import Author, ForeignDoubt
from derivtrio.policy.server_clock import Lead, ServerClock
from derivtrio.trading.reconcile.timing import Bounds, Timing
from tests.trading.world import SETTINGS, in_doubt, open_world


async def test_what_is_long_past_is_known_at_once(autojump_clock: Any) -> None:
    async with open_world(lost_before) as world:
        unknown = await in_doubt(world)
        await trio.sleep(60)
        with trio.fail_after(1):
            assert isinstance(await world.client.reconcile(unknown), NotBought)


async def test_a_doubt_from_before_a_restart_can_be_cleared_up(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as that is possible: what fits may also be what is known to the client of then."""
    async with open_world() as world:
        monkeypatch.setattr("time.time", lambda: float(world.bank.now))
        world.bank.buy({"parameters": PARAMETERS})
        request = {"buy": "1", "price": 10, "parameters": PARAMETERS}
        unknown = OutcomeUnknown("?", request, None, world.bank.now)
        await trio.sleep(1000)
        with trio.fail_after(1):
            outcome = await world.client.reconcile(unknown)
        assert isinstance(outcome, Ambiguous)
        assert [p.contract_id for p in outcome.candidates] == [1001]
        assert "no record of the order" in outcome.how
        started, later = trio.current_time(), OutcomeUnknown("?", request, None, world.bank.now)
        later.server_epoch = (world.bank.now, world.bank.now + 1)
        assert isinstance(await world.client.reconcile(later), NotBought)
        assert 140 <= trio.current_time() - started < 150


async def test_time_that_the_machine_slept_through_counts(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trio's clock stands still in a suspended machine; the server's does not."""
    async with open_world(lost_after) as world:
        unknown = await in_doubt(world)
        for row in world.bank.statement:
            row["transaction_time"] -= 3600
        world.bank.contracts.clear()
        monkeypatch.setattr("time.time", lambda: unknown.written_at + 3600)
        assert isinstance(await world.client.reconcile(unknown), Bought)


async def test_g02_reconcile_ends_when_the_client_is_closed_between_two_looks(
    autojump_clock: Any,
) -> None:
    async with open_world(lost_before) as world:
        unknown = await in_doubt(world)

        async def look() -> None:
            with pytest.raises(ClientClosed):
                await world.client.reconcile(unknown)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await trio.sleep(5)  # it has looked, and waits for 4 s before it looks again
            await world.client.aclose()
            closed = trio.current_time()
        assert trio.current_time() == closed


@asynccontextmanager
async def open_frozen(executed_after: float) -> AsyncGenerator[tuple[Bank, derivtrio.Client]]:
    """A front end that freezes when it is asked to buy, and reads the order only much later."""
    bank, frozen = Bank(), set[int]()

    async def handle(peer: Peer, request: Request) -> None:
        if "buy" in request:
            frozen.add(peer.number)
            with trio.CancelScope(shield=True):
                await trio.sleep(executed_after)
                bank.buy(request)
        elif peer.number not in frozen:
            await bank.handle(peer, request)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=attrs.evolve(SETTINGS, **ALIVE)) as client,
    ):
        yield bank, client


ALIVE: Any = {"heartbeat_interval": 25, "heartbeat_timeout": 10}


@pytest.mark.parametrize("way", ["heartbeat", "reconnect", "time-out"])
@pytest.mark.parametrize("seconds", [60, 110, 125])
async def test_g04_an_order_that_a_frozen_server_reads_later_is_not_said_to_be_not_bought(
    autojump_clock: Any, way: str, seconds: float
) -> None:
    """The client gave that connection up; the server has not, and need not for two minutes."""
    async with open_frozen(seconds) as (_, client), trio.open_nursery() as nursery:

        async def order() -> None:
            with pytest.raises(OutcomeUnknown) as caught:
                await client.buy(PARAMETERS, 10)
            outcome = await client.reconcile(caught.value)
            assert isinstance(outcome, Bought), outcome
            assert trio.current_time() < seconds + 20

        nursery.start_soon(order)
        await trio.sleep(5 if way == "reconnect" else 32)
        if way != "heartbeat":
            await client.reconnect()


async def test_an_order_that_a_server_that_was_given_up_never_reads_ends_in_a_no(
    autojump_clock: Any,
) -> None:
    async with open_frozen(1e6) as (_, client):
        with pytest.raises(OutcomeUnknown) as caught:
            await client.buy(PARAMETERS, 10)
        assert isinstance(await client.reconcile(caught.value), NotBought)
        assert 140 <= trio.current_time() < 150


#: The server's clock is 1000 s ahead of trio's, and shows what the machine's does.
CLOCK = ServerClock(Lead(1000, 1001), Lead(0, 1))


def written_at(mono: float, wall: float) -> Call:
    """Return a call whose connection has ended ten seconds later: it is over after 30 s."""
    call = api_call({"buy": 1, "price": 10, "parameters": PARAMETERS})
    call.written(1, 1, 30, mono)
    call.written_wall, call.closed_mono = wall, mono + 10
    return call


@pytest.mark.parametrize(
    ("known", "earliest", "written", "latest"),
    [
        ((1100.25, 1101), 1095, 1100, 1136),
        ((900.5, 901.5), 895.5, 900, 1136),  # the server's clock was set since: both count
        ((1100.5, 1102), 1095, 1100, 1136),
        ((1500.5, 1501), 1095, 1100, 1536.5),
        ((900.5, math.inf), 1095, 1100, 1136),
        (None, 1095, 1100, 1136),
    ],
)
async def test_g04_when_an_order_may_have_been_executed(
    known: tuple[float, float] | None, earliest: float, written: float, latest: float
) -> None:
    call = written_at(100, 1100)
    timing = await timing_of(call, known)
    assert timing.bounds_epoch(call) == Bounds(earliest, written, latest)


@pytest.mark.parametrize("known", [None, (900.5, math.inf)])
@pytest.mark.parametrize(
    ("wall", "earliest", "written", "latest"), [(700, 695, 700, 1136), (1700, 1095, 1100, 1736)]
)
async def test_g04_where_the_machines_clock_differs_it_counts_too_if_nothing_else_was_known(
    known: Any, wall: float, earliest: float, written: float, latest: float
) -> None:
    call = written_at(100, wall)
    timing = await timing_of(call, known)
    assert timing.bounds_epoch(call) == Bounds(earliest, written, latest)


@pytest.mark.parametrize("known", [None, (900.5, 901.5), (1500.5, 1501)])
async def test_another_order_was_written_when_it_was_itself(known: Any) -> None:
    call, rival = written_at(100, 1100), written_at(150, 1150)
    timing = await timing_of(call, known)
    assert timing.bounds_epoch(rival) == Bounds(1145, 1150, 1186)


async def timing_of(call: Call, known: tuple[float, float] | None) -> Timing:
    """Return the timing of *call*, when the server's clock has been read."""
    unknown = call.doubt("?")
    unknown.run, unknown.server_epoch = trio.lowlevel.current_trio_token(), known
    async with open_world() as world:
        timing = Timing(unknown, call, world.client._session)  # noqa: SLF001
        timing._clock = CLOCK  # noqa: SLF001 - what `read_clock` would find
        return timing


async def test_g04_an_answer_says_nothing_of_what_was_written_after_its_question() -> None:
    call, earlier, later = (written_at(mono, 1000 + mono) for mono in (100, 90, 110))
    timing = await timing_of(call, None)
    for each in (earlier, later):
        each.closed_mono = math.inf
        timing.note_read(each, 105)
    assert timing.end_mono(earlier) < timing.end_mono(later) == math.inf


@pytest.mark.parametrize("same_run", [True, False])
@pytest.mark.parametrize(("age", "is_near"), [(0, True), (139, True), (140, False), (-9, True)])
async def test_an_order_of_another_client_is_as_old_as_its_runs_clock_says_or_the_machines(
    *, same_run: bool, age: float, is_near: bool
) -> None:
    """Trio's clock counts in the same run; the machine's, which may be set, only otherwise."""
    call, off = written_at(1000, 5000), 50_000
    timing = await timing_of(call, None)
    run = trio.lowlevel.current_trio_token() if same_run else object()
    wall, mono = (5000 + off, 1000 - age) if same_run else (5000 - age, 1000 + off)
    doubt = ForeignDoubt(Author(object(), 1, wall), None, None, run, mono)
    assert timing.is_near(doubt, call) is is_near
