"""One scope around everything: no call takes a token, so none can be passed the wrong one."""

import trio

import derivtrio

TEXT = "x" * 3000  # the original reads into 1024 bytes, once


async def talk(url: str) -> None:
    """Connect, ask, read a long answer and say goodbye, all of it within five seconds."""
    settings = derivtrio.Settings(max_attempts=1)
    with trio.move_on_after(5) as everything:
        async with derivtrio.open_client(endpoint=url, settings=settings) as client:
            print("[open]")
            reply = await client.call({"ping": 1, "passthrough": {"text": TEXT}})
            print("[message]", reply["ping"], "with", len(reply["passthrough"]["text"]), "letters")
        print("[close]")
    if everything.cancelled_caught:
        print("[late] 5 s are over, wherever we were")
        raise SystemExit(1)
