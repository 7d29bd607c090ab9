"""A read whose connections all break: it ends decided, even if it never gets a turn of its own."""

from typing import Any

import pytest
import trio
from scripted import Peer, Request, open_server, polite

import derivtrio
from derivtrio import Backoff, ConnectionLost, Settings

SETTINGS = Settings(backoff=Backoff(first=0.5, cap=1), pacing=False)


async def test_g03_a_read_on_a_server_that_closes_at_any_message_ends_decided(
    autojump_clock: Any,
) -> None:
    async def close_at_once(peer: Peer, request: Request) -> None:
        await peer.websocket.aclose(1000, "goodbye")

    with trio.fail_after(30):
        async with (
            open_server(close_at_once) as server,
            derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
        ):
            with pytest.raises(ConnectionLost, match="before time could be asked again") as caught:
                await client.call({"time": 1})
            assert len(caught.value.history) == 2
            assert client.status.attempt >= 3


@pytest.mark.parametrize("refuses_pings", [False, True])
async def test_g03_an_innocent_read_outlives_two_that_break_connections(
    autojump_clock: Any, *, refuses_pings: bool
) -> None:
    """That a connection works is seen by any answer to a ping, a refusal too."""
    ended: dict[str, object] = {}

    async def handle(peer: Peer, request: Request) -> None:
        if "states_list" in request:
            await peer.drop()
            return
        if "ping" in request and refuses_pings:
            await peer.refuse(request, "UnrecognisedRequest")
            return
        await trio.sleep("time" in request)  # so it is under way when the connection breaks
        await polite(peer, request)

    async def ask(request: Request) -> None:
        try:
            ended[str(request)] = (await client.call(request))["msg_type"]
        except ConnectionLost as error:
            ended[str(request)] = "this request may be what breaks connections" in str(error)

    bad, worse, good = {"states_list": "br"}, {"states_list": "de"}, {"time": 1}
    with trio.fail_after(60):
        async with (
            open_server(handle) as server,
            derivtrio.open_client(endpoint=server, settings=SETTINGS) as client,
            trio.open_nursery() as nursery,
        ):
            for request in (bad, worse, good):
                nursery.start_soon(ask, request)
                await trio.lowlevel.checkpoint()
    # Two connections broke when all were asked, one under the trial of each bad one.
    assert len(server.peers) == 5
    assert ended == {str(bad): True, str(worse): True, str(good): "time"}
