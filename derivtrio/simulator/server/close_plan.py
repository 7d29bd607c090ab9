"""How a connection ends: what is recorded, what is sent, and what becomes of its byte stream."""

from typing import Literal

import attrs

from derivtrio.simulator.network.websocket import EndOfInput
from derivtrio.simulator.server.connection_record import Ending

#: What becomes of a byte stream: an end of file, an open and silent stream, or a reset.
StreamEnd = Literal["close", "hold", "reset"]


@attrs.frozen
class ClosePlan:
    """How the server ends a connection.

    *ending* is recorded. With *say_close* the server sends a Close frame with its code and reason.
    A stream on `hold` stays open and silent until the simulator ends.
    """

    ending: Ending
    say_close: bool = False
    stream: StreamEnd = "close"


#: The plan of a connection that ends with the simulator.
SIMULATOR_ENDED = ClosePlan(Ending("server", "the simulator ended"))


def plan_after(end: EndOfInput) -> ClosePlan:
    """Return how the server ends a connection after the peer's *end*."""
    code, reason = end.code, end.reason
    match end.how:
        case "close":
            ending = Ending("client", "close handshake", code, reason, clean=True)
            return ClosePlan(ending, say_close=True)
        case "violation":
            return ClosePlan(Ending("server", "protocol violation", code, reason), say_close=True)
        case "eof":
            return ClosePlan(Ending("client", "end of stream", fin=True))
        case "reset":
            return ClosePlan(Ending("client", "reset"))
