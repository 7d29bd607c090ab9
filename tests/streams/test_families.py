"""One request, many streams: lists of symbols, and all open contracts."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from bank import PARAMETERS
from scripted import Peer, Request, framed, open_server

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


def streams_of(sim: Simulator) -> list[Any]:
    """Return the streams of contracts at the server."""
    return [
        stream
        for connection in sim.connections
        for stream in connection.streams
        if stream.kind == "proposal_open_contract"
    ]


async def updates(stream: Subscription[Any], seconds: float) -> Counter[Any]:
    """Count the states of so many seconds by contract."""
    told: Counter[Any] = Counter()
    with trio.move_on_after(seconds):
        async for state in stream:
            told[state.contract_id] += 1
    return told


@pytest.mark.parametrize("generation", ["v3", "options"])
@pytest.mark.parametrize("contracts", [0, 3])
@pytest.mark.parametrize("read", [0, 1, 5])
async def test_g06_leaving_all_open_contracts_leaves_no_stream(
    autojump_clock: Any, generation: str, contracts: int, read: int
) -> None:
    async with simulated(generation) as (sim, client):
        for _ in range(contracts):
            await client.buy(CONTRACT, 10)
        async with client.subscribe(ALL) as stream:
            for _ in range(min(read, 1 + 4 * contracts)):
                await anext(stream)
            await client.buy(CONTRACT, 10)
        await trio.sleep(5)
        assert streams_of(sim) == []
        await client.buy(CONTRACT, 10)
        await trio.sleep(5)
        assert streams_of(sim) == []
        assert client.status.subscriptions == 0
        asked = [r for r in sim.connections[0].requests if "forget" in r or "forget_all" in r]
        assert len(asked) <= 2


async def test_g06_leaving_all_open_contracts_while_they_are_asked_for_leaves_no_stream(
    autojump_clock: Any,
) -> None:
    for pause in (0.0, 0.1, 0.2, 0.3, 0.4, 0.6):
        async with simulated() as (sim, client):
            await client.buy(CONTRACT, 10)
            sim.faults.delay(0.1)
            with trio.move_on_after(pause):
                async with client.subscribe(ALL) as stream:
                    await told_of(stream, 60)
            sim.faults.clear()
            await client.buy(CONTRACT, 10)
            await trio.sleep(5)
            assert streams_of(sim) == []


async def test_g06_who_joins_all_open_contracts_while_another_leaves_stays(
    autojump_clock: Any,
) -> None:
    for pause in (0.0, 0.05, 0.15, 0.25, 0.5):
        async with simulated() as (sim, client):
            bought = {(await client.buy(CONTRACT, 10)).contract_id}
            sim.faults.delay(0.1)
            async with client.subscribe(ALL) as stream:
                await anext(stream)
            await trio.sleep(pause)
            async with client.subscribe(ALL) as stream:
                await trio.sleep(3)
                bought.add((await client.buy(CONTRACT, 10)).contract_id)
                await trio.sleep(3)
                await told_of(stream, 0.1)
                assert set(await told_of(stream, 6)) == bought
            sim.faults.clear()
            await trio.sleep(5)
            assert streams_of(sim) == []


@pytest.mark.parametrize("generation", ["v3", "options"])
@pytest.mark.parametrize("all_first", [True, False])
@pytest.mark.parametrize("all_leave_first", [True, False])
async def test_g09_one_contract_and_all_are_followed_side_by_side(
    autojump_clock: Any, generation: str, *, all_first: bool, all_leave_first: bool
) -> None:
    async with simulated(generation) as (sim, client):
        first = (await client.buy(CONTRACT, 10)).contract_id
        second = (await client.buy(CONTRACT, 10)).contract_id
        family, one = client.subscribe(ALL), client.open_contract(first)
        for stream in (family, one) if all_first else (one, family):
            await stream.__aenter__()
        for _ in range(3):
            assert (await updates(one, 8))[first] >= 3
            seen = await told_of(family, 0.1)
            assert seen[first] >= 3
            assert seen[second] >= 3
            sim.faults.drop()
            await trio.sleep(5)
            await updates(one, 0.1)
            await told_of(family, 0.1)
        leaving, staying = (family, one) if all_leave_first else (one, family)
        await leaving.__aexit__(None, None, None)
        await trio.sleep(3)
        if all_leave_first:
            assert (await updates(one, 8))[first] >= 3
            assert len(streams_of(sim)) == 1
        else:
            await told_of(family, 0.1)
            seen = await told_of(family, 8)
            assert seen[first] >= 3
            assert seen[second] >= 3
        await staying.__aexit__(None, None, None)
        await trio.sleep(5)
        assert streams_of(sim) == []


@pytest.mark.parametrize("buy_leaves", [True, False])
async def test_g09_a_contract_is_followed_beside_the_stream_of_its_purchase(
    autojump_clock: Any, *, buy_leaves: bool
) -> None:
    order = {"buy": "1", "price": 10, "parameters": CONTRACT}
    async with simulated() as (sim, client):
        purchase = client.subscribe(order)
        await purchase.__aenter__()
        contract_id = (await anext(purchase))["buy"]["contract_id"]
        one = client.open_contract(contract_id)
        await one.__aenter__()
        for _ in range(2):
            assert (await updates(one, 8))[contract_id] >= 3
            assert (await told_of(purchase, 0.1))[contract_id] >= 3
            sim.faults.drop()
            await trio.sleep(5)
        leaving, staying = (purchase, one) if buy_leaves else (one, purchase)
        await leaving.__aexit__(None, None, None)
        await trio.sleep(3)
        if buy_leaves:
            assert (await updates(one, 8))[contract_id] >= 3
        else:
            await told_of(purchase, 0.1)
            assert (await told_of(purchase, 8))[contract_id] >= 3
        await staying.__aexit__(None, None, None)
        await trio.sleep(5)
        assert streams_of(sim) == []


async def test_g09_a_borrowed_stream_ends_when_the_contract_is_sold(autojump_clock: Any) -> None:
    async with simulated() as (sim, client), client.subscribe(ALL):
        for outage in (False, True):
            contract_id = (await client.buy(CONTRACT, 10)).contract_id
            await trio.sleep(3)
            async with client.open_contract(contract_id) as one:
                await trio.sleep(3)
                if outage:
                    sim.faults.refuse(900)
                    sim.faults.drop()
                with trio.fail_after(1000):
                    states = [state async for state in one]
                assert states[-1].is_sold
        await trio.sleep(2)
        assert client.status.subscriptions == 1


@pytest.mark.parametrize("code", ["WrongResponse", "Timeout"])
async def test_g09_all_open_contracts_begin_again_though_the_server_counts_them_already(
    autojump_clock: Any, code: str
) -> None:
    async with simulated() as (sim, client):
        bought = (await client.buy(CONTRACT, 10)).contract_id
        async with client.subscribe(ALL) as contracts, client.open_contract(bought) as one:
            sim.faults.fail_after(code, "proposal_open_contract", 2)
            sim.faults.drop()
            await told_of(contracts, 30)
            assert set(await told_of(contracts, 6)) == {bought}
            assert (await anext(one)).contract_id == bought
            assert client.status.connection == 2


async def test_g09_a_stream_that_was_granted_without_saying_so_is_asked_for_again(
    autojump_clock: Any,
) -> None:
    asked = 0

    async def handle(peer: Peer, request: Request) -> None:
        nonlocal asked
        if "ticks" not in request:
            await peer.reply(request, forget=1)
        elif peer.number == 1:
            await peer.reply(request, tick={"n": 1}, subscription={"id": "x"})
        else:
            asked += 1
            if asked < 4:
                await peer.refuse(request, "AlreadySubscribed" if asked > 1 else "WrongResponse")
            else:
                await peer.reply(request, tick={"n": 2}, subscription={"id": "y"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.subscribe({"ticks": "R_100"}) as ticks,
    ):
        assert (await anext(ticks))["tick"] == {"n": 1}
        await server.peers[0].drop()
        with trio.fail_after(20):
            assert (await anext(ticks))["tick"] == {"n": 2}
        assert asked == 4


@pytest.mark.parametrize("answer", [1, 1.5, "ids", {"a": 1}, None, [[1], {}, 5]])
async def test_g18_an_answer_to_forget_all_that_is_nonsense_ends_nobody(
    autojump_clock: Any, answer: object
) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        if "forget_all" in request:
            await peer.reply(request, forget_all=answer)
        elif "proposal_open_contract" in request:
            contract = {"contract_id": 7, "is_sold": 0}
            await peer.reply(request, proposal_open_contract=contract, subscription={"id": "x"})
        else:
            await peer.reply(request, ping="pong")

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        async with client.subscribe({"proposal_open_contract": 1}) as stream:
            await anext(stream)
        await trio.sleep(5)
        assert server.asked("forget_all")
        await client.call({"ping": 1})
        assert client.status.connection == 1


async def test_g09_a_contract_that_is_refused_before_all_open_contracts_are_answered_lives_on_them(
    autojump_clock: Any,
) -> None:
    """When both are asked for again, either can be first; the refusal comes before any message."""
    family: list[Request] = []

    async def handle(peer: Peer, request: Request) -> None:
        if "forget_all" in request:
            await peer.reply(request, forget_all=["all-1", "one", "other"])
        elif "forget" in request or "ping" in request:
            await peer.reply(request, ping="pong")
        elif "contract_id" not in request:
            family.append(request)
            ids = {"id": f"all-{len(family)}"}
            await trio.sleep(0.2)
            for n in range(100):
                if request is not family[-1]:
                    return
                contract = {"contract_id": 7, "is_sold": 0, "n": n}
                await peer.reply(request, proposal_open_contract=contract, subscription=ids)
                await trio.sleep(1)
        elif family and "subscribe" in request:
            await trio.sleep(0.05)
            if len(family) == 1 and server.asked("forget_all"):
                await trio.sleep(0.05)
            if len(family) > 1:
                await peer.refuse(request, "AlreadySubscribed")
                return
            contract = {"contract_id": request["contract_id"], "is_sold": 0}
            name = {7: "one", 8: "other"}[request["contract_id"]]
            await peer.reply(request, proposal_open_contract=contract, subscription={"id": name})
        else:
            contract = {"contract_id": request["contract_id"], "is_sold": 0, "n": -1}
            await peer.reply(request, proposal_open_contract=contract)

    one = {"proposal_open_contract": 1, "contract_id": 7}
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.subscribe(ALL),
        client.subscribe(one, overflow="latest") as stream,
    ):
        async with client.subscribe({"proposal_open_contract": 1, "contract_id": 8}):
            pass  # which has all of them ended at the server, and asked for again
        await trio.sleep(10)
        assert len(family) == 2
        with trio.fail_after(5):
            for _ in range(2):
                assert (await anext(stream))["proposal_open_contract"]["contract_id"] == 7


async def test_g09_a_contract_granted_just_before_all_are_ended_is_asked_for_again(
    autojump_clock: Any,
) -> None:
    """Both answers come together, and trio may tell either caller first."""
    granted: list[dict[str, Any]] = []

    async def handle(peer: Peer, request: Request) -> None:
        answer = {"req_id": request["req_id"]}
        if "forget_all" in request:
            await trio.sleep(0.1)
            ended = [reply["subscription"]["id"] for reply in granted]
            both = framed(granted[-1]) + framed(answer | {"forget_all": ended})
            await peer.stream.send_all(both)
            return
        if "proposal_open_contract" in request:
            contract = {"contract_id": request.get("contract_id", 1), "is_sold": 0}
            answer |= {"subscription": {"id": str(request["req_id"])}}
            answer |= {"proposal_open_contract": contract}
            granted.append(answer)
            if contract["contract_id"] >= 100 and len(asked(contract["contract_id"])) == 1:
                return  # see above
        await peer.send(answer | {"forget": 1})

    def asked(contract_id: int) -> list[Request]:
        wanted = {"proposal_open_contract": 1, "contract_id": contract_id}
        requests = [request for _, request in server.received]
        return [request for request in requests if wanted.items() <= request.items()]

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.subscribe(ALL),
        trio.open_nursery() as nursery,
    ):

        async def follow(contract_id: int) -> None:
            async with client.open_contract(contract_id):
                await trio.sleep_forever()

        for number in range(100, 106):
            async with client.open_contract(2):
                await trio.sleep(1)
                nursery.start_soon(follow, number)
                await trio.sleep(1)  # leaving ends all of them: the one of all cannot be told apart
            await trio.sleep(5)
            assert len(asked(number)) == 2
        nursery.cancel_scope.cancel()
