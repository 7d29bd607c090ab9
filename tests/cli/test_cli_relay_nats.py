"""`derivtrio relay`, and a real nats-server with JetStream."""

import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from recording_servers import (
    Server,
    free_port,
    nats_reply,
    nats_without_jetstream,
    package_of_nats,
)
from recording_servers import nats as run_nats
from relays import COMMAND, Relays, wait_until
from served import Served, finished, started
from shell import only_line

nats = package_of_nats()
DAY = 86400


@pytest.fixture(scope="module")
def server_of_nats() -> Iterator[Server]:
    with run_nats() as server:
        yield server


@pytest.fixture
def broker(server_of_nats: Server) -> Iterator[Server]:
    """Return a server without streams."""
    yield server_of_nats
    for name in nats_reply(server_of_nats, names):
        nats_reply(server_of_nats, lambda js, name=name: js.delete_stream(name))


@attrs.frozen
class Found:
    """A message of a stream."""

    subject: str
    name: str
    members: dict[str, Any]


async def names(js: Any) -> list[str]:
    return [each.config.name for each in await js.streams_info()]


def messages(server: Server, name: str = "ticks") -> list[Found]:
    async def read(js: Any) -> list[Found]:
        try:
            state = (await js.stream_info(name)).state
        except nats.js.errors.NotFoundError:
            return []
        found = []
        if state.messages:
            unlimited = nats.js.api.ConsumerConfig(max_ack_pending=1_000_000)
            reader = await js.pull_subscribe(">", stream=name, config=unlimited)
            while len(found) < state.messages:
                found += await reader.fetch(min(500, state.messages - len(found)), timeout=10)
            await reader.unsubscribe()
        return [
            Found(each.subject, each.headers["Nats-Msg-Id"], json.loads(each.data))
            for each in found
        ]

    return list(nats_reply(server, read))


def wait_for(server: Server, more: int) -> None:
    before = count(server)
    wait_until(lambda: count(server) >= before + more)


def count(server: Server) -> int:
    async def messages_in(js: Any) -> int:
        if "ticks" not in await names(js):
            return 0
        return int((await js.stream_info("ticks")).state.messages)

    return int(nats_reply(server, messages_in))


