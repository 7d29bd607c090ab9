"""The way through a proxy: SOCKS5, or HTTP's CONNECT.

python-socks speaks both protocols. It gets a stream to the proxy that `dial` has opened. What it
says comes out as one of our errors, and none of them shows a user name or a password.
"""

import math
from contextlib import suppress
from typing import Any, Final

import attrs
import trio

from derivtrio.connection.proxy import Proxy, python_socks
from derivtrio.connection.stream import breaking
from derivtrio.errors import ConnectRefused, LinkError, ProxyFailed

#: What python-socks raises, besides its own errors, when it reads bytes that are none of SOCKS5.
_GARBLED: Final = (ValueError, LookupError, AssertionError)

_WANTS_LOGIN: Final = 407
_NOT_ALLOWED: Final = 2  # SOCKS5: "connection not allowed by ruleset"
_MAX_HEAD: Final = 2**14


async def open_tunnel(
    proxy: Proxy, stream: trio.abc.Stream, host: str, port: int
) -> trio.abc.Stream:
    """Return *stream*, which leads to *proxy*, when the proxy has connected it to *host*.

    *Cancellation*: closes the stream, as every error does.

    Raises:
        ProxyFailed: the proxy refuses.
        ConnectRefused: it cannot reach the host, or does not answer as such a proxy does.

    """
    socks, trio_socks = python_socks("python_socks"), python_socks("python_socks.async_.trio.v2")
    through = trio_socks.Proxy(
        socks.ProxyType.SOCKS5 if proxy.is_socks else socks.ProxyType.HTTP,
        proxy.host,
        proxy.port,
        username=proxy.username or None,
        password=proxy.password if proxy.username else None,
        rdns=True,
        forward=_Tunnel(stream, proxy),
    )
    try:
        await through.connect(host, port, timeout=math.inf)
    except socks.ProxyError as error:
        raise _why_not(proxy, host, error) from error
    except _GARBLED as error:
        text = f"the proxy {proxy} does not answer as such a proxy does"
        raise ConnectRefused(text) from error
    return stream


def _why_not(proxy: Proxy, host: str, error: Any) -> LinkError:
    code, said = error.error_code, proxy.hidden_in(str(error))
    if proxy.is_socks:
        if code == _NOT_ALLOWED or "authentication" in said:
            return ProxyFailed(f"the proxy {proxy} refuses: {said}")
    elif code == _WANTS_LOGIN:
        wants = "refuses the user name and password" if proxy.username else "wants a user name"
        return ProxyFailed(f"the proxy {proxy} {wants}: HTTP {said}", code)
    elif code is not None:
        return ProxyFailed(f"the proxy {proxy} does not connect to {host}: HTTP {said}", code)
    return ConnectRefused(f"the proxy {proxy} does not connect to {host}: {said}")


@attrs.define(eq=False, repr=False)
class _Tunnel:
    """A stream to the proxy as python-socks wants it, and the "proxy" that leads to it.

    python-socks closes it when anything goes wrong.
    """

    _stream: trio.abc.Stream
    _proxy: Proxy

    async def connect(self, dest_host: str, dest_port: int) -> "_Tunnel":  # noqa: ARG002
        return self

    async def write(self, data: bytes) -> None:
        try:
            with breaking:
                await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise self._broken() from error

    async def read(self) -> bytes:
        """Return the head of the answer to CONNECT; behind it comes nothing before we speak."""
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _MAX_HEAD:
            head += await self._receive(_MAX_HEAD)
        return head

    async def read_exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += await self._receive(count - len(data))
        return data

    write_all, read_exact = write, read_exactly  # their names before python-socks 3

    async def close(self) -> None:
        with suppress(trio.BrokenResourceError):
            await trio.aclose_forcefully(self._stream)

    async def _receive(self, most: int) -> bytes:
        data = b""
        with suppress(trio.BrokenResourceError), breaking:
            data = bytes(await self._stream.receive_some(most))
        if not data:
            raise self._broken()
        return data

    def _broken(self) -> ConnectRefused:
        return ConnectRefused(f"the proxy {self._proxy} ended the connection")
