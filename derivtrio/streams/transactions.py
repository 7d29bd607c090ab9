"""The `transaction` stream, which says nothing of what happened while nobody listened. No I/O.

After an interruption something may be missing, and the stream itself never says what. So the line
puts an `Interruption` where that is, and whoever reads the line looks into the account's statement
for what it has not seen: that is what `Seen` tells.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec

from derivtrio.api.parsing import transaction_in
from derivtrio.models import Transaction

#: The order of a list and that of a stream may differ by so many seconds.
_SLACK: Final = 10

#: After so many, those that are too old to matter are forgotten.
_MOST: Final = 1000


class Interruption(msgspec.Struct, frozen=True):
    """Stands where transactions may be missing."""


@attrs.define(eq=False)
class TransactionTranslator:
    """The transactions of the account, from the second message on.

    The first one is none; or, for who joins a shared stream, it is one from before.
    """

    over: bool = attrs.field(default=False, init=False)
    _begun: bool = attrs.field(default=False, init=False)
    _interrupted: bool = attrs.field(default=False, init=False)

    def feed(self, message: Mapping[str, Any]) -> Sequence[Transaction | Interruption]:
        """Return the transaction in *message*, if there is one; before it what is missing."""
        payload = message.get("transaction")
        items: list[Transaction | Interruption] = []
        if self._interrupted:
            items.append(Interruption())
            self._interrupted = False
        if self._begun and isinstance(payload, dict) and "transaction_id" in payload:
            items.append(transaction_in(payload))
        self._begun = True
        return items

    def interrupt(self) -> None:
        """Note that messages may be lost from here to the next."""
        self._interrupted = True

    def missing(self) -> Sequence[Interruption]:
        """Return what may be missing if nothing more comes."""
        return (Interruption(),) if self._interrupted else ()


@attrs.define(eq=False)
class Seen:
    """The transactions that need not be delivered any more."""

    _times: dict[int, int] = attrs.field(factory=dict, init=False)

    @property
    def since(self) -> int | None:
        """The epoch before which nothing in the statement is new; None: anything may be."""
        return max(self._times.values()) - _SLACK if self._times else None

    def note(self, transaction: Transaction) -> bool:
        """Note *transaction*; return whether it is new."""
        new = transaction.transaction_id not in self._times
        self._times[transaction.transaction_id] = transaction.transaction_time
        if len(self._times) > _MOST:
            self._tidy()
        return new

    def unseen(self, rows: Sequence[Transaction]) -> list[Transaction]:
        """Return those of the statement's *rows*, newest first, that are new, oldest first."""
        since = -math.inf if self.since is None else self.since
        return [r for r in reversed(rows) if r.transaction_time >= since and self.note(r)]

    def _tidy(self) -> None:
        since = self.since
        if since is not None:
            self._times = {n: time for n, time in self._times.items() if time >= since}
