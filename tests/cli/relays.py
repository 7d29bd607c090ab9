"""`derivtrio relay`, in processes of its own."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from subprocess import Popen
from typing import Self

from served import Served, started

COMMAND = ("-m", "derivtrio", "relay")


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


class Relays:
    """Relays in processes of their own."""

    def __init__(self, server: Served, stream: str, *more: str) -> None:
        self.arguments = (*COMMAND, "1HZ100V", "--to", stream, "--url", server.url, *more)
        self.stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def start(self) -> Popen[str]:
        return self.stack.enter_context(started(*self.arguments))
