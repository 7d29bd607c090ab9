"""What is known of a symbol that is watched: its ticks of the last minutes, and its trouble."""

from collections import deque
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from derivtrio import (
    ApiError,
    Client,
    ClientClosed,
    ConnectionFailed,
    DerivError,
    MarketClosed,
    StreamFailed,
    Tick,
)
from derivtrio.cli.live_view import Monitor
from derivtrio.policy.retry import is_passing
from derivtrio.wording import one_line

#: How much of the past is kept, in seconds, and how many ticks of it at most.
WINDOW: Final = 300
_MOST_TICKS: Final = 6000

#: How long it is until something is asked for again, a closed market above all, in seconds.
_PAUSE: Final = 60.0


@attrs.define(eq=False)
class FollowedSymbol:
    """What is known of one symbol.

    Attributes:
        ticks: the last ones, each with whether it was fetched after an outage.
        gaps: how many holes could not be filled.
        error: why nothing comes now, in words.
        over: whether nothing will come any more.

    """

    symbol: str
    ticks: deque[tuple[Tick, bool]] = attrs.field(
        factory=lambda: deque(maxlen=_MOST_TICKS), init=False
    )
    gaps: int = attrs.field(default=0, init=False)
    error: str = attrs.field(default="", init=False)
    over: bool = attrs.field(default=False, init=False)
    _past: bool = attrs.field(default=True, init=False)

    def take(self, tick: Tick) -> None:
        """Note *tick*; before the first live one, those from the history are no sign of an outage.

        What is older than the charts is forgotten.
        """
        live = tick.ask is not None
        self._past = self._past and not live
        self.ticks.append((tick, not live and not self._past))
        while self.ticks[0][0].epoch < tick.epoch - WINDOW - 1:
            self.ticks.popleft()

    def begin(self) -> None:
        """Note that the stream begins anew: it brings the past once more."""
        self._past = True
        self.ticks.clear()


async def follow(
    client: Client, row: FollowedSymbol, rows: Sequence[FollowedSymbol], monitor: Monitor
) -> None:
    """Follow one symbol; if the server refuses it, its row says why, and the others go on.

    What may be granted later is asked for again.

    Raises:
        DerivError: the server refuses all of *rows* for good.

    """
    while not row.over:
        try:
            await follow_stream(client, row, monitor)
            row.over = True
        except (ClientClosed, ConnectionFailed):
            raise
        except DerivError as error:
            closed = isinstance(error, MarketClosed)
            row.error = "the market is closed" if closed else one_line(error)
            row.over = _is_final(error)
            if all(each.over for each in rows):
                raise
            if not row.over:
                await trio.sleep(_PAUSE)


def _is_final(error: DerivError) -> bool:
    """Return whether it is no use to ask again."""
    if isinstance(error, ApiError):
        return not isinstance(error, MarketClosed) and not is_passing(error)
    return isinstance(error, StreamFailed)


async def follow_stream(client: Client, row: FollowedSymbol, monitor: Monitor) -> None:
    """Note the ticks of the last minutes, and those that come."""
    now = await monitor.ask_time()
    row.begin()
    async with client.ticks(row.symbol, start=now - WINDOW) as stream:
        row.error = ""
        async for tick in stream:
            row.take(tick)
            row.gaps = stream.gap_count
            if tick.ask is not None:
                monitor.clock.note(tick.epoch)
