"""G01 and the heartbeat, on the virtual clock."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio
from peers import Peer as BarePeer
from peers import open_endpoint, well
from scripted import Peer, Request, open_server, polite

import derivtrio
from derivtrio import Settings
from derivtrio.calls.queue import SendQueue
from derivtrio.calls.routing import Router
from derivtrio.calls.session import Session
from derivtrio.calls.status import EventBus
from derivtrio.connection.disconnect import Disconnect
from derivtrio.simulator import open_simulator
from derivtrio.simulator.network.memory_stream import open_pair
from derivtrio.supervision.heartbeat import beat


async def test_g01_a_mute_server_is_noticed_in_interval_and_timeout(autojump_clock: Any) -> None:
    async def mute(peer: Peer, request: Request) -> None:
        if "ping" not in request or peer.number > 1:
            await polite(peer, request)

    async with (
        open_server(mute) as server,
        derivtrio.open_client(endpoint=server) as client,
        client.events() as events,
    ):
        await client.call({"time": 1})
        begin = trio.current_time()
        async for event in events:
            if isinstance(event, derivtrio.Closed):
                break
        assert trio.current_time() - begin == pytest.approx(25 + 10)
        assert (event.by, event.code, event.was_clean) == ("heartbeat", 1006, False)
        assert isinstance(client.status.last_error, derivtrio.HeartbeatMissed)
        await client.wait_ready()
        assert server.asked("ping")[0][0] == 1


async def test_no_ping_while_the_server_talks(autojump_clock: Any) -> None:
    async def talk(peer: Peer) -> None:
        async def on() -> None:
            for _ in range(100):
                await trio.sleep(20)
                await peer.send({"msg_type": "news"})

        server.nursery.start_soon(on)

    async with open_server() as server:
        server.on_open = talk
        async with derivtrio.open_client(endpoint=server):
            await trio.sleep(2000)
            assert server.asked("ping") == []
            await trio.sleep(100)
            assert len(server.asked("ping")) >= 3


async def test_any_message_is_a_sign_of_life_not_only_the_pong(autojump_clock: Any) -> None:
    async def evasive(peer: Peer, request: Request) -> None:
        await peer.send({"msg_type": "anything"})

    async with (
        open_server(evasive) as server,
        derivtrio.open_client(endpoint=server) as client,
    ):
        await trio.sleep(86400)
        assert client.status.connection == 1
        assert client.status.pending == 0
        assert client.status.round_trip is None


async def test_round_trips_are_measured(autojump_clock: Any) -> None:
    async def slow(peer: Peer, request: Request) -> None:
        await trio.sleep(0.25)
        await polite(peer, request)

    async with (
        open_server(slow) as server,
        derivtrio.open_client(endpoint=server) as client,
    ):
        assert client.status.round_trip is None
        await trio.sleep(60)
        assert client.status.round_trip == pytest.approx(0.25)


async def test_the_session_outlives_the_servers_idle_rule(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, idle_timeout=120) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        await trio.sleep(86400)
        assert client.status.connection == 1
        assert sim.accepted == 1


async def test_a_short_interval_with_a_long_timeout_keeps_its_promise(
    autojump_clock: Any,
) -> None:
    """A pong ends the wait at once, so the next silence is counted from it."""
    answers = 3

    async def tiring(peer: Peer, request: Request) -> None:
        nonlocal answers
        answers -= 1
        if answers >= 0:
            await polite(peer, request)

    settings = Settings(heartbeat_interval=1, heartbeat_timeout=30)
    async with (
        open_server(tiring) as server,
        derivtrio.open_client(endpoint=server, settings=settings) as client,
        client.events() as events,
    ):
        begin = trio.current_time()
        async for event in events:
            if isinstance(event, derivtrio.Closed):
                break
        assert trio.current_time() - begin == pytest.approx(3 * 1 + 1 + 30, abs=0.1)
        assert server.asked("ping")


async def test_the_reason_is_the_true_one_when_a_server_talks_but_does_not_listen(
    autojump_clock: Any,
) -> None:
    async def deafened(peer: BarePeer) -> None:
        await peer.accept()
        while True:
            await trio.sleep(27)
            await peer.say({"msg_type": "news"})

    async with (
        open_endpoint(deafened, well, pair=open_pair) as endpoint,
        derivtrio.open_client(endpoint=endpoint) as client,
    ):
        await trio.sleep(5)
        with pytest.raises(derivtrio.OutcomeUnknown, match="the server took no bytes for 35 s"):
            await client.send("x" * 1_000_000)
        assert trio.current_time() == 5 + 25 + 10


class QuietLink:
    """A link to a server that answers pings at once, and otherwise says nothing."""

    writing = False

    def __init__(self) -> None:
        self.heard = trio.current_time()
        self.pings = 0
        self.disconnect: Disconnect | None = None
        self._arrival = trio.Event()

    def arrival(self) -> trio.Event:
        self._arrival = trio.Event()
        return self._arrival

    async def send(self, messages: Sequence[str]) -> None:
        assert all('"ping":1' in message for message in messages)
        self.pings += 1
        self.heard = trio.current_time()
        self._arrival.set()

    def lose(self, loss: Disconnect) -> None:
        self.disconnect = loss


class LeapingClock(trio.abc.Clock):
    """Virtual time that leaps to the next deadline; MockClock's caution costs as much as a beat."""

    def __init__(self) -> None:
        self.now = 0.0

    def start_clock(self) -> None:
        """Nothing to start."""

    def current_time(self) -> float:
        return self.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        self.now = max(deadline, self.now)
        return 0


@pytest.mark.long
def test_a_year_of_heartbeats() -> None:
    """The task alone: what it does to a link and a router is all that a year could wear out."""
    year, interval = 365 * 86400, 100

    async def main() -> tuple[QuietLink, Router]:
        router = Router()
        session = Session(
            Settings(heartbeat_interval=interval), "v3", SendQueue(1), router, EventBus()
        )
        link = QuietLink()
        with trio.move_on_after(year):
            await beat(link, session)  # type: ignore[arg-type]
        return link, router

    link, router = trio.run(main, clock=LeapingClock())
    assert link.disconnect is None
    assert abs(link.pings - year // interval) <= 1
    assert len(list(router.waiting())) == 1
