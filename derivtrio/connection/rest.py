"""The REST call for a one-time URL, and what its answers mean.

Facts (Deriv's OpenAPI description): the call wants a token with the scope `trade`, and an app id.
Its errors are JSON, `{"errors": [{"status", "code", "message", "field"?}], "meta": …}`.

The call is httpx2's; its streams are opened by `dial`, as those of the WebSocket are. So both have
the same addresses, the same proxy, and the same errors. The limits are alike as well: of an answer
the beginning is read, and the body of a refusal, which may say why, is worth a second.
"""

import math
import ssl
from contextlib import aclosing, suppress
from types import ModuleType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import attrs
import trio

from derivtrio.api import codec
from derivtrio.connection.dial import Dialer, present_dialer, time_limit
from derivtrio.connection.handshake import worth_keeping
from derivtrio.connection.stream import breaking
from derivtrio.connection.tls import open_tls, platform_context
from derivtrio.connection.url import parse_url
from derivtrio.errors import (
    ConnectRefused,
    EndpointFailed,
    InvalidURL,
    ProtocolViolation,
    RestRejected,
)
from derivtrio.policy.retry import retry_after_seconds
from derivtrio.redaction import HIDDEN

_OK: Final = 200

#: How long the call may take, in seconds, where no `connect_timeout` is shorter.
_PATIENCE: Final = 30.0

#: How much of an answer is kept, in bytes, and how much of it an error shows, in characters.
_MAX_BODY: Final = 64 * 1024
_MAX_SHOWN: Final = 200

#: For how many seconds the body of a refusal is waited for.
_BODY_PATIENCE: Final = 1.0


@attrs.define(eq=False, repr=False)
class _Stream:
    """A stream as httpcore2 wants it."""

    _http: ModuleType
    _stream: trio.abc.Stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        try:
            with breaking:
                return bytes(await self._stream.receive_some(max_bytes))
        except trio.BrokenResourceError as error:
            raise self._http.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        try:
            with breaking:
                await self._stream.send_all(buffer)
        except trio.BrokenResourceError as error:
            raise self._http.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109
    ) -> "_Stream":
        tls = await open_tls(self._stream, ssl_context, server_hostname, fast=False)
        return _Stream(self._http, tls)

    def get_extra_info(self, info: str) -> None:  # noqa: ARG002 - there is none
        return None


@attrs.define(eq=False, repr=False)
class _Transport:
    """What carries httpx2's request, over a stream of the *dialer*."""

    _http: ModuleType
    _core: ModuleType
    _dialer: Dialer
    _trust: ssl.SSLContext | None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def connect_tcp(self, host: str, port: int, **_: Any) -> _Stream:
        """Open a stream for httpcore2, to which this is the network."""
        secure = self._trust is not None
        return _Stream(self._core, await self._dialer.open_tcp(host, port, secure=secure))

    async def handle_async_request(self, request: Any) -> Any:
        """Return the answer to *request*, with the beginning of its body."""
        core, method, url = self._core, request.method, str(request.url)
        pool = core.AsyncConnectionPool(ssl_context=self._trust, network_backend=self)
        async with pool, pool.stream(method, url, headers=request.headers.raw) as answer:
            body = await _beginning(core, answer)
        # httpx2 is not shown the headers: it would decode the body, and follow or judge a Location.
        extensions = {"headers": worth_keeping(answer.headers)}
        return self._http.Response(answer.status, content=body, extensions=extensions)


def imported_httpx() -> ModuleType:
    """Return httpx2; raise EndpointFailed where it is not installed."""
    try:
        import httpx2  # noqa: PLC0415  - an extra, which not everybody needs
    except ImportError as error:
        text = (
            "accounts of the Options API need httpx2, which the extra `options` brings:"
            " pip install '.[options]' in a clone of derivtrio"
        )
        raise EndpointFailed(text) from error
    return httpx2


