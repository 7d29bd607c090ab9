"""From a host to a byte stream: name resolution, TCP, TLS. Each failure has its own error.

This is done here and not by trio-websocket, which reports an untrusted certificate as a timeout
(H6). The REST call of an account is dialled here, too, so that both fail in the same words.
"""

import os
import ssl
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import attrs
import trio

from derivtrio.concurrency.background import patience
from derivtrio.connection.endpoints import Endpoint, StreamOpener
from derivtrio.connection.fast.sockets import fast_socket
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
from derivtrio.settings import Settings

if TYPE_CHECKING:
    from derivtrio.connection.addresses import Addresses

T = TypeVar("T")

#: OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID, and macOS's errSecCertificateNotValidYet.
_NOT_YET_VALID: Final = (9, -67819)

#: Whether authorities are kept in a store of the operating system, which OpenSSL does not read.
_HAS_STORE: Final = sys.platform in ("darwin", "win32")


@asynccontextmanager
async def time_limit(deadline: float, what: str, seconds: float) -> AsyncGenerator["Awaited"]:
    """Bound the block by *deadline*, on trio's clock; what has come by then is taken first.

    *what* and *seconds* are for the message. The block can change what it waits for.

    Raises:
        ConnectTimeout: *what* did not come in time.

    """
    async with patience(deadline) as scope:
        yield (awaited := Awaited(what))
    if scope.cancelled_caught:
        raise too_late(awaited.what, seconds)


@attrs.define
class Awaited:
    """What a block waits for, in words."""

    what: str


def too_late(what: str, seconds: float) -> ConnectTimeout:
    """Return the error which says that *what* did not come within so many seconds."""
    error = ConnectTimeout(f"no {what} within {seconds:g} s")
    error.__cause__ = trio.TooSlowError()
    return error


@attrs.define(eq=False)
class Dialer:
    """Opens the streams of one client, for its WebSockets and for what its endpoint asks over HTTP.

    It lives as long as the client: it knows which addresses have failed.
    """

    settings: Settings
    _addresses: "Addresses | None" = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if self.settings.proxy is not None:
            from derivtrio.connection.proxy import check_proxy  # noqa: PLC0415 - few have one

            check_proxy(self.settings.proxy)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Make this the `present_dialer` of the block, in which a new attempt begins."""
        if self._addresses is not None:
            self._addresses.begin()
        token = _present.set(self)
        try:
            yield
        finally:
            _present.reset(token)

    async def open_stream(self, endpoint: Endpoint, address: Address) -> trio.abc.Stream:
        """Return a new stream to *address*, with TLS where its URL says so.

        *Cancellation*: closes what was opened so far.

        Raises:
            ConnectRefused: no TCP connection, or no TLS on it.
            CertificateRejected: the server could not prove its identity.
            InvalidURL: its host cannot be the name of a TLS server.

        """
        stream: trio.abc.Stream
        if isinstance(endpoint, StreamOpener):
            stream = await self._open(endpoint.open_stream, address.host, address.port)
        else:
            stream = await self.open_tcp(address.host, address.port, secure=address.secure)
        if self.settings.fast and isinstance(stream, trio.SocketStream):
            stream = fast_socket(stream)
        if not address.secure:
            return stream
        context = self.settings.ssl_context or platform_context()
        return await open_tls(stream, context, address.host, fast=self.settings.fast)

    async def open_tcp(self, host: str, port: int, *, secure: bool) -> trio.abc.Stream:
        """Return a new stream to *host*, through the proxy if there is one.

        *secure* says whether TLS will go over it. Of several addresses it is the one that can be
        expected to work.

        Raises:
            ConnectRefused: there is none.
            ProxyFailed: the proxy refuses.
            CertificateRejected: an `https://` proxy could not prove its identity.

        """
        if self._addresses is None:  # the first time, and never with streams of an endpoint's own
            from derivtrio.connection.addresses import Addresses  # noqa: PLC0415 - see above

            self._addresses = Addresses()
        if self.settings.proxy is None:
            return await self._open(self._addresses.open_tcp, host, port)
        return await self._open_tunnel(host, port, self._addresses, secure=secure)

    async def _open_tunnel(
        self, host: str, port: int, addresses: "Addresses", *, secure: bool
    ) -> trio.abc.Stream:
        from derivtrio.connection.proxy import open_tunnel, proxy_for  # noqa: PLC0415 - few have one

        proxy = proxy_for(self.settings.proxy, host, port, secure=secure)
        if proxy is None:
            return await self._open(addresses.open_tcp, host, port)
        if proxy.scheme == "socks5":
            host = await self._open(addresses.choose, host, port)
        what = f"proxy {proxy}"
        stream: trio.abc.Stream = await self._open(addresses.open_tcp, proxy.host, proxy.port, what)
        if proxy.scheme == "https":
            context = self.settings.ssl_context or platform_context()
            stream = await open_tls(stream, context, proxy.host, fast=False)
        return await open_tunnel(proxy, stream, host, port)

    def note_success(self) -> None:
        """Note that a handshake has succeeded on the address in use."""
        if self._addresses is not None:
            self._addresses.note_success()

    def note_silence(self) -> None:
        """Note that the address in use went silent: the next attempt begins elsewhere."""
        if self._addresses is not None:
            self._addresses.note_failure()

    async def _open(
        self, opener: Callable[[str, int], Awaitable[T]], host: str, port: int, what: str = ""
    ) -> T:
        try:
            return await opener(host, port)
        except OSError as error:
            what = f"the {what}" if what else f"{host} port {port}"
            text = f"no connection to {what}: {os_error_text(error)}"
            raise ConnectRefused(text) from error


#: An endpoint's `url()` has no argument that could bring it.
_present: ContextVar[Dialer] = ContextVar("derivtrio.dialer")


def present_dialer() -> Dialer:
    """Return the dialer of the client whose endpoint is being asked; outside of any, a new one."""
    return _present.get(None) or Dialer(Settings())


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
    """Return such a context; make a new one only when one of its *files* has changed.

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


def os_error_text(error: OSError) -> str:
    """Return the operating system's own words, which trio wraps once or twice."""
    causes = error.__cause__
    cause = causes.exceptions[-1] if isinstance(causes, BaseExceptionGroup) else error
    number = getattr(cause, "errno", None) or 0
    if number > 0:
        return os.strerror(number)
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
