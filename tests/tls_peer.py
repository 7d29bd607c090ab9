"""A TLS server's end of a stream that can break TLS in the ways that networks and servers do.

It is made with pyOpenSSL, because the `ssl` module cannot ask for a renegotiation.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import attrs
import trio
import trustme
from OpenSSL import SSL
from trio.testing import memory_stream_pair

#: A record of application data that no key fits. Anybody on the path can insert it.
BAD_RECORD: Final = b"\x17\x03\x03\x00\x20" + b"?" * 32

_MOST: Final = 2**16


@attrs.define(eq=False)
class TlsPeer(trio.abc.Stream):
    """The server's end of TLS over `transport`; the handshake is made with the first bytes.

    What a fault is called is a method here that returns what has to be written to the transport.
    """

    transport: trio.abc.Stream
    tls: SSL.Connection

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return decrypted bytes; nothing at the end, however that came about."""
        while True:
            try:
                return self.tls.recv(max_bytes or _MOST)
            except SSL.WantReadError:
                await self._flush()
                data = await self.transport.receive_some(_MOST)
                if not data:
                    return b""
                self.tls.bio_write(bytes(data))
            except (SSL.ZeroReturnError, SSL.Error):
                await self._flush()
                return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send *data* encrypted."""
        await self.send_with(bytes(data))

    async def send_with(
        self, data: bytes, fault: Callable[["TlsPeer"], bytes] | None = None
    ) -> None:
        """Send *data* encrypted, and the bytes of *fault* in the same write."""
        encrypted = b""
        if data:
            self.tls.sendall(data)
            encrypted = self._outgoing()
        await self.transport.send_all(encrypted + (b"" if fault is None else fault(self)))

    async def wait_send_all_might_not_block(self) -> None:
        await self.transport.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self.transport.aclose()

    def bad_record(self) -> bytes:
        """Return a record that cannot be decrypted."""
        return BAD_RECORD

    def fatal_alert(self) -> bytes:
        """Return the alert that a server sends that could not decrypt what it got."""
        self.tls.bio_write(BAD_RECORD)
        try:
            self.tls.recv(1)
        except SSL.Error:
            return self._outgoing()
        raise AssertionError

    def renegotiation(self) -> bytes:
        """Return the request for a new handshake, which TLS 1.3 has abolished."""
        self.tls.renegotiate()
        with suppress(SSL.WantReadError):
            self.tls.do_handshake()
        return self._outgoing()

    def _outgoing(self) -> bytes:
        data = b""
        while True:
            try:
                data += self.tls.bio_read(_MOST)
            except SSL.WantReadError:
                return data

    async def _flush(self) -> None:
        data = self._outgoing()
        if data:
            await self.transport.send_all(data)


def tls_pair(
    authority: trustme.CA,
    name: str,
    version: int = SSL.TLS1_3_VERSION,
    pair: Callable[[], Any] = memory_stream_pair,
) -> Callable[[], tuple[trio.abc.Stream, TlsPeer]]:
    """Return a function that makes a line: the client's end of it, and the server's with TLS."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_max_proto_version(version)
    authority.issue_cert(name).configure_cert(context)

    def make() -> tuple[trio.abc.Stream, TlsPeer]:
        ours, theirs = pair()
        tls = SSL.Connection(context, None)
        tls.set_accept_state()
        return ours, TlsPeer(theirs, tls)

    return make
