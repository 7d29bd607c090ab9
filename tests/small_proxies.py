"""Small proxies on loopback: HTTP CONNECT, and SOCKS5 (RFC 1928, 1929)."""

import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import trio

HOST = "127.0.0.1"


@attrs.define(eq=False)
class SmallProxy:
    """A proxy, what it was asked for, and what it answers.

    `login` is `user:password`, which it wants; `names` is where names lead to, by default nowhere.
    `answer` is an answer to CONNECT, or the code of one of SOCKS5, instead of a connection.
    """

    kind: str
    login: str = ""
    names: dict[str, str] = attrs.field(factory=dict)
    answer: bytes | int | None = None
    port: int = 0
    asked: list[tuple[str, int]] = attrs.field(factory=list)
    logins: list[str] = attrs.field(factory=list)

    def url(self, login: str = "") -> str:
        return f"{self.kind}://{login}{'@' if login else ''}{HOST}:{self.port}"

    async def serve(self, client: trio.abc.Stream) -> None:
        serve = self._serve_http if self.kind.startswith("http") else self._serve_socks
        async with client:
            target = await serve(client)
            if target is None:
                return
            self.asked.append(target)
            host, port = target
            server = await trio.open_tcp_stream(self.names.get(host, host), port)
            await client.send_all(_CONNECTED[self.kind[:4]])
            async with server, trio.open_nursery() as nursery:
                nursery.start_soon(_pass_on, client, server, nursery.cancel_scope)
                nursery.start_soon(_pass_on, server, client, nursery.cancel_scope)

    async def _serve_http(self, client: trio.abc.Stream) -> tuple[str, int] | None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await client.receive_some()
        first, *lines = head.decode().split("\r\n")
        method, authority, _ = first.split()
        assert method == "CONNECT"
        given = next((line for line in lines if line.startswith("Proxy-Authorization: Basic ")), "")
        self.logins.append(given.rpartition(" ")[2])
        if self.login and self.logins[-1] != b64encode(self.login.encode("latin-1")).decode():
            said = f"HTTP/1.1 407 You said {self.logins[-1]}\r\nContent-Length: 0\r\n\r\n"
            await client.send_all(said.encode())
            return None
        if isinstance(self.answer, bytes):
            for start in range(0, len(self.answer), 5):  # in pieces
                await client.send_all(self.answer[start : start + 5])
            return None
        host, _, port = authority.rpartition(":")
        return host, int(port)

    async def _serve_socks(self, client: trio.abc.Stream) -> tuple[str, int] | None:
        _, count = await _read(client, 2)
        methods = await _read(client, count)
        if self.login and 2 not in methods:
            await client.send_all(b"\x05\xff")
            return None
        await client.send_all(b"\x05\x02" if self.login else b"\x05\x00")
        if self.login:
            _, size = await _read(client, 2)
            user = await _read(client, size)
            password = await _read(client, (await _read(client, 1))[0])
            self.logins.append(f"{user.decode()}:{password.decode()}")
            fits = self.logins[-1] == self.login
            await client.send_all(b"\x01\x00" if fits else b"\x01\x01")
            if not fits:
                return None
        kind = (await _read(client, 4))[3]
        if kind == 3:
            host = (await _read(client, (await _read(client, 1))[0])).decode()
        else:
            host = ".".join(map(str, await _read(client, 4)))
        port = int.from_bytes(await _read(client, 2), "big")
        if isinstance(self.answer, int):
            self.asked.append((host, port))
            await client.send_all(bytes((5, self.answer, 0, 1, 0, 0, 0, 0, 0, 0)))
            return None
        return host, port


_CONNECTED = {
    "http": b"HTTP/1.1 200 Connection established\r\n\r\n",
    "sock": b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00",
}


async def _read(stream: trio.abc.Stream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = bytes(await stream.receive_some(count - len(data)))
        if not more:
            raise trio.BrokenResourceError
        data += more
    return data


async def _pass_on(
    source: trio.abc.Stream, target: trio.abc.Stream, scope: trio.CancelScope
) -> None:
    try:
        while data := await source.receive_some():
            await target.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()


@asynccontextmanager
async def open_proxy(
    proxy: SmallProxy, ssl_context: ssl.SSLContext | None = None
) -> AsyncGenerator[SmallProxy]:
    """Serve *proxy* on a loopback port, over TLS where there is a context."""

    async def handle(stream: trio.abc.Stream) -> None:
        if ssl_context is not None:
            stream = trio.SSLStream(stream, ssl_context, server_side=True, https_compatible=True)
        try:
            await proxy.serve(stream)
        except (trio.BrokenResourceError, OSError):
            await trio.aclose_forcefully(stream)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host=HOST)
            proxy.port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, handle, listeners)
            yield proxy
            nursery.cancel_scope.cancel()
