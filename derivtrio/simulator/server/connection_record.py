"""The record of a closed connection."""

from typing import Literal

import attrs

from derivtrio.simulator.protocol.envelope import Message


@attrs.frozen
class Ending:
    """How a connection ended, as the server saw it.

    *by* is the side that ended it; a fault counts as the server. *cause* is a text. *code* and
    *reason* are those of the Close frame of this side, also if the client did not read it; without
    a Close frame the code is 1006. *clean* means that both sides sent a Close frame. *fin* means
    that the client ended its byte stream, in order, before the server did.
    """

    by: Literal["client", "server"]
    cause: str
    code: int = 1006
    reason: str = ""
    clean: bool = False
    fin: bool = False


@attrs.frozen
class ConnectionRecord:
    """A closed connection; times are epochs, and *requests* are the last ones, tokens masked."""

    number: int
    opened: float
    closed: float
    ending: Ending
    requests: tuple[Message, ...] = attrs.field(repr=False)
