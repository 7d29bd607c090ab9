"""Every way for a connection to end, as both sides tell it; and how soon it is over.

Of the client it is the events that are held against the table, from the first to the last; of
the server the record that the simulator keeps.
"""

# ruff: noqa: FBT001 - what a test is given as a flag is a parameter, not an option

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import pytest
import trio
import trustme
from peers import (
    HOST,
    RESERVED_BIT,
    Diary,
    Peer,
    ScriptedEndpoint,
    deaf,
    half_open,
    open_diary,
    open_endpoint,
    silent,
    tick,
    well,
)
from trio.testing import lockstep_stream_pair
from wsproto.events import CloseConnection

from derivtrio import (
    Backoff,
    CertificateRejected,
    Client,
    Closed,
    ConnectionFailed,
    ConnectRefused,
    ConnectTimeout,
    DerivError,
    Failed,
    HandshakeFailed,
    HandshakeRejected,
    HeartbeatMissed,
    MessageReceived,
    MessageSent,
    PeerClosed,
    ProtocolViolation,
    Ready,
    Settings,
    Waiting,
    open_client,
)
from derivtrio.simulator import Ending, Simulator, open_simulator

SETTINGS = Settings(
    connect_timeout=3,
    close_timeout=2,
    backoff=Backoff(first=0.001, cap=0.001),
    max_message_size=100_000,
)

both_ways = pytest.mark.parametrize("bulk", [True, False], ids=["bulk", "one by one"])


@attrs.frozen
class Case:
    """One way to end: what is done, and what each side says of it.

    `client` is the code, reason, cleanness and author of `Closed`; `error` the type that the
    `Failed` before it carries, if there is one. `seconds` is when `Closed` came.
    """

    name: str
    deed: Callable[[Client, Simulator], Any]
    client: tuple[int, str, bool, str]
    server: Ending | None
    error: type[Exception] | None = None
    seconds: float = 1
    fatal: bool = False


def closing(code: int, reason: str) -> Callable[[Client, Simulator], Awaitable[None]]:
    return lambda client, _: client.aclose(code, reason)


def fault(name: str, *args: Any, **named: Any) -> Callable[[Client, Simulator], None]:
    return lambda _, sim: getattr(sim.faults, name)(*args, **named)


def by_us(code: int = 1000, reason: str = "", **named: Any) -> Ending:
    return Ending("client", "close handshake", code, reason, clean=True)


def by_server(code: int, reason: str, **named: Any) -> Ending:
    return Ending("server", "fault: close", code, reason, **named)


CASES = [
    Case("us", closing(1000, ""), (1000, "", True, "us"), by_us()),
    Case(
        "us, with a reason", closing(1000, "done"), (1000, "done", True, "us"), by_us(1000, "done")
    ),
    Case("us, 3000", closing(3000, "no"), (3000, "no", True, "us"), by_us(3000, "no")),
    Case("us, 4999", closing(4999, "é" * 61), (4999, "é" * 61, True, "us"), by_us(4999, "é" * 61)),
    *(
        Case(
            f"server, {code}",
            fault("close", code, reason),
            (code, reason, True, "server"),
            by_server(code, reason, clean=True),
            fatal=code in (3000, 3003),
        )
        for code, reason in [
            (1000, ""),
            (1000, "bye"),
            (1001, "going away"),
            (1003, ""),
            (1008, "policy"),
            (1011, "é" * 61),
            (1012, "restart"),
            (1013, "later"),
            (3000, "unauthorized"),
            (3003, "forbidden"),
            (4000, "own"),
            (4999, "own"),
        ]
    ),
    Case(
        "server, without FIN",
        fault("close_without_fin", 1012, "restart"),
        (1012, "restart", True, "server"),
        by_server(1012, "restart"),
    ),
    Case(
        "drop",
        fault("drop"),
        (1006, "", False, "network"),
        Ending("server", "fault: drop"),
        PeerClosed,
    ),
    Case(
        "reset",
        fault("drop", reset=True),
        (1006, "", False, "network"),
        Ending("server", "fault: reset"),
        PeerClosed,
    ),
    Case(
        "freeze",
        fault("freeze"),
        (1006, "", False, "heartbeat"),
        Ending("server", "fault: freeze"),
        HeartbeatMissed,
        seconds=35,
    ),
    Case(
        "not JSON",
        fault("garbage"),
        (1007, "", True, "us"),
        by_us(1007),
        ProtocolViolation,
    ),
    Case(
        "JSON, but no object",
        fault("garbage", "[1]"),
        (1007, "", True, "us"),
        by_us(1007),
        ProtocolViolation,
    ),
    Case(
        "no frame",
        fault("garbage", RESERVED_BIT),
        (1006, "", False, "us"),
        Ending("client", "end of stream", fin=True),
        ProtocolViolation,
    ),
    Case(
        "a message too large",
        fault("huge", 100_001),
        (1006, "", False, "us"),
        by_us(1009, "Exceeded maximum message size: 100000 bytes"),
        ProtocolViolation,
    ),
]


