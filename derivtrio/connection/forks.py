"""Sockets that no child process keeps: where a program forks, it takes copies of all that are open.

A connection would then end here and not at the server, as long as the child lives: the system sends
on what was not sent yet, though an order in it counts as lost, and the server serves nobody. So the
child drops its copies at once. Should it be the child in which the client goes on, that finds its
connection broken and opens another one.
"""

import os
from typing import Final, Protocol, TypeVar
from weakref import WeakSet


class _Detachable(Protocol):
    def detach(self) -> int: ...


T = TypeVar("T", bound=_Detachable)

_ours: Final[WeakSet[_Detachable]] = WeakSet()


def not_for_children(sock: T) -> T:
    """Return *sock*, which a child that is forked from now on does not keep."""
    _ours.add(sock)
    return sock


def _drop() -> None:
    for sock in list(_ours):
        number = sock.detach()
        if number >= 0:
            os.close(number)


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_drop)
