"""A read whose connections all break: it ends decided, even if it never gets a turn of its own."""

from typing import Any

import pytest
import trio
from scripted import Peer, Request, open_server

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
