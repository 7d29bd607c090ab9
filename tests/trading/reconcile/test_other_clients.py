"""Programs that open a new client for each trade, or several clients for one account."""

import gc
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from bank import PARAMETERS
from contracts import MULTIPLIER

import derivtrio
from derivtrio import Ambiguous, Bought, Client, NotExecuted, NotSold, OutcomeUnknown
from derivtrio.calls import other_clients as memory
from derivtrio.calls.call import api_call
from derivtrio.calls.other_clients import OtherClients, other_clients
from derivtrio.connection.endpoints import V3
from derivtrio.simulator import DEMO_TOKEN, Simulator, open_simulator


@asynccontextmanager
async def open_sim_client(sim: Simulator) -> AsyncGenerator[Client]:
    async with derivtrio.open_client(endpoint=sim.endpoint, token=DEMO_TOKEN) as client:
        yield client


@pytest.mark.parametrize("gap", [0, 1, 2, 3, 4, 5, 7])
async def test_g04_a_new_client_does_not_take_its_predecessors_contract_for_its_own(
    autojump_clock: Any, gap: float
) -> None:
    async with open_simulator(seed=3, port=None) as sim:
        async with open_sim_client(sim) as client:
            await client.buy(PARAMETERS, 10)
        await trio.sleep(gap)
        async with open_sim_client(sim) as client:
            sim.faults.lose_before("buy")
            with pytest.raises(NotExecuted):
                await client.buy(PARAMETERS, 10, reconcile=True)
            sim.faults.lose_after("buy")
            mine = await client.buy(PARAMETERS, 10, reconcile=True)
        assert len(sim.ledger("VRTC1000001").contracts) == 2
        assert mine.contract_id == max(sim.ledger("VRTC1000001").contracts)


@pytest.mark.parametrize("gap", [0, 2])
async def test_g04_nor_the_contract_of_an_order_that_its_predecessor_has_in_doubt(
    autojump_clock: Any, gap: float
) -> None:
    async with open_simulator(seed=3, port=None) as sim:
        async with open_sim_client(sim) as client:
            sim.faults.lose_after("buy")
            with pytest.raises(OutcomeUnknown):
                await client.buy(PARAMETERS, 10)
        await trio.sleep(gap)
        async with open_sim_client(sim) as client:
            sim.faults.lose_before("buy")
            with pytest.raises(OutcomeUnknown) as caught:
                await client.buy(PARAMETERS, 10, reconcile=True)
    assert isinstance(caught.value.outcome, Ambiguous)


async def test_a_doubt_that_was_decided_is_in_nobodys_way(autojump_clock: Any) -> None:
    async with open_simulator(seed=3, port=None) as sim:
        async with open_sim_client(sim) as client:
            sim.faults.lose_after("buy")
            await client.buy(PARAMETERS, 10, reconcile=True)
        async with open_sim_client(sim) as client:
            sim.faults.lose_after("buy")
            await client.buy(PARAMETERS, 10, reconcile=True)
        assert len(sim.ledger("VRTC1000001").contracts) == 2


