"""Faults of connection attempts, in place of a normal handshake."""

import attrs


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