@both_ways
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_an_open_connection_ends_as_both_sides_say(
    autojump_clock: Any, case: Case, bulk: bool
) -> None:
    settings = SETTINGS.but(fast=bulk, wait_ready=False)
    async with open_simulator(port=None) as sim, open_diary() as diary:
        with trio.fail_after(100):
            try:
                async with open_client(endpoint=sim.endpoint, settings=settings) as client:
                    await diary.follow(client, traffic=True)
                    await client.call({"time": 1})
                    await trio.sleep(1)
                    if (waiting := case.deed(client, sim)) is not None:
                        await waiting
                    await diary.until(Closed)
                    await trio.sleep(3)
            except ConnectionFailed:
                assert case.fatal
        history = sim.history
    told(diary, case)
    assert history[0].ending == case.server


def told(diary: Diary, case: Case) -> None:
    """Assert that the client's events tell the first connection's story as *case* has it."""
    story = diary.story()
    end = story.index("Closed")
    failure = [] if case.error is None else ["Failed"]
    assert [name for name in story[: end + 1] if not name.startswith("Message")] == [
        *["Connecting", "Opened", "Ready"],
        *failure,
        "Closed",
    ]
    assert '"time"' in str(diary.of(MessageSent)[0].data)
    assert '"msg_type":"time"' in str(diary.of(MessageReceived)[0].data)
    closed = diary.of(Closed)[0]
    assert (closed.code, closed.reason, closed.was_clean, closed.by) == case.client
    assert diary.times(Closed)[0] == case.seconds
    if case.error is not None:
        assert type(diary.of(Failed)[0].error) is case.error
    follows = story[end + 1 : end + 2]
    over = case.fatal or (case.client[3] == "us" and not failure)
    assert follows == ([] if over else ["Waiting"])


async def test_a_reset_is_the_cause_of_the_loss(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        open_diary() as diary,
        open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
    ):
        await diary.follow(client)
        sim.faults.drop(reset=True)
        await diary.until(Closed)
        assert isinstance(diary.of(Failed)[0].error.__cause__, trio.BrokenResourceError)


async def test_a_close_frame_without_a_code_is_1005(autojump_clock: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.accept()
        await peer.write(b"\x88\x00")
        await peer.event()
        await peer.linger()

    async with (
        open_endpoint(script, well) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=SETTINGS) as client,
    ):
        await diary.follow(client)
        await diary.until(Closed)
        assert [(e.code, e.reason, e.was_clean, e.by) for e in diary.of(Closed)] == [
            (1005, "", True, "server")
        ]
        assert len(endpoint.peers[0].closes) == 1


@pytest.mark.parametrize("how", ["leaving", "raising", "cancelling"])
async def test_every_way_out_of_the_block_is_a_normal_close(autojump_clock: Any, how: str) -> None:
    async with open_simulator(port=None) as sim, open_diary() as diary:
        with trio.CancelScope() as scope, suppress(MineError):
            async with open_client(endpoint=sim.endpoint, settings=SETTINGS) as client:
                await diary.follow(client)
                await trio.sleep(1)
                leave(how, scope)
                await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught is (how == "cancelling")
        assert trio.current_time() == 1
        await trio.testing.wait_all_tasks_blocked()
        assert [record.ending for record in sim.history] == [by_us()]
        assert sim.connections == []
    assert [(e.code, e.was_clean, e.by) for e in diary.of(Closed)] == [(1000, True, "us")]


class MineError(Exception):
    """What the body of a test raises; it comes out as it is, and not in a group."""