async def test_g04_a_coarse_clock_does_not_make_two_doubts_one(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two that were written at the same time is decided; the other is still in doubt."""
    began = time.time()
    monkeypatch.setattr("time.time", lambda: began)
    async with open_simulator(seed=3, port=None) as sim:
        async with open_sim_client(sim) as client:
            sim.faults.fail_after("Timeout", "buy")
            with pytest.raises(OutcomeUnknown):
                await client.buy(PARAMETERS, 10)
            sim.faults.lose_after("buy")
            await client.buy({**PARAMETERS, "amount": 7}, 10, reconcile=True)
            assert len(client.doubts) == 1
        async with open_sim_client(sim) as client:
            sim.faults.lose_before("buy")
            with pytest.raises(OutcomeUnknown) as caught:
                await client.buy(PARAMETERS, 10, reconcile=True)
    assert isinstance(caught.value.outcome, Ambiguous)


async def test_a_doubt_of_long_before_is_in_nobodys_way_either(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.time()
    monkeypatch.setattr("time.time", lambda: began + trio.current_time())
    async with open_simulator(seed=3, port=None) as sim:
        async with open_sim_client(sim) as client:
            sim.faults.lose_after("buy")
            with pytest.raises(OutcomeUnknown):
                await client.buy(PARAMETERS, 10)
        await trio.sleep(200)
        async with open_sim_client(sim) as client:
            sim.faults.lose_after("buy")
            await client.buy(PARAMETERS, 10, reconcile=True)


async def test_a_late_reply_to_the_predecessor_still_leaves_it_its_contract(
    autojump_clock: Any,
) -> None:
    """The successor is asked about the predecessor's own doubt."""
    async with open_simulator(seed=3, port=None) as sim, open_sim_client(sim) as first:
        sim.faults.answer_late(5, "buy")
        with trio.move_on_after(1):
            await first.buy(PARAMETERS, 10)
        [unknown] = first.doubts
        await trio.sleep(10)
        sim.faults.lose_after("buy")
        with pytest.raises(OutcomeUnknown):
            await first.buy({**PARAMETERS, "amount": 3}, 3, reconcile=False)
        async with open_sim_client(sim) as second:
            outcome = await second.reconcile(unknown)
    assert isinstance(outcome, Ambiguous)
    assert len(outcome.candidates) == 1


async def test_a_sale_of_the_predecessor_is_not_the_successors(autojump_clock: Any) -> None:
    async with open_simulator(seed=3, port=None) as sim:
        async with open_sim_client(sim) as client:
            purchase = await client.buy(MULTIPLIER, 10)
            await trio.sleep(5)
            await client.sell(purchase)
        async with open_sim_client(sim) as client:
            sim.faults.lose_before("sell")
            with pytest.raises(OutcomeUnknown) as caught:
                await client.sell(purchase)
            assert isinstance(await client.reconcile(caught.value), NotSold)


async def test_the_accounts_of_two_simulators_have_nothing_to_do_with_each_other(
    autojump_clock: Any,
) -> None:
    """Their accounts, contracts and times are the same."""
    start = 1_749_800_000
    for _ in range(2):
        async with open_simulator(seed=3, port=None, start=start) as sim:
            async with open_sim_client(sim) as client:
                sim.faults.lose_after("buy")
                with pytest.raises(OutcomeUnknown) as caught:
                    await client.buy(PARAMETERS, 10)
                assert isinstance(await client.reconcile(caught.value), Bought)


def known(clients: OtherClients, contract_id: int) -> bool:
    call = api_call({"buy": "1", "price": 1})
    call.loginid = "CR1"
    return clients.have_done("bought", contract_id, call)


def note(clients: OtherClients, *contract_ids: int, loginid: str = "CR1") -> None:
    call = api_call({"buy": "1", "price": 1})
    call.loginid = loginid
    for contract_id in contract_ids:
        clients.know("bought", contract_id, call)


def test_a_server_is_known_by_its_url_whatever_the_app() -> None:
    note(other_clients(V3(1, base="ws://one.invalid/v3?l=EN")), 7)
    assert known(other_clients(V3(2, base="ws://one.invalid/v3")), 7)
    assert not known(other_clients(V3(1, base="ws://other.invalid/v3")), 7)
    assert not known(other_clients(V3(1, base="ws://one.invalid/v3")), 8)


def test_an_endpoint_that_cannot_be_remembered_shares_nothing() -> None:
    unhashable: Any = []
    note(other_clients(unhashable), 7)
    assert not known(other_clients(unhashable), 7)


def test_g14_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_MOST_TRADES", "_MOST_ACCOUNTS", "_MOST_SERVERS"):
        monkeypatch.setattr(memory, name, 3)
    clients, observer = (other_clients(V3(1, base="ws://bounded.invalid")) for _ in range(2))
    note(clients, 1, 2, 3, 4)
    assert [known(observer, each) for each in (1, 2, 4)] == [False, True, True]
    note(clients, 5, loginid="CR2")
    assert known(observer, 4)  # CR1 is the newest again
    for loginid in ("CR3", "CR4", "CR5"):
        note(clients, 5, loginid=loginid)
    assert not known(observer, 4)
    note(clients, 6)
    for number in range(3):
        other_clients(V3(1, base=f"ws://{number}.invalid"))
    assert not known(other_clients(V3(1, base="ws://bounded.invalid")), 6)


async def test_g14_an_endpoint_is_not_kept_for_its_clients_sake(autojump_clock: Any) -> None:
    gc.collect()
    before = len(memory._BY_ENDPOINT)  # noqa: SLF001
    async with open_simulator(seed=3, port=None) as sim, open_sim_client(sim) as client:
        await client.buy(PARAMETERS, 10)
        assert len(memory._BY_ENDPOINT) == before + 1  # noqa: SLF001
    del sim, client
    gc.collect()
    assert len(memory._BY_ENDPOINT) <= before  # noqa: SLF001


async def test_g14_only_the_newest_doubts_are_kept(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_MOST_TRADES", 3)
    clients, observer = (other_clients(V3(1, base="ws://doubts.invalid")) for _ in range(2))
    calls = []
    for number in range(5):
        call = api_call({"buy": "1", "price": number, "parameters": PARAMETERS})
        call.written(number + 1, 1, 30, trio.current_time())
        call.loginid = "CR1"
        clients.doubt(call)
        calls.append(call)
    assert [doubt.price for doubt in observer.doubts(calls[0])] == [2, 3, 4]
    assert clients.doubts(calls[0]) == []
