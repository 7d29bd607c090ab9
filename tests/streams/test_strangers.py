"""G18: streams that nobody has asked for are forgotten; a server that sends ever more is left."""

import gc
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio_websocket
from scripted import Peer, Request, Server, open_server, polite

import derivtrio
from derivtrio import Backoff, Client, Failed, ProtocolViolation, Settings
from derivtrio.simulator import open_simulator
from derivtrio.streams import contracts, upstream

SETTINGS = Settings(backoff=Backoff(first=1, cap=1))

#: Which request the ids come for.
Old = Callable[[Client], Any]


async def stream_of(client: Client) -> None:
    async with client.ticks("R_100") as ticks:
        await anext(ticks)


async def call_of(client: Client) -> None:
    await client.call({"ticks": "R_100"})


async def gone_of(client: Client) -> None:
    with trio.move_on_after(0.5):
        await client.call({"ticks": "R_50"})


class Storm:
    """A server that sends *count* messages, each with a new id, to the last request for ticks."""

    def __init__(self, count: int, new_id: Callable[[int], Any] = "id-{:032}".format) -> None:
        self.count = count
        self.new_id = new_id
        self.asked: Request = {}
        self.forgets = 0

    async def handle(self, peer: Peer, request: Request) -> None:
        if "ticks" in request:
            self.asked = request
            if request["ticks"] == "R_100":
                await peer.reply(request, **tick(1), subscription={"id": "first"})
        elif "forget" in request:
            self.forgets += 1
            await peer.reply(request, forget=1)
        elif "time" in request:
            await peer.reply(request, time=1_700_000_000)
        else:
            await peer.refuse(request, "UnrecognisedRequest")

    async def blow(self, server: Server) -> None:
        peer = server.peers[-1]
        for n in range(self.count):
            await peer.reply(self.asked, **tick(2 + n), subscription={"id": self.new_id(n)})
            if n % 50 == 0:
                await trio.sleep(0.001)


def tick(n: int) -> dict[str, Any]:
    return {"tick": {"symbol": "R_100", "epoch": 1_700_000_000 + n, "quote": 1.0, "pip_size": 2}}


