"""One stream of the server: from its first reply to its end, across connections."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from derivtrio.errors import ConnectionLost, api_error
from derivtrio.events import Event, Overflow
from derivtrio.ledger import resumption
from derivtrio.mailbox import Mailbox
from derivtrio.router import Receiver, stream_id_of


@attrs.define(eq=False)
class Upstream:
    """What one request keeps sending, on its way into a consumer's mailbox.

    Attributes:
        name: the call that opened it.
        request: what asks for it on a new connection; None once that is impossible.
        ids: the `subscription.id`s it has on the present connection; `ticks` with a list of
            symbols has several.

    """

    name: str
    request: Mapping[str, Any] | None = attrs.field(repr=False)
    mailbox: Mailbox[dict[str, Any]] = attrs.field(repr=False)
    _announce: Callable[[Event], None] = attrs.field(repr=False)
    ids: dict[str, None] = attrs.field(factory=dict, init=False)
    _answered: bool = attrs.field(default=False, init=False)
    _next_report: int = attrs.field(default=1, init=False)

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.mailbox.closed

    def deliver(self, message: dict[str, Any]) -> Receiver | None:
        """Pass *message* on; return self while more is wanted."""
        if self.over:
            return None
        if "error" in message:
            self.close(api_error(message["error"], self.request))
            return None
        if not self._answered:
            self._answered = True
            self.request = resumption(self.name, self.request or {}, message)
        stream_id = stream_id_of(message)
        if stream_id is not None:
            self.ids[stream_id] = None
        if not self.mailbox.put(message):
            self._report_overflow()
        if stream_id is None and not self.ids:
            self.close()  # answered, and the server has nothing to add: a sold contract
        return None if self.over else self

    def close(self, error: Exception | None = None) -> None:
        """End the stream at its consumer, normally or with *error*."""
        self.mailbox.close(error)

    def lost(self, why: str) -> None:
        """Note that the connection is gone; end the stream if it cannot be resumed."""
        self.ids.clear()
        if self.request is None:
            text = f"{why}, and a stream opened by {self.name} cannot be resumed"
            self.close(ConnectionLost(text, {}))

    def _report_overflow(self) -> None:
        """Announce the first loss, and then each time that the losses have doubled."""
        dropped = self.mailbox.dropped
        if dropped >= self._next_report:
            self._next_report = 2 * dropped
            self._announce(Overflow(self.name, dropped))
