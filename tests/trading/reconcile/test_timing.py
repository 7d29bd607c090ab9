"""Until when a request may still be executed."""

from typing import Any

import pytest
import trio
from bank import PARAMETERS, lost_after, lost_before

from derivtrio import Ambiguous, Bought, ClientClosed, NotBought, OutcomeUnknown
from tests.trading.world import in_doubt, open_world


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