def leave(how: str, scope: trio.CancelScope) -> None:
    if how == "raising":
        raise MineError
    if how == "cancelling":
        scope.cancel()


@pytest.mark.parametrize("status", [408, 421, 423, 425, 429, 500, 502, 503, 504, 520])
async def test_a_refusal_that_may_pass_is_told_and_tried_again(
    autojump_clock: Any, status: int
) -> None:
    async with open_simulator(port=None) as sim, open_diary() as diary:
        sim.faults.reject(status, b"not now", times=2)
        settings = SETTINGS.but(wait_ready=False)
        async with open_client(endpoint=sim.endpoint, settings=settings) as client:
            await diary.follow(client)
            await client.wait_ready()
            assert client.status.connection == 1
        refused = ["Connecting", "Failed", "Waiting"]
        await diary.until(Closed)
        assert diary.story() == [*refused, *refused, "Connecting", "Opened", "Ready", "Closed"]
        errors = [event.error for event in diary.of(Failed)]
        assert [(type(e), e.status, e.body) for e in errors] == [  # type: ignore[attr-defined]
            (HandshakeRejected, status, b"not now")
        ] * 2
        assert (sim.attempts, sim.accepted) == (3, 1)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 403, 404, 410, 426, 451])
@pytest.mark.parametrize("wait_ready", [True, False])
async def test_a_refusal_for_good_is_told_and_final(
    autojump_clock: Any, status: int, wait_ready: bool
) -> None:
    async with open_simulator(port=None) as sim, open_diary() as diary:
        sim.faults.reject(status, b"never")
        settings = SETTINGS.but(wait_ready=wait_ready)
        with pytest.raises(DerivError) as caught:
            async with open_client(endpoint=sim.endpoint, settings=settings) as client:
                await diary.follow(client)
                await trio.sleep_forever()
        verdict = caught.value if wait_ready else caught.value.__cause__
        assert isinstance(verdict, HandshakeRejected)
        assert (verdict.status, verdict.body) == (status, b"never")
        assert wait_ready or isinstance(caught.value, ConnectionFailed)
        assert (sim.attempts, sim.accepted) == (1, 0)
        assert trio.current_time() == 0
    assert diary.story() == ([] if wait_ready else ["Connecting", "Failed"])


