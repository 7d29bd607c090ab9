"""TLS over a stream, with a server that proves who it is; and which authorities are trusted.

The plain way is `trio.SSLStream`; `fast.tls` hands over many records at once.
"""

import ssl
import sys
from functools import lru_cache
from pathlib import Path
from typing import Final

import trio

from derivtrio.connection.fast.tls import RecordStream, open_records
from derivtrio.connection.stream import breaking
from derivtrio.errors import CertificateRejected, ConnectRefused, InvalidURL, LinkError

#: OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID, and macOS's errSecCertificateNotValidYet.
_NOT_YET_VALID: Final = (9, -67819)

#: Whether authorities are kept in a store of the operating system, which OpenSSL does not read.
_HAS_STORE: Final = sys.platform in ("darwin", "win32")


async def open_tls(
    stream: trio.abc.Stream, context: ssl.SSLContext, host: str, *, fast: bool
) -> trio.abc.Stream:
    """Return TLS over *stream*, which is closed if that fails, with a server that proves its name.

    Raises:
        ConnectRefused: no TLS.
        CertificateRejected: the server could not prove to be *host*.
        InvalidURL: *host* cannot be the name of a TLS server.

    """
    try:
        return await _open_tls(stream, context, host.removesuffix("."), fast=fast)
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
    if _HAS_STORE and (context := _store_context()) is not None:
        return context
    paths = ssl.get_default_verify_paths()
    files = [Path(path) for path in (paths.cafile, paths.capath) if path is not None]
    return _context_of(*((file, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=1)
def _store_context() -> ssl.SSLContext | None:
    """Return a context that asks the operating system, if truststore is installed."""
    try:
        import truststore  # noqa: PLC0415 - comes with httpx2, and need not be there
    except ImportError:
        return None
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@lru_cache(maxsize=1)
def _context_of(*files: tuple[Path, int]) -> ssl.SSLContext:  # noqa: ARG001 - what it depends on
    """Return a context that trusts what is in *files*; a new one only when one of them has changed.

    Reading a few hundred certificates takes 30 ms and nearly a megabyte: too much for each attempt.
    """
    return ssl.create_default_context()


def _tls_failure(error: trio.BrokenResourceError, host: str) -> LinkError:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        early = getattr(cause, "verify_code", None) in _NOT_YET_VALID
        why = getattr(cause, "verify_message", None) or cause.reason or cause
        return CertificateRejected(f"{host}: {why}", not_yet_valid=early)
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return ConnectRefused(f"no TLS with {host}: {cause.reason or cause}")
    return ConnectRefused(f"{host} ended the connection during the TLS handshake")
