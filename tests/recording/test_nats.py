"""Two stores that feed the same stream of a real nats-server: each entry once, and in order."""

import json
import random
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import recording_servers as servers
import trio
import trustme

from derivtrio.recording import GAPS, TICKS, Row, StoreBusy, StoreError
from derivtrio.recording.relaying import RelayAddress

nats = servers.package_of_nats()
SYMBOLS = ("R_100", "1HZ100V")


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    with servers.nats() as running:
        yield running


def opened(server: servers.Server, place: str, *symbols: str, maxlen: int = 10_000) -> Any:
    from derivtrio.recording.nats import open_nats  # noqa: PLC0415 - needs an extra

    return open_nats(RelayAddress.of(f"{server.url}/{place}", symbols or SYMBOLS), maxlen)


def ticks(*epochs: int, symbol: str = "R_100", n: int = 0) -> list[Row]:
    return [(symbol, epoch, n, epoch / 10, None, None) for epoch in epochs]


async def kept(server: servers.Server, stream: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the ids and the members of all messages, in their order."""

    async def read(js: Any) -> list[tuple[str, dict[str, Any]]]:
        found = []
        state = (await js.stream_info(stream)).state
        for sequence in range(state.first_seq, state.last_seq + 1):
            message = await js.get_msg(stream, sequence)
            found.append((message.headers["Nats-Msg-Id"], json.loads(message.data)))
        return found

    return await trio.to_thread.run_sync(servers.nats_reply, server, read)


async def test_a_server_that_is_not_there_is_told_in_words() -> None:
    with pytest.raises(
        StoreError, match=r"^nats://127\.0\.0\.1:1/x\.\{symbol\}: Connect call failed"
    ):
        async with opened(servers.Server([], 1, "nats://127.0.0.1:1"), "x"):
            pass


async def forgetful(server: servers.Server, stream: str, *subjects: str) -> None:
    """Make a stream that forgets the ids of its messages at once."""

    async def make(js: Any) -> None:
        await js.add_stream(name=stream, subjects=list(subjects), duplicate_window=0.1)

    await trio.to_thread.run_sync(servers.nats_reply, server, make)


async def test_an_entry_is_json_and_the_newest_says_where_to_go_on(server: servers.Server) -> None:
    async with opened(server, "one", "R_100") as store:
        assert await store.newest(TICKS, "R_100") is None
        await store.write({TICKS: [("R_100", 5, 0, 1.5, 1.6, None), *ticks(5, n=1)]})
        assert await store.newest(TICKS, "R_100") == 5
        await store.write({GAPS: [("R_100", 0, 5, 9, "gone"), ("R_100", 60, 5, 9, "gone")]})
        assert await store.newest(TICKS, "R_100") == 5
        await store.write({TICKS: ticks(5, 9)})
        assert await store.newest(TICKS, "R_100") == 9
        assert await store.newest(GAPS, "R_100", 0) is None
    assert await kept(server, "one") == [
        ("R_100-5000-0", {"symbol": "R_100", "epoch": 5, "quote": 1.5, "ask": 1.6}),
        ("R_100-5000-1", {"symbol": "R_100", "epoch": 5, "quote": 0.5}),
        ("R_100-5999-0", {"symbol": "R_100", "gap": "gone", "after": 5, "before": 9}),
        ("R_100-9000-0", {"symbol": "R_100", "epoch": 9, "quote": 0.9}),
    ]


async def test_what_another_has_added_is_not_added_again(server: servers.Server) -> None:
    """However long ago that was: the server has forgotten the ids."""
    await forgetful(server, "late", "late")
    async with opened(server, "late", "R_100") as one, opened(server, "late", "R_100") as other:
        await other.write({TICKS: ticks(1)})
        await one.write({TICKS: ticks(1, 2, 3, 4, 5)})
        await trio.sleep(0.2)
        await other.write({TICKS: ticks(2, 3)})
        await trio.sleep(0.2)
        await other.write({TICKS: ticks(4, 5, 6, 7)})
        await one.write({TICKS: ticks(6)})
        await one.write({TICKS: ticks(7, 8)})
    assert [name for name, _ in await kept(server, "late")] == [
        f"R_100-{epoch}000-0" for epoch in range(1, 9)
    ]


@pytest.mark.parametrize("remembers", [True, False])
@pytest.mark.long
async def test_two_at_once_add_each_entry_once_and_in_order(
    server: servers.Server, *, remembers: bool
) -> None:
    """Each has the same entries in batches of its own; ids, and gaps that only one has."""
    stream = f"both_{remembers}"
    if not remembers:
        await forgetful(server, f"{stream}_SYMBOL", f"{stream}.*")

    async def feed(store: Any, chance: random.Random) -> None:
        begin = 0
        while begin < 1000:
            end = begin + chance.randrange(1, 80)
            rows = [row for symbol in SYMBOLS for row in ticks(*range(begin, end), symbol=symbol)]
            await store.write({TICKS: rows})
            begin = end

    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(server, stream)) for _ in range(3)]
        async with trio.open_nursery() as nursery:
            for seed, store in enumerate(stores):
                nursery.start_soon(feed, store, random.Random(seed))
    found = await kept(server, f"{stream}_SYMBOL")
    for symbol in SYMBOLS:
        epochs = [members["epoch"] for _, members in found if members["symbol"] == symbol]
        assert epochs == list(range(len(epochs)))
        assert len(epochs) >= 1000


@pytest.mark.parametrize("name", ["R_100", "R_100-1-x", "R_100-" + "9" * 5000 + "-1", "\u20ac"])
async def test_a_message_of_others_is_an_error(server: servers.Server, name: str) -> None:
    async def publish(js: Any) -> None:
        await js.purge_stream("other")
        await js.publish("other", b"\xff", headers={"Nats-Msg-Id": name})

    await forgetful(server, "other", "other")
    await trio.to_thread.run_sync(servers.nats_reply, server, publish)
    async with opened(server, "other", "R_100") as store:
        with pytest.raises(StoreError, match="other messages than those of a relay"):
            await store.newest(TICKS, "R_100")


async def test_a_connection_that_is_lost_is_replaced(server: servers.Server) -> None:
    with servers.nats() as mine:
        async with opened(mine, "lost", "R_100") as store:
            await store.write({TICKS: ticks(1)})
            await trio.to_thread.run_sync(mine.stop)
            with pytest.raises(StoreBusy, match=r"connection closed|no answer"):
                await store.write({TICKS: ticks(2)})
            await trio.to_thread.run_sync(mine.start)
            await store.write({TICKS: ticks(1, 2)})
            assert await store.newest(TICKS, "R_100") == 2


async def test_g12_a_write_that_is_cancelled_is_made_again(server: servers.Server) -> None:
    async with opened(server, "cancelled", "R_100") as store:
        for patience in range(12):
            with trio.move_on_after(patience / 1000):
                await store.write({TICKS: ticks(*range(1, 300))})
        await store.write({TICKS: ticks(*range(1, 301))})
    names = [name for name, _ in await kept(server, "cancelled")]
    assert names == [f"R_100-{epoch}000-0" for epoch in range(1, 301)]


async def test_tls_is_spoken_where_the_address_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = ("--tlscert", str(tmp_path / "cert.pem"), "--tlskey", str(tmp_path / "key.pem"))
    make = partial(ssl.create_default_context)
    with servers.nats("--tls", *files) as server:
        server.url = server.url.replace("nats://", "tls://")
        with pytest.raises(StoreBusy, match="certificate verify failed"):
            async with opened(server, "secret", "R_100"):
                pytest.fail("the certificate is not trusted")

        def trusting() -> ssl.SSLContext:
            context = make()
            authority.configure_trust(context)
            return context

        monkeypatch.setattr(ssl, "create_default_context", trusting)
        async with opened(server, "secret", "R_100") as store:
            await store.write({TICKS: ticks(1)})
            assert await store.newest(TICKS, "R_100") == 1
