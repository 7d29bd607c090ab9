"""From an address to a byte stream: name resolution, TCP, TLS. Each failure has its own error.

This is done here and not by trio-websocket, which reports an untrusted certificate as a timeout
(H6).
"""

import os
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

import trio

from derivtrio.concurrency.background import patience
from derivtrio.connection.endpoints import Endpoint, StreamOpener
from derivtrio.connection.fast.tls import RecordStream, open_records
from derivtrio.connection.stream import breaking
from derivtrio.connection.url import Address
from derivtrio.errors import (
    CertificateRejected,
    ConnectRefused,
    ConnectTimeout,
    InvalidURL,
    LinkError,
)

#: OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID.
_NOT_YET_VALID: Final = 9


@asynccontextmanager
async def time_limit(deadline: float, what: str) -> AsyncGenerator[None]:
    """Bound the block by *deadline*, on trio's clock; what has come by then is taken first.

    Raises:
        ConnectTimeout: *what* did not come in time.

    """
    async with patience(deadline) as scope:
        yield
    if scope.cancelled_caught:
        raise too_late(what)


def too_late(what: str) -> ConnectTimeout:
    """Return the error which says that *what* did not come in time."""
    error = ConnectTimeout(f"no {what} within the connect timeout")
    error.__cause__ = trio.TooSlowError()
    return error


async def open_stream(
    endpoint: Endpoint, address: Address, ssl_context: ssl.SSLContext | None, *, fast: bool
) -> trio.abc.Stream:
    """Return a new stream to *address*, with TLS where its URL says so.

    *Cancellation*: closes what was opened so far.

    Raises:
        ConnectRefused: no TCP connection, or no TLS on it.
        CertificateRejected: the server could not prove its identity.
        InvalidURL: its host cannot be the name of a TLS server.

    """
    opener = endpoint.open_stream if isinstance(endpoint, StreamOpener) else trio.open_tcp_stream
    try:
        stream: trio.abc.Stream = await opener(address.host, address.port)
    except OSError as error:
        text = f"no connection to {address.host} port {address.port}: {os_error_text(error)}"
        raise ConnectRefused(text) from error
    if not address.secure:
        return stream
    try:
        return await _open_tls(stream, ssl_context or platform_context(), address.host, fast=fast)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


async def _open_tls(
    stream: trio.abc.Stream, context: ssl.SSLContext, host: str, *, fast: bool
) -> trio.abc.Stream:
    """Return TLS over *stream*, with a server that has proved to be *host*."""
    tls: trio.SSLStream[trio.abc.Stream] | RecordStream
    try:
        if fast:
            tls = open_records(stream, context, host)
        else:
            # As on the web, an end without `close_notify` is an end: WebSocket has its own Close.
            tls = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
    except ValueError as error:
        text = f"{host} cannot be a server's name: {error}"
        raise InvalidURL(text) from error
    try:
        with breaking:
            await tls.do_handshake()
    except trio.BrokenResourceError as error:
        raise _tls_failure(error, host) from error.__cause__
    return tls


def platform_context() -> ssl.SSLContext:
    """Return a context that trusts the platform's authorities, as they are now."""
    paths = ssl.get_default_verify_paths()
    files = [Path(path) for path in (paths.cafile, paths.capath) if path is not None]
    return _context_of(*((file, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=1)
def _context_of(*files: tuple[Path, int]) -> ssl.SSLContext:  # noqa: ARG001 - what it depends on
    """Return such a context; make a new one only when one of its *files* has changed.

    Reading a few hundred certificates takes 30 ms and nearly a megabyte: too much for each attempt.
    """
    return ssl.create_default_context()


def _tls_failure(error: trio.BrokenResourceError, host: str) -> LinkError:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        early = cause.verify_code == _NOT_YET_VALID
        return CertificateRejected(f"{host}: {cause.verify_message}", not_yet_valid=early)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return ConnectRefused(f"no TLS with {host}: {cause.reason or cause}")
    return ConnectRefused(f"{host} ended the connection during the TLS handshake")


def os_error_text(error: OSError) -> str:
    """Return the operating system's own words, which trio wraps once or twice."""
    causes = error.__cause__
    cause = causes.exceptions[-1] if isinstance(causes, BaseExceptionGroup) else error
    number = getattr(cause, "errno", None) or 0
    if number > 0:
        return os.strerror(number)
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
