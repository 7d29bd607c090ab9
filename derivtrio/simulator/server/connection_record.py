"""What is remembered about a connection after its end."""

from typing import Literal

import attrs

from derivtrio.simulator.protocol.envelope import Message


@attrs.frozen
class Ending:
    """How a connection ended, as the server saw it.

    *by* is the side that began: `client`, or `server`, to which the faults belong. *cause* says it
    in words. *code* and *reason* are those of the Close frame that this side sent, or would have
    sent if the client had read on; without one the code is 1006. *clean* means that both sides
    sent a Close frame; *fin*, that the client ended its byte stream in order before the server.
    """

    by: Literal["client", "server"]
    cause: str
    code: int = 1006
    reason: str = ""
    clean: bool = False
    fin: bool = False


@attrs.frozen
class ConnectionRecord:
    """A finished connection: its number, epoch times, ending, and last requests, tokens masked."""

    number: int
    opened: float
    closed: float
    ending: Ending
    requests: tuple[Message, ...] = attrs.field(repr=False)
