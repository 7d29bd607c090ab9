"""Events, and who is told of them."""

import json
from typing import Any

import trio
from scripted import open_server

import derivtrio
from derivtrio.calls.status import EventBus
from derivtrio.concurrency.buffer import Buffer


async def test_traffic_is_announced_only_while_somebody_listens_to_it() -> None:
    bus = EventBus()
    everything: Buffer[derivtrio.Event] = Buffer("events", 10, "error")
    quiet: Buffer[derivtrio.Event] = Buffer("events", 10, "error")
    bus.listen(everything, traffic=True)
    bus.listen(quiet, traffic=False)
    assert bus.traffic == 1
    bus.announce(derivtrio.MessageSent("{}"))
    bus.announce(derivtrio.Connecting(1))
    assert (len(everything), len(quiet)) == (2, 1)
    bus.ignore(everything)
    bus.ignore(everything)
    assert bus.traffic == 0


async def test_traffic_has_every_message_also_the_heartbeats_and_of_every_connection(
    autojump_clock: Any,
) -> None:
    async with (
        open_server() as server,
        derivtrio.open_client(endpoint=server) as client,
        client.events(traffic=True) as events,
    ):
        await client.call({"time": 1})
        await client.send({"ping": 1})
        await trio.sleep(60)
        await server.peers[0].drop()
        await trio.sleep(60)
        await client.aclose()
        traffic = [event async for event in events]
    sent = [json.loads(e.data) for e in traffic if isinstance(e, derivtrio.MessageSent)]
    received = [json.loads(e.data) for e in traffic if isinstance(e, derivtrio.MessageReceived)]
    assert sent == [request for _, request in server.received]
    assert [reply["echo_req"] for reply in received] == sent
    assert len([request for request in sent if "ping" in request]) == 1 + 2 + 2
