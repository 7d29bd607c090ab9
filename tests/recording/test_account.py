"""`record` with the account: its transactions, balances and contracts, also those it has missed."""

from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import trio
from stores import MemoryStore, busy

import derivtrio
from derivtrio.recording import BALANCES, CONTRACTS, TRANSACTIONS, Row, Table, Waits, record
from derivtrio.recording.writer import BatchWriter
from derivtrio.simulator import Simulator, open_simulator

START = 1_700_000_000
LOGINID = "VRTC1000001"
CONTRACT = {
    "contract_type": "CALL",
    "symbol": "R_100",
    "currency": "USD",
    "basis": "stake",
    "amount": 10,
    "duration": 5,
    "duration_unit": "t",
}


async def run_for(seconds: float, sim: Simulator, store: Any, **more: Any) -> None:
    with trio.move_on_after(seconds):
        async with derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as client:
            await record(client, [], store, account=True, **more)


async def buy(sim: Simulator, count: int = 1) -> None:
    """Buy contracts, as another program."""
    async with derivtrio.open_client(endpoint=sim.endpoint, token="demo-token") as client:
        for _ in range(count):
            await client.buy(CONTRACT, price=10)


def ledger(sim: Simulator) -> list[tuple[int, float]]:
    """Return what happened in the account, after its beginning."""
    found = sim.ledger(LOGINID).transactions
    return [(each.transaction_id, float(each.amount)) for each in found]


def kept(store: MemoryStore) -> list[tuple[int, float]]:
    return [(row[1], row[4]) for row in store.rows(TRANSACTIONS)]


async def test_a_purchase_is_followed_to_its_end(autojump_clock: Any) -> None:
    store = MemoryStore()
    async with open_simulator(port=None, start=START) as sim, trio.open_nursery() as nursery:
        nursery.start_soon(run_for, 60, sim, store)
        await trio.sleep(5)
        await buy(sim)
    (purchase, sale) = store.rows(TRANSACTIONS)
    assert (purchase[3], purchase[4], sale[3]) == ("buy", -10, "sell")
    (contract,) = store.rows(CONTRACTS)
    assert contract[1] == purchase[6]
    assert contract[4] in ("won", "lost")
    assert contract[8] == sale[4]
    assert store.rows(BALANCES)[-1][2:] == (sale[5], "USD")


async def test_what_happened_meanwhile_comes_first_after_a_restart(autojump_clock: Any) -> None:
    store = MemoryStore()
    async with open_simulator(port=None, start=START, faults=["drop@400"]) as sim:
        await run_for(10, sim, store)
        await buy(sim)
        await trio.sleep(60)
        await buy(sim, 2)  # these are still open when the recorder comes
        await run_for(100, sim, store, start=START)
        assert len(kept(store)) >= 6
        await buy(sim, 3)
        sim.deposit(LOGINID, Decimal("2.5"))
        await trio.sleep(100)
        await run_for(300, sim, store)
        assert kept(store) == ledger(sim)[-len(kept(store)) :]
    assert len(kept(store)) == 13
    assert len(store.rows(CONTRACTS)) == 6
    assert {row[4] for row in store.rows(CONTRACTS)} <= {"won", "lost"}


async def test_what_happened_while_the_stream_had_failed_is_kept(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, failures = BatchWriter.add, [derivtrio.SlowConsumer("transactions", 1)]

    def failing(self: BatchWriter, table: Table, row: Row) -> None:
        if failures and table is TRANSACTIONS:
            raise failures.pop()
        add(self, table, row)

    monkeypatch.setattr(BatchWriter, "add", failing)
    store = MemoryStore()
    async with open_simulator(port=None, start=START) as sim, trio.open_nursery() as nursery:
        nursery.start_soon(run_for, 150, sim, store)
        await trio.sleep(5)
        before = len(ledger(sim))
        await buy(sim, 2)  # the first of these finds the store empty, and the stream fails
        await trio.sleep(20)
        await buy(sim)
        await trio.sleep(60)
    assert failures == []
    assert kept(store) == ledger(sim)[before:]
    assert len(kept(store)) == 6


async def test_g05_transactions_that_a_store_has_lost_are_fetched_again(
    autojump_clock: Any,
) -> None:
    store = MemoryStore()
    async with open_simulator(port=None, start=START) as sim, trio.open_nursery() as nursery:
        nursery.start_soon(run_for, 150, sim, store)
        await trio.sleep(5)
        for _ in range(3):
            await buy(sim)
            await trio.sleep(20)
        store.failures.append(busy())  # its server crashes, and has its last snapshot then
        await buy(sim)
        while store.failures:  # noqa: ASYNC110 - a store has no event for it
            await trio.sleep(0.1)
        for row in store.rows(TRANSACTIONS)[-3:]:
            del store.tables["transactions"][row[:2]]
        await trio.sleep(30)
    assert kept(store) == ledger(sim)[-8:]


@pytest.mark.parametrize("passes", [True, False])
async def test_an_account_that_is_refused_for_a_while_is_asked_again(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch, *, passes: bool
) -> None:
    code = "RateLimit" if passes else "PermissionDenied"
    refusals = [derivtrio.ApiError(code, "not now")]
    balance = derivtrio.Client.balance

    def refusing(self: derivtrio.Client) -> Any:
        if refusals:
            raise refusals.pop()
        return balance(self)

    monkeypatch.setattr(derivtrio.Client, "balance", refusing)
    store = MemoryStore()
    async with open_simulator(port=None, start=START) as sim:
        if passes:
            waits = Waits()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(run_for, 70, sim, store, waits=waits))
                await trio.sleep(50)
                waiting = [(wait.series, wait.error.code) for wait in waits]
            assert (waiting, list(waits)) == ([("account", code)], [])
            assert len(store.rows(BALANCES)) == 1
        else:
            with pytest.raises(derivtrio.ApiError, match="not now"):
                await run_for(70, sim, store)


async def test_without_an_account_it_is_refused(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, start=START) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        with pytest.raises(derivtrio.AuthorizationRequired):
            await record(client, ["R_100"], MemoryStore(), account=True)
