"""The statements of Deriv's guide to WebSockets: each has a place, and is so here.

The numbers are those of the table in examples/lessons/README.md, which says where a statement is
corrected. Tests are named for them: `test_05_…`.
"""

import json
import re
import ssl
from typing import Any

import pytest
import trio
import trustme
from lessons.consoles import LESSONS
from websockets.sync.server import ServerConnection, serve

import derivtrio
from derivtrio import Closed, Failed, MessageReceived, Opened, Ready, State
from derivtrio.api import catalog
from derivtrio.simulator import Limits, open_ending_server, open_simulator

TABLE = (LESSONS / "README.md").read_text().split("## The guide's statements")[1]
STATEMENTS = [
    int(number) for number in re.findall(r"^\| (\d+) \| .+ \| .*\]\(.+\) \|$", TABLE, re.MULTILINE)
]
SETTINGS = derivtrio.Settings(wait_ready=False)


def test_each_statement_has_a_place_and_a_test() -> None:
    names = [name.split("_") for name in globals() if re.match(r"test_\d\d_", name)]
    tested = {int(word) for words in names for word in words if re.fullmatch(r"\d\d", word)}
    assert STATEMENTS == sorted(tested) == list(range(1, 23))


def test_01_the_base_endpoint_is_the_default() -> None:
    url = trio.run(derivtrio.V3(1089).url)
    assert url == "wss://ws.derivws.com/websockets/v3?app_id=1089"


async def test_02_the_app_id_must_be_replaced(autojump_clock: Any) -> None:
    with pytest.raises((ValueError, derivtrio.DerivError)):
        async with derivtrio.open_client("{app_id}"):
            pass


async def test_03_the_limits_are_in_website_status(autojump_clock: Any) -> None:
    limits = Limits()
    async with (
        open_simulator(port=None, limits=limits) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        reply = await client.call({"website_status": 1})
        assert "max_requestes_general" in reply["website_status"]["api_call_limits"]
        async with trio.open_nursery() as nursery:
            for _ in range(200):
                nursery.start_soon(client.call, {"time": 1})
        assert sim.refused == {}


async def test_04_the_call_is_website_status(autojump_clock: Any) -> None:
    assert catalog.is_safe("website_status")
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        with pytest.raises(derivtrio.InvalidRequest):
            await client.call({"server_status": 1})


async def test_05_a_session_ends_after_two_minutes_without_traffic(autojump_clock: Any) -> None:
    lazy = derivtrio.Settings(heartbeat_interval=1000)
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=lazy) as client,
        client.events() as events,
    ):
        began = trio.current_time()
        while not isinstance(event := await anext(events), Closed):
            pass
        assert (event.code, event.by) == (1000, "server")
        assert trio.current_time() - began == pytest.approx(120, abs=1)
        await client.wait_ready()
        assert client.status.connection == 2


@pytest.mark.parametrize("call", ["ping", "time"])
async def test_06_ping_or_time_keep_it_alive(autojump_clock: Any, call: str) -> None:
    lazy = derivtrio.Settings(heartbeat_interval=1000)
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=lazy) as client,
    ):
        for _ in range(10):
            await trio.sleep(110)
            await client.call({call: 1})
        assert sim.accepted == 1


async def test_06_so_does_the_heartbeat(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint),
    ):
        await trio.sleep(3600)
        assert sim.accepted == 1
        assert all("ping" in request for request in sim.connections[0].requests)


async def test_07_an_instance_is_made_by_open_client(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as one,
        derivtrio.open_client(endpoint=sim.endpoint) as other,
    ):
        assert one is not other
        assert len(sim.connections) == 2


async def test_08_wss_is_encrypted_and_checked() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with open_simulator(ssl_context=context) as sim:
        assert sim.url.startswith("wss://")
        settings = derivtrio.Settings(ssl_context=trusting)
        async with derivtrio.open_client(endpoint=sim.url, settings=settings) as client:
            assert (await client.call({"ping": 1}))["ping"] == "pong"
        with pytest.raises(derivtrio.CertificateRejected):
            async with derivtrio.open_client(endpoint=sim.url):
                pass
        plain = derivtrio.Settings(max_attempts=1)
        with pytest.raises(derivtrio.DerivError):
            async with derivtrio.open_client(endpoint="ws" + sim.url[3:], settings=plain):
                pass


async def seen(*faults: str, seconds: float = 5) -> list[Any]:
    """Return the events of a client of a simulator with these *faults*."""
    found: list[Any] = []
    async with open_simulator(port=None, faults=faults) as sim:
        await trio.testing.wait_all_tasks_blocked()  # faults at 0 are there
        async with (
            derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
            client.events(traffic=True) as events,
        ):
            with trio.move_on_after(seconds):
                async for event in events:
                    found.append(event)  # noqa: PERF401  (a list that is kept when cut short)
    return found


async def test_09_opened_is_announced(autojump_clock: Any) -> None:
    kinds = [type(event) for event in await seen()]
    assert kinds.index(Opened) < kinds.index(Ready)


async def test_10_the_states(autojump_clock: Any) -> None:
    assert {state.value for state in State} == {
        *("connecting", "restoring", "ready", "waiting", "closing", "closed", "failed")
    }
    page = (LESSONS / "javascript" / "README.md").read_text()
    table = page.split("### States")[1].split("### Events")[0]
    for state in State:
        assert f"`{state.value}`" in table
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
    ):
        assert client.status.state is State.CONNECTING
        await client.wait_ready()
        assert client.status.state is State.READY
    assert client.status.state is State.CLOSED


