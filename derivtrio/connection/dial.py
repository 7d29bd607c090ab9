"""From a host to a byte stream: name resolution, TCP, `tls`. Each failure has its own error.

This is done here and not by trio-websocket, which reports an untrusted certificate as a timeout
(H6). The REST call of an account is dialled here, too, so that both fail in the same words.
"""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeVar

import attrs
import trio

from derivtrio.concurrency.background import patience
from derivtrio.connection.endpoints import Endpoint, StreamOpener
from derivtrio.connection.fast.sockets import fast_socket
from derivtrio.connection.tls import open_tls, platform_context
from derivtrio.connection.url import Address
from derivtrio.errors import ConnectRefused, ConnectTimeout
from derivtrio.settings import Settings

if TYPE_CHECKING:
    from derivtrio.connection.addresses import Addresses

T = TypeVar("T")


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


class Awaited:
    """What a block waits for, in words."""

    def __init__(self, what: str) -> None:
        self.what = what


def too_late(what: str, seconds: float) -> ConnectTimeout:
    """Return the error which says that *what* did not come within so many seconds."""
    error = ConnectTimeout(f"no {what} within {seconds:g} s")
    error.__cause__ = trio.TooSlowError()
    return error


@attrs.define(eq=False, repr=False)
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
        # A stream of the endpoint's own, or one through a proxy's TLS, stays what it is.
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
        from derivtrio.connection.proxy import proxy_for  # noqa: PLC0415 - few have one
        from derivtrio.connection.tunnel import open_tunnel  # noqa: PLC0415

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


def os_error_text(error: OSError) -> str:
    """Return the operating system's own words, which trio wraps once or twice."""
    causes = error.__cause__
    cause = causes.exceptions[-1] if isinstance(causes, BaseExceptionGroup) else error
    number = getattr(cause, "errno", None) or 0
    if number > 0:
        return os.strerror(number)
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
