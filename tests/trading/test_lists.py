"""The account's lists."""

import random
from decimal import Decimal
from typing import Any

import pytest
import trio
from bank import PARAMETERS

import derivtrio
from derivtrio.simulator import DEMO_TOKEN, open_simulator
from tests.trading.world import open_world


async def test_the_statement_is_read_page_by_page_each_row_once(autojump_clock: Any) -> None:
    async with open_world() as world:
        for _ in range(250):
            world.bank.buy({})
        seen = []
        async for row in world.client.statement(action_type="buy"):
            seen.append(row.transaction_id)
            if len(seen) % 40 == 0:
                world.bank.buy({})  # pushes the rest down
        assert seen == list(range(2250, 2000, -1))
        [row] = [row async for row in world.client.statement(date_from=0, date_to=1)][:1]
        assert (row.action, row.amount, row.contract_id) == ("buy", -10, row.raw["contract_id"])
    first = world.server.asked("statement")[0][1]
    assert (first["action_type"], first["description"], first["limit"]) == ("buy", 1, 100)


async def test_g05_several_tasks_can_read_one_list_and_each_row_goes_to_one_of_them(
    autojump_clock: Any,
) -> None:
    async with open_world() as world:
        for _ in range(450):
            world.bank.buy({})
        rows, seen = world.client.statement(), []

        async def read() -> None:
            async for row in rows:
                seen.append(row.transaction_id)
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read)
        assert seen == list(range(2450, 2000, -1))


@pytest.mark.parametrize("pushed", [1, 12, 13, 20, 90])
@pytest.mark.parametrize("seconds", [0, 5])
async def test_g05_what_is_added_while_a_list_is_read_does_not_come_among_older_rows(
    autojump_clock: Any, pushed: int, seconds: float
) -> None:
    """A first page of 12 rows is short, but not the last one: the next one begins at the 13th."""
    async with open_world() as world:
        for _ in range(12):
            world.bank.buy({})
        rows = world.client.statement(action_type="buy")
        read = [(await anext(rows)).transaction_id]
        await trio.sleep(seconds)
        for _ in range(pushed):
            world.bank.buy({})
        read += [row.transaction_id async for row in rows]
        assert read == list(range(2012, 2000, -1))


@pytest.mark.parametrize("how", ["reversed", "shuffled"])
async def test_g03_a_list_in_an_odd_order_is_read_to_its_end(autojump_clock: Any, how: str) -> None:
    """Also if what is added meanwhile pushes its rows to and fro."""
    async with open_world() as world:
        for _ in range(150):
            world.bank.buy({})
            await trio.sleep(1)
        world.bank.statement.reverse()
        if how == "shuffled":
            random.Random(1).shuffle(world.bank.statement)
        made = {row["transaction_id"] for row in world.bank.statement}
        read = set()
        async for row in world.client.statement():
            read.add(row.transaction_id)
            if len(read) == 50:
                world.bank.buy({})  # it comes first
        assert made <= read


async def test_what_is_open_and_what_is_over(autojump_clock: Any) -> None:
    async with open_world(strings=True) as world:
        client = world.client
        one, other = [await client.buy(PARAMETERS, 10) for _ in range(2)]
        await client.sell(one)
        [position] = await client.portfolio()
        [closed] = [contract async for contract in client.profit_table(date_from=5)]
    assert (position.contract_id, position.buy_price) == (other.contract_id, Decimal(10))
    assert (closed.contract_id, closed.profit) == (one.contract_id, -2.5)
    assert world.server.asked("profit_table")[0][1]["date_from"] == "5"
    assert position.symbol == closed.symbol == "R_100"


async def test_the_second_of_date_to_is_not_in_the_period(autojump_clock: Any) -> None:
    """Recorded from a live account: three rows before 1789347054, four before 1789347055."""
    epochs = [1789347036, 1789347038, 1789347052, 1789347054]
    async with (
        open_simulator(seed=3, port=None, start=1789347030) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client,
    ):
        for epoch in epochs:
            await trio.sleep(epoch - sim.now())
            await client.buy({**PARAMETERS, "duration": 10}, 10)
        for date_to, count in ((1789347054, 3), (1789347055, 4)):
            rows = client.statement(action_type="buy", date_from=1789347035, date_to=date_to)
            assert [row.transaction_time async for row in rows] == epochs[:count][::-1]
        await trio.sleep(100)
        for date_to, count in ((1789347054, 3), (1789347055, 4)):
            closed = client.profit_table(date_from=1789347035, date_to=date_to)
            assert len([contract async for contract in closed]) == count


async def test_a_closed_contract_without_an_id_is_a_row_like_any_other(
    autojump_clock: Any,
) -> None:
    """Deriv's schemas allow null; left out, it would be missing in the sum of profits."""
    async with open_world() as world:
        for purchase in [await world.client.buy(PARAMETERS, 10) for _ in range(120)]:
            await world.client.sell(purchase)
        for contract_id in (1003, 1050, 1117):
            world.bank.contracts[contract_id] |= {"contract_id": None}
        rows = [row async for row in world.client.profit_table()]
    assert len(rows) == len({row.transaction_id for row in rows}) == 120
    assert [row.contract_id for row in rows].count(None) == 3
    assert sum(row.profit for row in rows) == Decimal(-300)


async def test_a_list_that_cannot_be_read_is_the_servers_fault(autojump_clock: Any) -> None:
    async with open_world() as world:
        world.bank.statement.append({"action_type": "buy", "transaction_time": 2_000_000_000})
        with pytest.raises(derivtrio.ProtocolViolation, match="statement"):
            await anext(world.client.statement())
