"""A listener of a process that may open no more sockets for a while."""

import errno
import os

import attrs
import trio
from trio.testing import memory_stream_pair


@attrs.define(eq=False)
class CrowdedListener(trio.abc.Listener[trio.abc.Stream]):
    """Has no room for visitors until *until*, on trio's clock; *code* is what the system says."""

    until: float
    code: int = errno.EMFILE
    is_closed: bool = False
    _visitors: list[trio.abc.Stream] = attrs.field(factory=list, init=False)
    _arrival: trio.Event = attrs.field(factory=trio.Event, init=False)

    def connect(self) -> trio.abc.Stream:
        """Return the end of a visitor, who waits to be let in."""
        ours, theirs = memory_stream_pair()
        self._visitors.append(theirs)
        self._arrival.set()
        return ours

    async def accept(self) -> trio.abc.Stream:
        """Return a visitor, when there is one and there is room."""
        await trio.lowlevel.checkpoint()
        if trio.current_time() < self.until:
            raise OSError(self.code, os.strerror(self.code))
        await self._arrival.wait()
        self._arrival = trio.Event()
        return self._visitors.pop()

    async def aclose(self) -> None:
        """Let nobody in any more."""
        self.is_closed = True
        await trio.lowlevel.checkpoint()
