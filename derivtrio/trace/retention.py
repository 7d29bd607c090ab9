"""A recording of the last minutes: what is older is forgotten, so that it can go on for ever.

What goes on is kept, however old its beginning is: an open connection, a running task, an outage.
"""

from bisect import bisect_left
from typing import Final

from derivtrio.events import Closed, Connecting, Event, Failed, Opened, Ready, Waiting
from derivtrio.trace.recording import FINEST, ClientTrace, Dots, Recording

#: What tells the state of a client later on.
_LASTING: Final = (Connecting, Opened, Ready, Waiting, Failed, Closed)


def forget(recording: Recording, before: float) -> None:
    """Drop from *recording* what was over *before* that time, in seconds since the beginning."""
    tasks, nurseries = recording.tasks.things, recording.nurseries
    tasks[:] = [task for task in tasks if _lasts(task.ended, before)]
    nurseries[:] = [nursery for nursery in nurseries if _lasts(nursery.ended, before)]
    clients = recording.clients
    clients[:] = [client for client in clients if _lasts(client.ended, before)]
    for client in clients:
        _forget_of(client, before, recording.most_dots)
    recording.streams = sum(len(client.streams) for client in clients)


def _forget_of(client: ClientTrace, before: float, most_dots: int) -> None:
    events, calls = client.events.things, client.calls.things
    events[:] = _still_needed(events, before)
    calls[:] = [call for call in calls if _lasts(call.ended, before)]
    for label, stream in list(client.streams.items()):
        for dots in (stream.live, stream.fetched):
            _forget_dots(dots, before, most_dots)
        if not (stream.sources or stream.live.times or stream.fetched.times):
            del client.streams[label]


def _lasts(ended: float | None, before: float) -> bool:
    return ended is None or ended >= before


def _still_needed(events: list[tuple[float, Event]], before: float) -> list[tuple[float, Event]]:
    """Return the events from *before* on, and those that tell the state at that time.

    These are the events from the attempt on that led to the last connection: if it has broken since
    then, they tell why there is an outage.
    """
    old = bisect_left(events, before, key=lambda each: each[0])
    opened = max((n for n in range(old) if isinstance(events[n][1], Opened)), default=0)
    first = max((n for n in range(opened) if isinstance(events[n][1], Connecting)), default=0)
    lasting = [each for each in events[first:old] if isinstance(each[1], _LASTING)]
    return lasting + events[old:]


def _forget_dots(dots: Dots, before: float, most: int) -> None:
    """Drop old dots; if few are left, the next ones may be finer."""
    old = bisect_left(dots.times, before)
    del dots.times[:old], dots.counts[:old]
    if len(dots.times) < most // 4:
        dots.width = max(FINEST, dots.width / 2)