@pytest.mark.parametrize(
    ("name", "error", "seconds"),
    [
        ("refuse", ConnectRefused, 0),
        ("silence", ConnectTimeout, 3),
        ("garbage_handshake", HandshakeFailed, 0),
        ("hang_up", HandshakeFailed, 0),
    ],
)
async def test_an_attempt_that_fails_is_told_and_followed_by_another(
    autojump_clock: Any, name: str, error: type[Exception], seconds: float
) -> None:
    async with open_simulator(port=None) as sim, open_diary() as diary:
        getattr(sim.faults, name)()
        settings = SETTINGS.but(wait_ready=False)
        async with open_client(endpoint=sim.endpoint, settings=settings) as client:
            await diary.follow(client)
            await diary.until(Waiting)
            sim.faults.clear()
            await client.wait_ready()
        await diary.until(Closed)
        assert diary.story()[:3] == ["Connecting", "Failed", "Waiting"]
        assert diary.story()[-4:] == ["Connecting", "Opened", "Ready", "Closed"]
        assert type(diary.of(Failed)[0].error) is error
        assert diary.times(Failed)[0] == seconds
        assert sim.accepted == 1


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@asynccontextmanager
async def open_tls(authority: trustme.CA, name: str) -> AsyncGenerator[Simulator]:
    """Run a simulator on a real socket, with a certificate for *name*."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    with trio.fail_after(20):
        async with open_simulator(ssl_context=context) as sim:
            yield sim


def trusting(authority: trustme.CA) -> Settings:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return SETTINGS.but(ssl_context=context, connect_timeout=20, wait_ready=False)


@pytest.mark.parametrize("name", ["127.0.0.1", "other.invalid"], ids=["untrusted", "other name"])
async def test_tls_refused_is_told_and_final(authority: trustme.CA, name: str) -> None:
    settings = trusting(trustme.CA() if name == "127.0.0.1" else authority)
    async with open_tls(authority, name) as sim, open_diary() as diary:
        with pytest.raises(ConnectionFailed) as caught:
            async with open_client(endpoint=sim.url, settings=settings) as client:
                await diary.follow(client)
                await trio.sleep_forever()
        assert isinstance(caught.value.__cause__, CertificateRejected)
        assert isinstance(caught.value.__cause__.__cause__, ssl.SSLCertVerificationError)
        assert (sim.attempts, sim.accepted, sim.history) == (1, 0, [])
    assert diary.story() == ["Connecting", "Failed"]
    assert diary.of(Failed)[0].error is caught.value.__cause__


async def test_tls_broken_is_told_and_tried_again(authority: trustme.CA) -> None:
    async with open_tls(authority, "127.0.0.1") as sim, open_diary() as diary:
        sim.faults.break_tls()
        async with open_client(endpoint=sim.url, settings=trusting(authority)) as client:
            await diary.follow(client)
            assert (await client.call({"ping": 1}))["ping"] == "pong"
        await diary.until(Closed)
        assert diary.story() == [
            *["Connecting", "Failed", "Waiting"],
            *["Connecting", "Opened", "Ready", "Closed"],
        ]
        assert isinstance(diary.of(Failed)[0].error, ConnectRefused)
        assert isinstance(diary.of(Failed)[0].error.__cause__, ssl.SSLError)
        assert (sim.attempts, sim.accepted) == (2, 1)


async def chatter(peer: Peer) -> None:
    """Go on sending what nobody has asked for, and read nothing."""
    while True:
        await trio.sleep(7)
        await peer.say(tick(0))


async def close_without_fin(peer: Peer) -> None:
    await peer.accept()
    await peer.put(CloseConnection(1012))
    await peer.linger()


async def deaf_after_handshake(peer: Peer) -> None:
    await peer.accept()
    await deaf(peer)


async def deaf_but_talking(peer: Peer) -> None:
    await peer.accept()
    await chatter(peer)


async def mute_in_the_middle_of_a_frame(peer: Peer) -> None:
    await peer.accept()
    await peer.write(b"\x81\x7e\xff\xff" + b"x" * 100)
    await peer.linger()


async def mute_in_the_middle_of_a_message(peer: Peer) -> None:
    await peer.accept()
    await peer.write(b"\x01\x02{}")
    await peer.linger()


async def half_a_head(peer: Peer) -> None:
    await peer.read_request()
    await peer.write(b"HTTP/1.1 101 Switching Protocols\r\n")
    await peer.linger()


#: The peers that stop answering, and what the client may say of them.
DEAD_PEERS = pytest.mark.parametrize(
    "script",
    [
        silent,
        half_a_head,
        half_open,
        close_without_fin,
        deaf_after_handshake,
        mute_in_the_middle_of_a_frame,
        mute_in_the_middle_of_a_message,
    ],
)


@both_ways
@DEAD_PEERS
async def test_g01_a_peer_that_stops_answering_is_noticed_in_time_and_replaced(
    autojump_clock: Any, script: Callable[[Peer], Any], bulk: bool
) -> None:
    settings = SETTINGS.but(heartbeat_interval=20, heartbeat_timeout=5, fast=bulk, wait_ready=False)
    async with (
        open_endpoint(script, well, pair=lockstep_stream_pair) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await diary.follow(client)
        await diary.until(Waiting)
        assert trio.current_time() <= 25
        assert endpoint.lines[0].closed_at == trio.current_time()
        await diary.until(Ready, times=len(diary.of(Ready)) + 1)
        assert (await client.call({"ping": 1}))["ping"] == "pong"


async def test_g01_calls_to_a_peer_that_does_not_read_end_in_time(autojump_clock: Any) -> None:
    settings = SETTINGS.but(heartbeat_interval=20, heartbeat_timeout=5)
    async with (
        open_endpoint(deaf_but_talking, well, pair=lockstep_stream_pair) as endpoint,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await trio.sleep(10)
        assert (await client.call({"time": 1}))["time"]
        assert int(trio.current_time()) == endpoint.lines[0].closed_at == 35
        assert client.status.connection == 2


@pytest.mark.long
async def test_g01_a_year_with_a_server_that_freezes_once_a_day(autojump_clock: Any) -> None:
    days = 365

    async def day(peer: Peer) -> None:
        await peer.accept()
        with trio.move_on_after(86_400):
            await peer.serve()
        await peer.linger()

    settings = Settings(heartbeat_interval=3600, heartbeat_timeout=60)
    async with (
        open_endpoint(day, within=400 * 86_400) as endpoint,
        open_diary() as diary,
        open_client(endpoint=endpoint, settings=settings) as client,
    ):
        await diary.follow(client)
        await trio.sleep(days * 86_400)
        assert {event.by for event in diary.of(Closed)} == {"heartbeat"}
        assert 345 < len(diary.of(Closed)) <= days
        for peer, line in zip(endpoint.peers, endpoint.lines[:-1], strict=False):
            assert line.closed_at is not None
            assert 0 < line.closed_at - peer.opened_at - 86_400 <= 3660


class Unreachable(ScriptedEndpoint):
    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:  # noqa: ARG002
        await trio.sleep_forever()
        raise AssertionError


class Homeless(ScriptedEndpoint):
    async def url(self) -> str:
        await trio.sleep_forever()
        raise AssertionError


class Refusing(ScriptedEndpoint):
    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:  # noqa: ARG002
        raise ConnectionRefusedError


@attrs.frozen
class State:
    """A state in which to leave a client, and how long the goodbye takes there."""

    name: str
    script: Callable[[Peer], Any] = well
    kind: type[ScriptedEndpoint] = ScriptedEndpoint
    seconds: float = 0
    token: str | None = None
    writes: bool = False
    address: str = f"ws://{HOST}/"


STATES = [
    State("url", kind=Homeless),
    State("TCP", kind=Unreachable),
    State("TLS", silent, address=f"wss://{HOST}/"),
    State("handshake", silent),
    State("half a handshake", half_a_head),
    State("backoff", kind=Refusing),
    State("restoring", half_open, token="secret", seconds=2),
    State("ready", well),
    State("half-open", half_open, seconds=2),
    State("not reading", deaf_after_handshake, seconds=2),
    State("not reading, a write stalled", deaf_after_handshake, seconds=2, writes=True),
    State("talking, a write stalled", deaf_but_talking, seconds=2, writes=True),
    State("in the middle of a frame", mute_in_the_middle_of_a_frame, seconds=2),
    State("closed without FIN", close_without_fin),
]


@pytest.mark.parametrize("how", ["leaving", "raising", "cancelling"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
async def test_g02_leaving_takes_no_longer_than_the_close_timeout_and_leaves_nothing(
    autojump_clock: Any, state: State, how: str
) -> None:
    settings = SETTINGS.but(
        wait_ready=False, connect_timeout=100, backoff=Backoff(first=1000, cap=1000)
    )
    ended: list[Exception] = []
    async with open_endpoint(state.script, pair=lockstep_stream_pair, kind=state.kind) as endpoint:
        endpoint.address = state.address
        with trio.CancelScope() as scope, suppress(MineError):
            async with open_client(
                endpoint=endpoint, settings=settings, token=state.token
            ) as client:
                if state.writes:
                    endpoint.nursery.start_soon(decided, client, {"buy": 1}, ended)
                    endpoint.nursery.start_soon(decided, client, {"sell": 1}, ended)
                await trio.sleep(1)
                leave(how, scope)
                await trio.lowlevel.checkpoint()
        assert trio.current_time() == 1 + state.seconds
        assert scope.cancelled_caught is (how == "cancelling")
        endpoint.assert_nothing_left()
        await trio.testing.wait_all_tasks_blocked()
        assert len(ended) == 2 * state.writes
        assert client.status.pending == 0


async def decided(client: Client, request: dict[str, Any], ended: list[Exception]) -> None:
    """Make a call that is not answered by a result, and note how it ended."""
    try:
        await client.call(request)
    except DerivError as error:
        ended.append(error)


@pytest.mark.parametrize("state", STATES[:7], ids=lambda state: state.name)
async def test_g02_cancelling_the_opening_leaves_nothing(autojump_clock: Any, state: State) -> None:
    settings = SETTINGS.but(connect_timeout=100, backoff=Backoff(first=1000, cap=1000))
    async with open_endpoint(state.script, kind=state.kind) as endpoint:
        endpoint.address = state.address
        with trio.move_on_after(1) as scope:
            async with open_client(endpoint=endpoint, settings=settings, token=state.token):
                pytest.fail("there is nothing to be ready")
        assert scope.cancelled_caught
        assert trio.current_time() == 1 + state.seconds
        endpoint.assert_nothing_left()