async def post_for_url(
    http: ModuleType,
    where: str,
    app_id: str,
    secret: str,
    ssl_context: ssl.SSLContext | None,
) -> str:
    """Make the call to the URL *where*, authorized by *secret*; return the one-time URL.

    Raises:
        RestRejected: the server's answer is no.
        ConnectRefused, ConnectTimeout, CertificateRejected: there was no answer.
        ProtocolViolation: the answer cannot be understood.

    """
    import httpcore2  # noqa: PLC0415 - comes with httpx2

    headers = {
        "Authorization": f"Bearer {secret}",
        "Deriv-App-ID": app_id,
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    scheme, host = urlsplit(where)[:2]
    # httpcore2 has the context ask for HTTP/1.1, which is what a WebSocket begins as, too.
    trust = (ssl_context or platform_context()) if scheme == "https" else None
    dialer = present_dialer()
    transport = _Transport(http, httpcore2, dialer, trust)
    try:
        async with (
            time_limit(trio.current_time() + _PATIENCE, f"one-time URL from {host}", _PATIENCE),
            http.AsyncClient(transport=transport, timeout=None, trust_env=False) as web,
        ):
            response = await web.post(where, headers=headers)
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        text = f"no one-time URL from {host}: {error}"
        raise ConnectRefused(text) from error
    body = response.content
    if response.status_code != _OK:
        headers = response.extensions["headers"]
        raise _refusal(response.status_code, body, headers, secret)
    url = _url_in(body, secure=scheme == "https")
    dialer.note_success()
    return url


async def _beginning(http: ModuleType, response: Any) -> bytes:
    """Return the body of *response*, or its first 64 KiB; of a refusal, what comes in a second."""
    body = b""
    refused = response.status != _OK
    broken = (http.NetworkError, http.ProtocolError) if refused else ()
    with trio.move_on_after(_BODY_PATIENCE if refused else math.inf), suppress(*broken):
        async with aclosing(response.aiter_stream()) as chunks:
            async for chunk in chunks:
                body += chunk[: _MAX_BODY - len(body)]
                if len(body) == _MAX_BODY:
                    break
    return body


def _refusal(status: int, body: bytes, headers: dict[str, str], secret: str) -> RestRejected:
    """Return the error for an answer with *status* and *body*, without the *secret*."""
    error = _first_error(body)
    code, message = _text_in(error, "code"), _text_in(error, "message")
    if not error:
        message = " ".join(body.decode("utf-8", "replace").split())
    code, message = (text.replace(secret, HIDDEN)[:_MAX_SHOWN] for text in (code, message))
    refusal = RestRejected(status, code, message, retry_after_seconds(headers.get("Retry-After")))
    refusal.headers = headers
    return refusal


def _text_in(error: dict[str, Any], name: str) -> str:
    value = error.get(name)
    return value if isinstance(value, str) else ""


def _first_error(body: bytes) -> dict[str, Any]:
    try:
        answer = codec.decode_with_halves(body)
    except codec.UNDECODABLE:
        return {}
    errors = answer.get("errors") if isinstance(answer, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, dict) else {}


def _url_in(body: bytes, *, secure: bool) -> str:
    """Return the URL in an answer. It is secret: no error shows it.

    Raises:
        ProtocolViolation: it brings no URL, or one on which everybody could read the password.

    """
    try:
        answer = codec.decode_with_halves(body)
    except codec.UNDECODABLE:
        answer = None
    data = answer.get("data") if isinstance(answer, dict) else None
    url = data.get("url") if isinstance(data, dict) else None
    try:
        address = parse_url(url)  # type: ignore[arg-type]  # which is checked there
    except InvalidURL:
        text = "the REST API's answer has no WebSocket URL"
        raise ProtocolViolation(text) from None
    if secure and not address.secure:
        text = "the REST API's answer has a WebSocket URL without encryption"
        raise ProtocolViolation(text)
    return str(url)
