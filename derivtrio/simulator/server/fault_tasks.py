"""What a connection does by itself while a fault goes on: pings, and storms of new ids."""

from collections import deque
from collections.abc import Iterable
from typing import Protocol

import trio

from derivtrio.simulator.calls.prices import tick_payload
from derivtrio.simulator.network.websocket import Outgoing, ServerWebSocket
from derivtrio.simulator.protocol.envelope import Message, reply
from derivtrio.simulator.server.clock import Clock
from derivtrio.simulator.sessions.session import ServerSession

_MESSAGES_AT_ONCE = 256


class Sender(Protocol):
    """What these tasks need of a live connection."""

    session: ServerSession
    websocket: ServerWebSocket
    clock: Clock
    requests: deque[Message]

    def inject(self, item: Outgoing) -> None:
        """Queue *item*; if the queue is full, drop it."""

    async def send(self, messages: Iterable[Message]) -> None:
        """Queue *messages*, waiting while the queue is full."""


async def send_pings(connection: Sender, every: float) -> None:
    """Send a WebSocket ping every so many seconds.

    *Cancellation*: the only way to end it.
    """
    while True:
        # After the peer's Close frame this task is cancelled, and wsproto makes no ping.
        await trio.lowlevel.checkpoint_if_cancelled()
        connection.inject(connection.websocket.ping())
        await trio.sleep(every)


async def send_storm(connection: Sender, count: int, per_second: float) -> None:
    """Send *count* ticks, each with a new subscription id, to the oldest request for ticks."""
    session, market = connection.session, connection.session.backend.market
    about_ticks = (each for each in connection.requests if _symbol_of(each) in market.symbols)
    if (request := next(about_ticks, None)) is None:
        return
    left = count
    while left > 0:
        tick = market.tick(_symbol_of(request), connection.clock.epoch())
        _, payload = tick_payload(tick)
        ids = [session.streams.new_id() for _ in range(min(left, _MESSAGES_AT_ONCE))]
        await connection.send(
            reply(request, "tick", subscription=each) | {"tick": payload | {"id": each}}
            for each in ids
        )
        left -= len(ids)
        await trio.sleep(len(ids) / per_second)


def _symbol_of(request: Message) -> str:
    """Return the symbol whose ticks *request* asks for, one in a message; "" for another call."""
    is_history = request.get("style") != "candles"
    wanted = request.get("ticks") or (request.get("ticks_history") if is_history else None)
    symbol = wanted[0] if isinstance(wanted, list) else wanted
    return symbol if isinstance(symbol, str) else ""
