"""How much history to ask for at a time, so that a reply has all of it and requests are few.

A reply has only so many rows, the newest of what was asked for. Deriv's limit is 5000 rows; that it
was reached shows only in the reply being full. Another server's limit may be lower, and shows in a
row that is lacking although the server is known to have it. The rules:

1. A window is at first as long as a full reply of one row a unit (a second, or a candle).
2. It is made shorter when the reply was full, or lacked such a row, and longer where rows are rare.
3. Where nothing is, as while a market is closed, it grows without a limit.

No I/O. All lengths are in seconds.
"""

from typing import Final

#: The most rows that Deriv returns, whatever `count` says.
MAX_ROWS: Final = 5000

#: Which part of a full reply a reply should have, where ticks are rare; the rest is for seconds
#: with more ticks.
_AIM: Final = 0.9


class FetchWindow:
    """The length of the next window.

    Attributes:
        unit: the length of a candle; 1 for ticks.
        length: how long the next window is.
        most_rows: how many rows a full reply has, as far as is known.

    """

    def __init__(self, granularity: int) -> None:
        self.unit, self._of_candles = granularity or 1, granularity > 0
        self.most_rows = MAX_ROWS
        #: The longest window that must fit into one reply, as far as is known.
        self._full = self.length = self.unit * (MAX_ROWS - 1)
        #: What that was, and how many rows came, when a known row was lacking. None: that is clear.
        self._doubt: tuple[int, int] | None = None

    def reply_full(self, *, cut_off: bool) -> bool:
        """Return whether to ask again, for a shorter window: the reply was full.

        *cut_off* says that its first row is later than the beginning of the window. Otherwise
        candles are complete, because no two have the same time; of ticks the first may be missing.
        """
        is_wide = self.length > self._full
        if self._of_candles:
            is_wide = is_wide and cut_off
        elif not is_wide:  # the symbol has several ticks a second
            is_wide, self._full = self._full > 1, max(1, self._full // 2)
        if is_wide:
            self.length = self._full
        return is_wide

    def known_row_lacking(self, rows: int) -> bool:
        """Return whether to ask again, for a shorter window: a row that was there was lacking.

        Either the server has a lower limit, and so many *rows* are the newest of the window; or it
        no longer keeps that row. A shorter window tells (`explained`).
        """
        shorter = max(1, min(int(rows * _AIM), self.length // self.unit // 2)) * self.unit
        if not rows or shorter >= self.length:
            return False
        self._doubt = (self._doubt[0] if self._doubt else self._full, rows)
        self._full = self.length = shorter
        return True

    def explained(self, *, kept: bool) -> None:
        """Note why the row was lacking, if it was: whether the server has *kept* it."""
        if self._doubt is not None:
            full, rows = self._doubt
            if kept:
                self.most_rows = rows
            else:
                self._full = self.length = full
            self._doubt = None

    def filled(self, rows: int, seconds: int, *, anything: bool) -> None:
        """Choose the next length after *seconds* that had so many *rows*, *anything* new or not.

        Candles cannot be rarer than one in their length, except where the market is closed.
        """
        if rows and self.length <= self._full <= seconds and not self._of_candles:
            fitting = self._full * int(self.most_rows * _AIM) // rows
            self._full = max(self._full, min(2 * self._full, fitting))
        self.length *= 2
        if anything:
            self.length = min(self._full, self.length)

    def lost(self) -> None:
        """Grow: the server no longer has what was asked for."""
        self.explained(kept=False)
        self.length *= 2

    def interrupted(self) -> None:
        """Ask for less at a time: connections may be too short-lived for more."""
        self.length = max(self.unit, min(self.length, self._full) // 2)
