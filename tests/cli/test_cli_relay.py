"""`derivtrio relay`, and a real Redis."""

import signal
import time
from collections.abc import Iterator

import attrs
import pytest
from recording_servers import Server, free_port, redis_reply
from recording_servers import redis as run_redis
from relays import COMMAND, Relays, wait_until
from served import Served, finished, started
from shell import only_line

pytest.importorskip("coredis")


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    with run_redis() as server:
        yield server


@pytest.fixture
def stream(redis: Server) -> Iterator[str]:
    """Return the address of a stream that is not there yet."""
    yield f"{redis.url}/ticks"
    redis_reply(redis, "FLUSHALL")


@attrs.frozen
class Found:
    """An entry of a stream."""

    identifier: str
    field_values: dict[str, str]


def entries(server: Server, name: str = "ticks") -> list[Found]:
    return [
        Found(identity, dict(zip(members[::2], members[1::2], strict=True)))
        for identity, members in redis_reply(server, "XRANGE", name, "-", "+")
    ]


def wait_for(server: Server, more: int, name: str = "ticks") -> None:
    """Wait until a stream has so many entries more than now."""
    before = len(entries(server, name))
    wait_until(lambda: len(entries(server, name)) >= before + more)


def assert_is_market(found: list[Found], server: Served, symbol: str = "1HZ100V") -> None:
    epochs = [int(entry.field_values["epoch"]) for entry in found]
    due = server.sim.market.ticks(symbol, epochs[0], epochs[-1])
    assert [
        (e, float(entry.field_values["quote"])) for e, entry in zip(epochs, found, strict=True)
    ] == [(tick.epoch, tick.quote) for tick in due]
    assert [entry.identifier for entry in found] == [f"{epoch}000-0" for epoch in epochs]


@pytest.mark.long
def test_a_relay_that_is_killed_neither_doubles_nor_loses(
    server: Served, redis: Server, stream: str
) -> None:
    with Relays(server, stream, "--start", str(int(time.time()) - 500)) as relays:
        for _ in range(3):
            process = relays.start()
            wait_for(redis, 30)
            process.kill()
            process.wait()
            server.do(server.sim.faults.drop)
        process = relays.start()
        wait_for(redis, 30)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
    assert len(entries(redis)) > 600
    assert_is_market(entries(redis), server)


@pytest.mark.long
def test_of_a_hot_pair_either_may_die(server: Served, redis: Server, stream: str) -> None:
    with Relays(server, stream) as relays:
        first, second = relays.start(), relays.start()
        wait_for(redis, 40)
        first.kill()
        wait_for(redis, 40)
        third = relays.start()
        wait_for(redis, 60)
        second.kill()
        wait_for(redis, 40)
        assert third.poll() is None
    assert_is_market(entries(redis), server)


def test_redis_may_go_away(server: Served) -> None:
    with run_redis() as mine, Relays(server, f"{mine.url}/ticks") as relays:
        process = relays.start()
        wait_for(mine, 20)
        mine.stop()
        assert process.stderr is not None
        while "trying again" not in process.stderr.readline():
            assert process.poll() is None
        mine.start()
        wait_for(mine, 60)
        assert process.poll() is None
        assert_is_market(entries(mine), server)


def test_several_symbols_have_a_stream_each_of_bounded_length(
    server: Served, redis: Server, stream: str
) -> None:
    start = str(int(time.time()) - 3000)
    command = (*COMMAND, "R_100", "1HZ100V", "--to", stream, "--url", server.url)
    with started(*command, "--maxlen", "500", "--start", start):
        wait_until(lambda: "ticks:R_100" in redis_reply(redis, "KEYS", "*"))
        wait_until(
            lambda: int(entries(redis, "ticks:1HZ100V")[-1].identifier[:10]) > int(start) + 2900
        )
    assert set(redis_reply(redis, "KEYS", "*")) == {"ticks:R_100", "ticks:1HZ100V"}
    found = entries(redis, "ticks:1HZ100V")
    assert 500 <= len(found) <= 700
    assert_is_market(found, server)
    assert found[0].field_values["symbol"] == "1HZ100V"


def test_a_stream_of_others_is_left_alone(server: Served, redis: Server, stream: str) -> None:
    redis_reply(redis, "XADD", "ticks", "*", "price", "1")
    result = finished(*COMMAND, "R_100", "--to", stream, "--url", server.url)
    assert result.returncode == 1
    assert "the stream ticks has other entries" in result.stderr.splitlines()[-1]
    assert len(entries(redis)) == 1


def test_g13_what_cannot_be_reached_is_one_line_without_the_password(server: Served) -> None:
    there = f"redis://deriv:secret-word@127.0.0.1:{free_port()}/ticks"
    result = finished(*COMMAND, "R_100", "--to", there, "--url", server.url)
    assert result.returncode == 1
    assert "127.0.0.1" in only_line(result.stderr)
    assert "secret-word" not in result.stderr


@pytest.mark.parametrize(
    "there",
    [
        "redis://there",
        "redis:///ticks",
        "redis://there:port/ticks",
        "redis://there/ticks?db=1",
        "redis://there/ticks#1",
    ],
)
def test_an_address_without_a_stream_is_a_wrong_command_line(server: Served, there: str) -> None:
    result = finished(*COMMAND, "R_100", "--to", there, "--url", server.url)
    assert result.returncode == 2
    assert "redis://host:6379/STREAM" in result.stderr.splitlines()[-1]


def test_without_the_extra_one_line_says_how_to_get_it() -> None:
    code = "import sys; sys.modules['coredis'] = None; from derivtrio.__main__ import main; main()"
    arguments = ("relay", "R_100", "--to", "redis://there/ticks", "--url", "ws://127.0.0.1:9")
    result = finished("-c", code, *arguments)
    assert result.returncode == 1
    assert only_line(result.stderr).endswith("pip install '.[redis]'")
