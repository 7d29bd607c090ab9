"""The interface through which faults act on a live connection."""

from collections.abc import Callable
from typing import Protocol

import attrs

from derivtrio.simulator.faults.stream_mutes import Key


class FaultTarget(Protocol):
    """What a fault needs of a live connection."""

    delay: float

    def drop(self, *, reset: bool = False) -> None:
        """End the byte stream without a Close frame; with *reset*, break it."""

    def close(self, code: int, reason: str = "", *, fin: bool = True) -> None:
        """Send a Close frame; without *fin*, keep the byte stream open and silent."""

    def freeze(self) -> None:
        """Stop reading and writing, and keep the byte stream open."""

    def inject(self, item: str | bytes) -> None:
        """Send *item*, a text message or raw bytes."""

    def cut(self, size: int | None) -> None:
        """Send *size* bytes of the next frame and end the byte stream; `None` undoes it."""

    def fragment(self, size: int | None) -> None:
        """Send messages in frames of *size* characters; `None` means one frame each."""

    def mute_streams(self, word: str, *, lasting: bool) -> list[Key]:
        """Stop the streams that *word* names, and return their keys.

        If it is *lasting*, later streams of this connection are mute as well.
        """

    def ignore_requests(self, *, except_ping: bool) -> None:
        """Answer no request any more, or only `ping`."""

    def kill_backend(self, ping_every: float) -> None:
        """Send no API message any more, but WebSocket pings."""

    def storm(self, count: int, per_second: float) -> None:
        """Send *count* ticks, each with a new subscription id, to the oldest request for ticks."""


@attrs.define(eq=False)
class LastingFaults:
    """What happens to new connections, and to how many more of them."""

    _waiting: list[tuple[Callable[[FaultTarget], None], float]] = attrs.field(
        factory=list, init=False
    )

    def add(self, strike: Callable[[FaultTarget], None], times: float) -> None:
        """Let the next *times* connections be struck."""
        if times > 0:
            self._waiting.append((strike, times))

    def befall(self, connection: FaultTarget) -> None:
        """Strike a new *connection*."""
        self._waiting, waiting = [], self._waiting
        for strike, times in waiting:
            strike(connection)
            self.add(strike, times - 1)

    def clear(self) -> None:
        """Remove all."""
        self._waiting.clear()
