from collections.abc import Callable

from derivtrio import Closed, Event, MessageReceived, Opened, Subscription


async def dispatch(
    events: Subscription[Event],
    *,
    on_open: Callable[[], None],
    on_message: Callable[[str | bytes], None],
    on_close: Callable[[int], None],
) -> None:
    async for event in events:
        match event:
            case Opened():
                on_open()
            case MessageReceived(data=data):
                on_message(data)
            case Closed(code=code):
                on_close(code)
            case _:
                pass
