"""One request, many streams: lists of symbols, and all open contracts."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from bank import PARAMETERS
from scripted import Peer, Request, open_server

import derivtrio
from derivtrio import Backoff, Client, Settings, Subscription
from derivtrio.simulator import Simulator, open_simulator

SETTINGS = Settings(heartbeat_interval=3600, backoff=Backoff(first=1, cap=1))
CONTRACT = {**PARAMETERS, "duration": 10, "duration_unit": "m"}
ALL = {"proposal_open_contract": 1}


@asynccontextmanager
async def simulated(generation: str = "v3") -> AsyncGenerator[tuple[Simulator, Client]]:
    async with open_simulator(port=None) as sim:
        v3 = generation == "v3"
        async with derivtrio.open_client(
            endpoint=sim.endpoint if v3 else sim.options_account(),
            token="demo-token" if v3 else None,
            settings=SETTINGS,
        ) as client:
            yield sim, client


def words(generation: str) -> dict[str, Any]:
    name = "symbol" if generation == "v3" else "underlying_symbol"
    return {name if word == "symbol" else word: value for word, value in CONTRACT.items()}


async def told_of(stream: Subscription[dict[str, Any]], seconds: float) -> Counter[Any]:
    """Count the messages of so many seconds by symbol, or by contract."""
    told: Counter[Any] = Counter()
    with trio.move_on_after(seconds):
        async for message in stream:
            if "tick" in message:
                told[message["tick"]["symbol"]] += 1
            else:
                payload = message.get("proposal_open_contract", {})
                told[payload.get("contract_id")] += 1
    return told


async def test_g06_two_share_a_list_and_one_stays(autojump_clock: Any) -> None:
    symbols = ["R_100", "R_50", "1HZ100V"]
    async with simulated() as (sim, client), client.subscribe({"ticks": symbols}) as one:
        async with client.subscribe({"ticks": symbols}) as other:
            assert set(await told_of(other, 6)) == set(symbols)
            assert len(sim.connections[0].streams) == 3
        assert set(await told_of(one, 6)) == set(symbols)
        sim.faults.drop()
        await told_of(one, 5)
        assert set(await told_of(one, 6)) == set(symbols)
        assert (client.status.connection, len(sim.connections[0].streams)) == (2, 3)


@pytest.mark.parametrize("generation", ["v3", "options"])
async def test_g05_all_open_contracts_are_followed_across_connections(
    autojump_clock: Any, generation: str
) -> None:
    async with simulated(generation) as (sim, client):
        bought = {(await client.buy(CONTRACT, 10)).contract_id}
        async with client.subscribe(ALL) as contracts:
            bought.add((await client.buy(CONTRACT, 10)).contract_id)
            assert set(await told_of(contracts, 6)) == bought
            sim.faults.drop()
            await told_of(contracts, 5)
            bought.add((await client.buy(CONTRACT, 10)).contract_id)
            assert set(await told_of(contracts, 6)) == bought


@pytest.mark.parametrize("generation", ["v3", "options"])
async def test_g06_all_open_contracts_can_be_followed_again_and_others_go_on(
    autojump_clock: Any, generation: str
) -> None:
    async with simulated(generation) as (_, client):
        first = (await client.buy(CONTRACT, 10)).contract_id
        second = (await client.buy(CONTRACT, 10)).contract_id
        async with client.open_contract(first) as contract:
            for _ in range(3):
                async with client.subscribe(ALL) as contracts:
                    assert set(await told_of(contracts, 6)) >= {second}
            with trio.fail_after(60):
                states = [await anext(contract) for _ in range(20)]  # more than have come so far
            assert {state.contract_id for state in states} == {first}


@pytest.mark.parametrize("generation", ["v3", "options"])
async def test_g05_who_follows_all_does_not_take_the_place_of_who_follows_one(
    autojump_clock: Any, generation: str
) -> None:
    order = {"buy": "1", "price": 10, "parameters": words(generation)}
    async with (
        simulated(generation) as (sim, client),
        client.subscribe(ALL) as contracts,
        client.subscribe(order) as one,
    ):
        contract_id = (await anext(one))["buy"]["contract_id"]
        sim.faults.drop()
        await told_of(one, 5)
        assert set(await told_of(one, 6)) == {contract_id}
        other = (await client.buy(CONTRACT, 10)).contract_id
        assert set(await told_of(contracts, 6)) == {None, other}


async def test_all_open_contracts_are_waited_for_while_there_are_none(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "proposal_open_contract" not in request:
            return
        await peer.reply(request, proposal_open_contract={})  # as Deriv does, at times
        await trio.sleep(1)
        contract = {"contract_id": 7, "is_sold": 0}
        await peer.reply(request, proposal_open_contract=contract, subscription={"id": "seven"})
        await peer.refuse(request, "ContractNotFound")
        await peer.reply(request, proposal_open_contract=contract, subscription={"id": "seven"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.subscribe(ALL) as contracts,
    ):
        messages = [await anext(contracts) for _ in range(4)]
    assert messages[0]["proposal_open_contract"] == {}
    assert messages[2]["error"]["code"] == "ContractNotFound"
    assert messages[3]["proposal_open_contract"]["contract_id"] == 7
