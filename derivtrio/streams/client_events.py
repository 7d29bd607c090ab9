"""The stream of what happens to the client itself."""

from derivtrio.calls.status import EventBus
from derivtrio.concurrency.buffer import Buffer, OverflowPolicy
from derivtrio.errors import check_flag
from derivtrio.events import Event
from derivtrio.streams.subscription import Subscription, new_buffer


def event_stream(
    bus: EventBus, *, traffic: bool, buffer: int, overflow: OverflowPolicy
) -> Subscription[Event]:
    """Return the subscription that `client.events` describes."""
    check_flag("traffic", traffic)
    items: Buffer[Event] = new_buffer("events", buffer, overflow)
    return Subscription(items, EventSource(bus, items, traffic=traffic))


class EventSource:
    """The source of a subscription to the client's own events."""

    id: None = None

    def __init__(self, bus: EventBus, items: Buffer[Event], *, traffic: bool) -> None:
        self._bus, self._items, self._traffic = bus, items, traffic

    @property
    def last_at(self) -> float | None:
        """When the client last announced an event, in seconds since the epoch."""
        return self._bus.last_wall

    async def attach(self) -> None:
        """Listen from now on."""
        self._bus.listen(self._items, traffic=self._traffic)

    def detach(self) -> None:
        """Stop listening."""
        self._items.close()
        self._bus.ignore(self._items)
