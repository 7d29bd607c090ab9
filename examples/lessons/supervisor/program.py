"""A supervisor by hand, on raw trio-websocket; README.md says what it still gets wrong."""

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, open_websocket_url

ATTEMPTS = 3


async def read(socket: WebSocketConnection, answered: trio.Event, scope: trio.CancelScope) -> None:
    """Print each message; at the end of the connection cancel everybody who works on it."""
    try:
        while True:
            print("  [message]", await socket.get_message())
            answered.set()
    except ConnectionClosed as end:
        print("  [lost]", end.reason)
        scope.cancel()


async def beat(socket: WebSocketConnection, answered: trio.Event) -> None:
    """Ask, and wait for an answer with a limit."""
    await socket.send_message('{"ping": 1}')
    with trio.fail_after(5):
        await answered.wait()


async def connect_once(url: str) -> bool:
    """Run the tasks of one connection, which share a fate; return whether it was healthy."""
    answered = trio.Event()
    async with open_websocket_url(url) as socket, trio.open_nursery() as nursery:
        print("  [open]")
        nursery.start_soon(read, socket, answered, nursery.cancel_scope)
        await beat(socket, answered)
        nursery.cancel_scope.cancel()
    return answered.is_set()


async def talk(url: str) -> None:
    """Connect, one connection after another, with a longer pause each time."""
    for attempt in range(ATTEMPTS):
        print("[attempt]", attempt + 1)
        healthy = False
        try:
            healthy = await connect_once(url)
        except* (OSError, HandshakeError, ConnectionClosed, trio.TooSlowError) as group:
            print("  [failed]", *(type(error).__name__ for error in group.exceptions))
        if healthy:
            break
        await trio.sleep(0.05 * 2**attempt)
    else:
        print("[gave up]")
