"""Events, and who is told of them."""

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
