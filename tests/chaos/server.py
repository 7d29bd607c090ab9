"""What the server has received: the requests that change something, each counted once."""

from typing import Any, Final

import attrs
import trio

from tests.chaos.world import World

#: The server remembers a connection's last thousand requests; it is asked more often than that.
_EVERY: Final = 30.0


@attrs.define(eq=False)
class Received:
    """Counts in `World.unsafe` what the server's records show."""

    world: World
    _last: dict[int, Any] = attrs.field(factory=dict)
    _finished: set[int] = attrs.field(factory=set)

    async def watch(self) -> None:
        """Collect again and again."""
        while True:
            await trio.sleep(_EVERY)
            self.collect()

    def collect(self) -> None:
        """Count what has come since the last time."""
        for record in reversed(self.world.sim.history):
            if record.number in self._finished:
                break
            self._finished.add(record.number)
            self._count(record.number, record.requests)
            self._last.pop(record.number, None)
        for connection in self.world.sim.connections:
            self._count(connection.number, tuple(connection.requests))

    def _count(self, number: int, requests: tuple[Any, ...]) -> None:
        last = self._last.get(number)
        for request in reversed(requests):
            if request is last:
                break
            if (key := _key(request, number)) is not None:
                self.world.unsafe[key] += 1
        if requests:
            self._last[number] = requests[-1]


def _key(request: Any, connection: int) -> tuple[Any, ...] | None:
    """Return what a request that trades is known by; None for any other."""
    if "sell" in request:
        return "sell", request["sell"]
    if "buy" not in request:
        return None
    if "parameters" in request:
        return "buy", str(request["parameters"]["amount"]), str(request["price"])
    return "buy by proposal", connection, request["buy"], str(request["price"])
