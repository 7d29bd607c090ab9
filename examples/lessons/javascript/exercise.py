"""Exercise 1: callbacks whose exceptions do not get lost."""

from collections.abc import Callable

from derivtrio import Closed, Event, MessageReceived, Opened, Subscription


async def dispatch(
    events: Subscription[Event],
    *,
    on_open: Callable[[], None],
    on_message: Callable[[str | bytes], None],
    on_close: Callable[[int], None],
) -> None:
    """Call the callback for each event, until the events are over.

    An exception that a callback raises ends the loop, and reaches whoever called `dispatch`. This
    version does what a browser does: it reports the exception to nobody who could act on it.
    """
    async for event in events:
        try:
            match event:
                case Opened():
                    on_open()
                case MessageReceived(data=data):
                    on_message(data)
                case Closed(code=code):
                    on_close(code)
                case _:
                    pass
        except Exception as error:  # noqa: BLE001  (this is the fault to be found)
            print("an exception in a callback:", error)