def assert_is_market(found: list[Found], server: Served, symbol: str = "1HZ100V") -> None:
    epochs = [each.members["epoch"] for each in found]
    due = server.sim.market.ticks(symbol, epochs[0], epochs[-1])
    assert [(each.members["epoch"], each.members["quote"]) for each in found] == [
        (tick.epoch, tick.quote) for tick in due
    ]
    assert [each.name for each in found] == [f"{symbol}-{epoch}000-0" for epoch in epochs]


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.long
def test_a_relay_that_is_killed_neither_doubles_nor_loses(
    server: Served, broker: Server, *, remembers: bool
) -> None:
    """Also where the server forgets ids at once: the last message says where to go on."""
    if not remembers:
        forgetful = nats.js.api.StreamConfig(name="ticks", subjects=["ticks"], duplicate_window=0.1)
        nats_reply(broker, lambda js: js.add_stream(forgetful))
    start = str(int(time.time()) - 1500)
    with Relays(server, f"{broker.url}/ticks", "--start", start) as relays:
        for _ in range(3):
            process = relays.start()
            wait_for(broker, 30)
            process.kill()
            process.wait()
            server.do(server.sim.faults.drop)
        process = relays.start()
        wait_for(broker, 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    found = messages(broker)
    assert len(found) > 1600
    assert_is_market(found, server)


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.long
def test_of_a_hot_pair_either_may_die(server: Served, broker: Server, *, remembers: bool) -> None:
    if not remembers:
        forgetful = nats.js.api.StreamConfig(name="ticks", subjects=["ticks"], duplicate_window=0.1)
        nats_reply(broker, lambda js: js.add_stream(forgetful))
    with Relays(server, f"{broker.url}/ticks") as relays:
        first, second = relays.start(), relays.start()
        wait_for(broker, 30)
        first.kill()
        wait_for(broker, 30)
        third = relays.start()
        wait_for(broker, 40)
        second.kill()
        wait_for(broker, 30)
        assert third.poll() is None
    assert_is_market(messages(broker), server)


def test_nats_may_go_away(server: Served) -> None:
    with run_nats() as mine, Relays(server, f"{mine.url}/ticks") as relays:
        process = relays.start()
        wait_for(mine, 20)
        mine.stop()
        assert process.stderr is not None
        while "trying again" not in process.stderr.readline():
            assert process.poll() is None
        mine.start()
        wait_for(mine, 60)
        assert process.poll() is None
        assert_is_market(messages(mine), server)


def test_several_symbols_have_a_subject_each_of_bounded_length(
    server: Served, broker: Server
) -> None:
    def of(symbol: str) -> list[Found]:
        found = messages(broker, "ticks_SYMBOL")
        return [each for each in found if each.subject == f"ticks.{symbol}"]

    start = int(time.time()) - 3000
    command = (*COMMAND, "R_100", "1HZ100V", "--to", f"{broker.url}/ticks", "--url", server.url)
    with started(*command, "--maxlen", "500", "--start", str(start)) as process:
        wait_until(lambda: (found := of("1HZ100V")) and found[-1].members["epoch"] > start + 2900)
        process.terminate()
        assert process.wait() == 143

    assert {each.subject for each in messages(broker, "ticks_SYMBOL")} == {
        "ticks.R_100",
        "ticks.1HZ100V",
    }
    assert len(of("1HZ100V")) == 500
    assert_is_market(of("1HZ100V"), server)
    assert of("1HZ100V")[0].members["symbol"] == "1HZ100V"


def test_a_stream_that_is_there_is_used(server: Served, broker: Server) -> None:
    nats_reply(broker, lambda js: js.add_stream(name="market", subjects=["deriv.>"], max_msgs=50))
    with Relays(server, f"{broker.url}/deriv.{{symbol}}.ticks") as relays:
        relays.start()
        wait_until(lambda: len(messages(broker, "market")) >= 20)
    assert {each.subject for each in messages(broker, "market")} == {"deriv.1HZ100V.ticks"}
    assert nats_reply(broker, names) == ["market"]


def test_a_subject_of_others_is_left_alone(server: Served, broker: Server) -> None:
    nats_reply(broker, lambda js: js.add_stream(name="theirs", subjects=["ticks"]))
    nats_reply(broker, lambda js: js.publish("ticks", b"1"))
    result = finished(*COMMAND, "R_100", "--to", f"{broker.url}/ticks", "--url", server.url)
    assert result.returncode == 1
    assert "the subject ticks has other messages" in result.stderr.splitlines()[-1]
    assert nats_reply(broker, lambda js: js.stream_info("theirs")).state.messages == 1


def test_a_server_without_jetstream_is_one_line(server: Served) -> None:
    with nats_without_jetstream() as plain:
        result = finished(*COMMAND, "R_100", "--to", f"{plain.url}/ticks", "--url", server.url)
    assert result.returncode == 1
    assert "the server has no JetStream" in only_line(result.stderr)


def test_g13_what_cannot_be_reached_is_one_line_without_the_password(server: Served) -> None:
    there = f"nats://deriv:secret-word@127.0.0.1:{free_port()}/ticks"
    result = finished(*COMMAND, "R_100", "--to", there, "--url", server.url)
    assert result.returncode == 1
    assert "127.0.0.1" in only_line(result.stderr)
    assert "secret-word" not in result.stderr


def test_g13_a_password_is_asked_for_and_never_shown(server: Served) -> None:
    with run_nats("--user", "deriv", "--pass", "secret-word") as closed:
        there = closed.url.replace("//", "//deriv:wrong-word@") + "/ticks"
        result = finished(*COMMAND, "R_100", "--to", there, "--url", server.url)
        assert result.returncode == 1
        assert "Authorization Violation" in only_line(result.stderr)
        assert "wrong-word" not in result.stderr
        closed.url = closed.url.replace("//", "//deriv:secret-word@")
        with Relays(server, f"{closed.url}/ticks") as relays:
            relays.start()
            wait_for(closed, 5)


@pytest.mark.parametrize(
    "there", ["nats://there", "nats:///ticks", "nats://there:port/ticks", "nats://there/a b"]
)
def test_an_address_without_a_subject_is_one_line(server: Served, there: str) -> None:
    result = finished(*COMMAND, "R_100", "--to", there, "--url", server.url)
    line = result.stderr.splitlines()[-1]
    expected = "'a b' is no subject" if there.endswith("a b") else "nats://host:4222/SUBJECT"
    assert (expected in line, result.returncode) == (True, 2)


def test_without_the_extra_one_line_says_how_to_get_it() -> None:
    code = "import sys; sys.modules['nats'] = None; from derivtrio.__main__ import main; main()"
    arguments = ("relay", "R_100", "--to", "nats://there/ticks", "--url", "ws://127.0.0.1:9")
    result = finished("-c", code, *arguments)
    assert result.returncode == 1
    assert only_line(result.stderr).endswith("pip install '.[nats]'")
