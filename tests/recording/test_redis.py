"""The store of Redis streams, on a real server that other programs use, too."""

from collections.abc import Iterator
from typing import Any

import pytest
import recording_servers as servers
import trio

from derivtrio.recording import GAPS, TICKS, Row, StoreBusy, StoreError
from derivtrio.recording.relaying import RelayAddress

pytest.importorskip("coredis")


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    with servers.redis() as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(server: servers.Server) -> None:
    servers.redis_reply(server, "FLUSHALL")


def opened(server: servers.Server) -> Any:
    from derivtrio.recording.redis import open_redis  # noqa: PLC0415 - needs an extra

    return open_redis(RelayAddress.of(f"{server.url}/ticks", ("R_100",)), 10_000)


def ticks(*epochs: int) -> list[Row]:
    return [("R_100", epoch, 0, epoch / 10, None, None) for epoch in epochs]


def kept(server: servers.Server) -> list[str]:
    return [identity for identity, _ in servers.redis_reply(server, "XRANGE", "ticks", "-", "+")]


async def test_a_cancelled_store_takes_the_last_rows(server: servers.Server) -> None:
    with trio.CancelScope() as scope:
        async with opened(server) as store:
            scope.cancel()
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await store.write({TICKS: ticks(10)})
    assert kept(server) == ["10000-0"]


async def test_what_an_entry_of_others_has_stopped_is_not_said_to_be_kept(
    server: servers.Server,
) -> None:
    async with opened(server) as store:
        await store.write({TICKS: ticks(10, 11)})
        servers.redis_reply(server, "XADD", "ticks", "12500-0", "price", "1")
        with pytest.raises(StoreError, match="other entries than those of a relay"):
            await store.write({TICKS: ticks(12, 13)})


async def test_what_another_relay_has_added_is_known(server: servers.Server) -> None:
    async with opened(server) as first, opened(server) as second:
        gap: Row = ("R_100", 0, 11, 14, "no longer kept")
        await first.write({TICKS: ticks(10, 11, 14, 15), GAPS: [gap]})
        await second.write({TICKS: ticks(10, 11, 12)})  # the other one has a gap there
        await second.write({TICKS: ticks(14, 15, 16)})
        servers.redis_reply(server, "XTRIM", "ticks", "MAXLEN", "1")
        await first.write({TICKS: ticks(14, 15, 16)})  # what was trimmed is not asked for
    assert kept(server) == ["16000-0"]


async def test_a_server_that_was_started_anew_in_between_is_asked_what_it_has() -> None:
    with servers.redis() as mine:
        async with opened(mine) as store:
            for epoch in (10, 11):
                await store.write({TICKS: ticks(epoch)})
            mine.stop()
            mine.start()  # coredis connects anew, and says nothing of it
            with pytest.raises(StoreBusy, match="started anew"):
                await store.write({TICKS: ticks(12)})
            await store.write({TICKS: ticks(12)})
        assert kept(mine) == ["10000-0", "11000-0", "12000-0"]


async def test_a_user_who_may_only_add_entries_is_enough(server: servers.Server) -> None:
    servers.redis_reply(server, "ACL", "SETUSER", "default", "-info")
    try:
        async with opened(server) as store:
            await store.write({TICKS: ticks(10)})
    finally:
        servers.redis_reply(server, "ACL", "SETUSER", "default", "+@all")
    assert kept(server) == ["10000-0"]


async def test_a_server_without_its_replicas_is_waited_for(server: servers.Server) -> None:
    setting = ("CONFIG", "SET", "min-replicas-to-write")
    async with opened(server) as store:
        servers.redis_reply(server, *setting, "1")
        try:
            with pytest.raises(StoreBusy, match="NOREPLICAS"):
                await store.write({TICKS: ticks(10)})
        finally:
            servers.redis_reply(server, *setting, "0")
        await store.write({TICKS: ticks(10)})
    assert kept(server) == ["10000-0"]


async def test_a_server_that_only_reads_for_a_while_is_waited_for(server: servers.Server) -> None:
    async with opened(server) as store:
        await store.write({TICKS: ticks(10)})
        servers.redis_reply(server, "REPLICAOF", "127.0.0.1", "1")
        try:
            with pytest.raises(StoreBusy, match="read only replica"):
                await store.write({TICKS: ticks(11)})
        finally:
            servers.redis_reply(server, "REPLICAOF", "NO", "ONE")
        await store.write({TICKS: ticks(11)})
    assert kept(server) == ["10000-0", "11000-0"]
