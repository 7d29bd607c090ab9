"""Faults of connection attempts, in place of a normal handshake."""

from collections.abc import Mapping

import attrs

from derivtrio.simulator.faults import checks
from derivtrio.simulator.network.handshake import HttpResponse


@attrs.frozen
class HandshakeFault:
    """What happens to one connection attempt.

    The server waits for the client's first bytes, sends *reply* (through TLS, or *below_tls*), and
    closes the byte stream. With *hold* it sends nothing, and keeps the stream open and silent.
    With a *close_code* the handshake succeeds, and a Close frame with that code follows at once.
    """

    reply: bytes = b""
    below_tls: bool = False
    hold: bool = False
    close_code: int | None = None


def rejection(status: int, body: bytes | int, headers: Mapping[str, str] | str) -> HandshakeFault:
    """Return the fault that `Faults.reject` describes; raise `ValueError` if there is no such."""
    checks.status(status)
    if isinstance(body, int):
        checks.require(body >= 0, f"an error page has 0 bytes or more, not {body}")
        body = b"x" * body
    if isinstance(headers, str):
        lines = [headers] if headers else []
    else:
        lines = [f"{name}: {value}" for name, value in headers.items()]
    parts = (checks.header(line).split(":", 1) for line in lines)
    fields = {name: value.strip() for name, value in parts}
    return HandshakeFault(HttpResponse(status, body, headers=fields).encoded())