async def test_11_every_message_in_order(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        client.events(traffic=True) as events,
    ):
        for number in range(5):
            await client.send({"ping": 1, "req_id": 2147483648 + number})
        found: list[int] = []
        async for event in events:
            if isinstance(event, MessageReceived):
                found.append(json.loads(event.data)["req_id"] - 2147483648)
                if len(found) == 5:
                    break
        assert found == list(range(5))


@pytest.mark.parametrize(
    ("fault", "by"), [("close:1000@1", "server"), ("drop@1", "network"), ("freeze@1", "heartbeat")]
)
async def test_12_and_14_and_15_who_closed_and_how(
    autojump_clock: Any, fault: str, by: str
) -> None:
    found = await seen(fault, seconds=60)
    (closed, *_) = [event for event in found if isinstance(event, Closed)]
    clean = by == "server"
    assert (closed.by, closed.was_clean, closed.code) == (by, clean, 1000 if clean else 1006)
    assert any(isinstance(event, Failed) for event in found) is not clean
    assert sum(isinstance(event, Opened) for event in found) == 2  # it was retried


async def test_13_close_has_a_code_and_a_reason_and_is_answered(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
        client.events() as events,
    ):
        await client.aclose(4001, "my reason")
        (closed,) = [event async for event in events if isinstance(event, Closed)]
        assert (closed.code, closed.reason, closed.by) == (4001, "my reason", "us")
        await trio.sleep(1)
        ending = sim.history[0].ending
        assert (ending.code, ending.reason, ending.clean) == (4001, "my reason", True)


async def test_14_was_clean_is_about_the_handshake_and_not_about_success() -> None:
    async with (
        open_ending_server("closes-1008") as url,
        derivtrio.open_client(endpoint=url) as client,
        client.events() as events,
    ):
        await client.send('{"ping": 1}')
        while not isinstance(event := await anext(events), Closed):
            pass
        assert (event.was_clean, event.code) == (True, 1008)


async def test_15_the_error_says_why(autojump_clock: Any) -> None:
    (failed, *_) = [event for event in await seen("refuse@0") if isinstance(event, Failed)]
    assert isinstance(failed.error, derivtrio.ConnectRefused)


async def test_16_opening_does_not_block(autojump_clock: Any) -> None:
    async with open_simulator(port=None, faults=["silence@0"]) as sim:
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        async with derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client:
            assert trio.current_time() == began
            assert client.status.state is State.CONNECTING


async def test_17_what_is_sent_before_the_connection_is_open_waits(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, faults=["refuse:5@0"]) as sim,
        derivtrio.open_client(endpoint=sim.endpoint, settings=SETTINGS) as client,
    ):
        assert (await client.call({"ping": 1}))["ping"] == "pong"


async def with_server(
    handler: Any, messages: list[str | bytes], replies: int = 0
) -> list[str | bytes]:
    """Send *messages* to a server of another library; return what comes from it."""
    found: list[str | bytes] = []
    with serve(handler, "127.0.0.1", 0, max_size=None) as server:
        port = server.socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, server.serve_forever)
            async with (
                derivtrio.open_client(endpoint=f"ws://127.0.0.1:{port}/") as client,
                client.events(traffic=True) as events,
            ):
                for message in messages:
                    await client.send(message)
                while len(found) < replies:
                    event = await anext(events)
                    if isinstance(event, MessageReceived):
                        found.append(event.data)
            server.shutdown()
    return found


async def test_18_send_takes_text_and_bytes() -> None:
    got: list[str | bytes] = []

    def handler(connection: ServerConnection) -> None:
        for message in connection:
            got.append(message)
            connection.send("{}")

    await with_server(handler, ['{"ping": 1}', b"\x00\x01"], replies=2)
    assert got == ['{"ping": 1}', b"\x00\x01"]


async def test_19_a_large_message_is_one_frame() -> None:
    frames: list[int] = []

    def handler(connection: ServerConnection) -> None:
        frames.extend(len(frame) for frame in connection.recv_streaming())
        connection.send("{}")

    text = json.dumps({"ping": 1, "passthrough": {"text": "x" * 40_000}})
    await with_server(handler, [text], replies=1)
    assert len(text) > 32_767
    assert frames == [len(text)]


async def test_19_fragments_are_joined(autojump_clock: Any) -> None:
    async with (
        open_simulator(port=None, max_message_size=2**20) as sim,
        derivtrio.open_client(endpoint=sim.endpoint) as client,
    ):
        sim.faults.fragmented(32_767)
        text = "x" * 70_000
        reply = await client.call({"ping": 1, "passthrough": {"text": text}})
        assert reply["passthrough"]["text"] == text


async def test_20_the_end_of_the_block_is_a_goodbye(autojump_clock: Any) -> None:
    async with open_simulator(port=None) as sim:
        await trio.sleep(1)  # the simulator's own short tasks have ended
        before = trio.lowlevel.current_statistics().tasks_living
        async with derivtrio.open_client(endpoint=sim.endpoint):
            pass
        await trio.sleep(1)
        assert (sim.history[0].ending.code, sim.history[0].ending.clean) == (1000, True)
        assert trio.lowlevel.current_statistics().tasks_living == before


async def test_21_and_22_a_closed_one_is_over_and_a_new_one_is_made(autojump_clock: Any) -> None:
    async with open_simulator(port=None) as sim:
        async with derivtrio.open_client(endpoint=sim.endpoint) as client:
            pass
        with pytest.raises(derivtrio.ClientClosed):
            await client.call({"ping": 1})
        async with derivtrio.open_client(endpoint=sim.endpoint) as another:
            assert (await another.call({"ping": 1}))["ping"] == "pong"
        assert sim.accepted == 2


async def test_22_each_connection_is_a_new_socket(autojump_clock: Any) -> None:
    assert (
        sum(isinstance(event, Opened) for event in await seen("drop@1", "drop@10", seconds=40)) == 3
    )