@pytest.mark.parametrize("old", [stream_of, call_of, gone_of])
async def test_g18_a_storm_of_new_ids_ends_the_connection_and_starves_nobody(
    autojump_clock: Any, caplog: pytest.LogCaptureFixture, old: Old
) -> None:
    storm = Storm(20_000)
    async with (
        open_server(storm.handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.events() as events,
    ):
        await old(client)
        caplog.set_level(logging.WARNING)
        server.nursery.start_soon(unbroken, storm, server)
        begun = trio.current_time()
        assert (await client.call({"time": 1}))["time"] == 1_700_000_000
        assert trio.current_time() < begun + 1
        failed = await until_failed(events)
        assert isinstance(failed.error, ProtocolViolation)
        assert "streams that nobody has asked for" in str(failed.error)
        assert storm.forgets < 2000
        assert client.status.pending < 2000
        await client.wait_ready()
        assert client.status.connection == 2
        assert client.status.pending == 0
    assert any(
        "nobody has asked for" in r.getMessage()
        for r in caplog.records
        if r.levelno >= logging.WARNING
    )


async def test_g18_a_storm_at_a_stream_that_is_wanted_ends_the_connection_not_the_stream(
    autojump_clock: Any,
) -> None:
    storm = Storm(20_000)
    async with (
        open_server(storm.handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.events() as events,
        client.subscribe({"ticks": "R_100"}, overflow="latest") as ticks,
    ):
        server.nursery.start_soon(unbroken, storm, server)
        failed = await until_failed(events)
        assert isinstance(failed.error, ProtocolViolation)
        await client.wait_ready()
        with trio.fail_after(5):
            assert (await anext(ticks))["subscription"] == {"id": "first"}


@pytest.mark.parametrize(
    "new_id", [lambda n: "x" * 300 + str(n), lambda n: n, lambda n: [n], lambda n: {"n": n}]
)
async def test_g18_what_is_no_id_is_kept_by_nobody(
    autojump_clock: Any, new_id: Callable[[int], Any]
) -> None:
    storm = Storm(3000, new_id)
    async with (
        open_server(storm.handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        await stream_of(client)
        await trio.sleep(1)
        await storm.blow(server)
        await trio.sleep(1)
        assert storm.forgets == 1
        assert client.status.connection == 1


async def test_g18_user_calls_go_before_the_forgets_of_a_thousand_streams(
    autojump_clock: Any,
) -> None:
    """Streams that this client has left itself do not starve its calls, either."""
    storm = Storm(0)
    async with (
        open_server(storm.handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        await call_of(client)
        storm.count = 900  # which is not too many
        await storm.blow(server)
        begun = trio.current_time()
        for _ in range(20):
            await client.call({"time": 1})
        assert trio.current_time() < begun + 70
        assert client.status.connection == 1
        await trio.sleep(3600)
        assert storm.forgets == 901


async def test_g06_a_stream_that_is_wanted_again_does_not_wait_behind_the_forgets_of_strangers(
    autojump_clock: Any,
) -> None:
    """The budget has no room for its `forget` among the others, for longer than anybody waits."""
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(
            endpoint=sim.endpoint, settings=Settings(response_timeout=20)
        ) as client,
    ):
        async with client.ticks("R_50") as ticks:
            sim.faults.id_storm(900, 30)
            await trio.sleep(80)
        async with client.ticks("R_50") as ticks:
            assert (await anext(ticks)).symbol == "R_50"
        assert client.status.connection == 1


async def test_g18_a_reply_that_names_two_requests_is_nobodys(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.send({"req_id": request["req_id"], "echo_req": {"req_id": 99}, "time": 5})
        await peer.reply(request, time=1_700_000_000)

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        assert (await client.call({"time": 1}))["time"] == 1_700_000_000


async def test_g14_the_ids_of_contracts_that_are_sold_are_not_kept(autojump_clock: Any) -> None:
    async def handle(peer: Peer, request: Request) -> None:
        await peer.reply(request, proposal_open_contract={}, subscription={"id": "all"})
        for n in range(12_000):
            contract = {"contract_id": n, "is_sold": 1}
            await peer.reply(request, proposal_open_contract=contract, subscription={"id": f"{n}"})

    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.subscribe({"proposal_open_contract": 1}, buffer=20_000) as contracts,
    ):
        async for message in contracts:
            if message["proposal_open_contract"].get("contract_id") == 11_999:
                break
        assert contracts.id == "all"
        assert client.status.connection == 1


async def unbroken(storm: Storm, server: Server) -> None:
    with suppress(trio_websocket.ConnectionClosed):  # the client has left
        await storm.blow(server)


async def until_failed(events: Any) -> Failed:
    with trio.fail_after(60):
        async for event in events:
            if isinstance(event, Failed):
                return event
    raise AssertionError


class Again:
    """A server that gives a stream of a symbol the same id each time; replies take a second."""

    def __init__(self) -> None:
        self.open: list[str] = []

    async def handle(self, peer: Peer, request: Request) -> None:
        if "forget" in request:
            if request["forget"] in self.open:
                self.open.remove(request["forget"])
            await peer.reply(request, forget=1)
        elif "ticks" in request:
            await trio.sleep(1)
            symbols = request["ticks"]
            for symbol in [symbols] if isinstance(symbols, str) else symbols:
                self.open.append(symbol)
                await peer.reply(request, **tick(1), subscription={"id": symbol})
        else:
            await polite(peer, request)


async def list_of(client: Client) -> None:
    async with client.subscribe({"ticks": ["R_10", "R_25"]}) as ticks:
        await anext(ticks)
        await anext(ticks)


@pytest.mark.parametrize("old", [stream_of, list_of, call_of, gone_of])
async def test_g06_a_stream_with_the_id_of_one_that_was_forgotten_is_forgotten_too(
    autojump_clock: Any, old: Old
) -> None:
    again = Again()
    async with (
        open_server(again.handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
    ):
        for times in (1, 2, 3):
            await old(client)
            await trio.sleep(5)
            assert again.open == []
            symbols = 2 if old is list_of else 1
            assert len(server.asked("forget")) == times * symbols  # each once


async def test_g18_ids_of_contracts_of_any_kind_and_number_are_borne(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All come under one subscription, so no number of ids bounds what is known of them."""
    monkeypatch.setattr(upstream, "MOST_CONTRACTS", 100)
    monkeypatch.setattr(contracts, "MOST_CONTRACTS", 100)
    odd: list[Any] = [[1], {"a": 1}, None, True, 1.5, "x" * 1000, -1, *range(1, 500)]

    async def handle(peer: Peer, request: Request) -> None:
        for contract_id in odd:
            contract = {"contract_id": contract_id, "is_sold": 0}
            await peer.reply(request, proposal_open_contract=contract, subscription={"id": "one"})

    before = {id(each) for each in gc.get_objects() if isinstance(each, upstream.Upstream)}
    async with (
        open_server(handle) as server,
        derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        client.subscribe({"proposal_open_contract": 1}) as stream,
    ):
        got = [(await anext(stream))["proposal_open_contract"]["contract_id"] for _ in odd]
        assert got == odd
        (family,) = [
            each
            for each in gc.get_objects()
            if isinstance(each, upstream.Upstream) and id(each) not in before
        ]
        assert family.parts is not None
        assert list(family.parts)[-1] == "499"
        assert len(family.parts) == 100
        assert client.status.connection == 1
