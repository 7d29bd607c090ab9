"""The REST call for a one-time URL, and what its answers mean.

Facts (Deriv's OpenAPI description): the call wants a token with the scope `trade`, and an app id.
Its errors are JSON, `{"errors": [{"status", "code", "message", "field"?}], "meta": …}`.

It goes to the server directly, like the WebSocket after it: proxies that the environment names are
not used.
"""

import ssl
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

import trio

from derivtrio.api import codec
from derivtrio.connection.dial import os_error_text, platform_context, time_limit
from derivtrio.connection.url import parse_url
from derivtrio.errors import (
    CertificateRejected,
    ConnectRefused,
    EndpointFailed,
    InvalidURL,
    LinkError,
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
    headers = {"Authorization": f"Bearer {secret}", "Deriv-App-ID": app_id}
    scheme, host = urlsplit(where)[:2]
    # httpx2 has the context ask for HTTP/1.1, which is what a WebSocket begins as, too.
    trust = scheme == "https" and (ssl_context or platform_context())
    try:
        async with (
            time_limit(trio.current_time() + _PATIENCE, f"one-time URL from {host}"),
            http.AsyncClient(verify=trust, timeout=None, trust_env=False) as client,
            client.stream("POST", where, headers=headers) as response,
        ):
            body = await _beginning(response)
    except http.RequestError as error:
        raise _no_answer(error, host) from error
    if response.status_code != _OK:
        raise _refusal(response.status_code, body, response.headers.get("Retry-After"), secret)
    return _url_in(body, secure=scheme == "https")


async def _beginning(response: Any) -> bytes:
    """Return the body of *response*, or its first 64 KiB."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk[: _MAX_BODY - len(body)]
    return body


def _no_answer(error: Exception, host: str) -> LinkError:
    """Return the LinkError for a call that got no answer because of *error*."""
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        if isinstance(deeper, BaseExceptionGroup):
            break  # one error per address; trio's own is the one above it
        cause = deeper  # the wrapping is httpx2's; what it is about lies at the bottom
    if isinstance(cause, ssl.SSLCertVerificationError):
        return CertificateRejected(f"{host}: {cause.verify_message}")
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
        said = os_error_text(cause)
    else:
        said = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return ConnectRefused(f"no one-time URL from {host}: {said}")


def _refusal(status: int, body: bytes, retry_after: str | None, secret: str) -> RestRejected:
    """Return the error for an answer with *status* and *body*, without the *secret*."""
    error = _first_error(body)
    code = str(error.get("code") or "")
    message = str(error.get("message") or "")
    if not error:
        message = " ".join(body.decode("utf-8", "replace").split())
    code, message = (text.replace(secret, HIDDEN)[:_MAX_SHOWN] for text in (code, message))
    return RestRejected(status, code, message, retry_after_seconds(retry_after))


def _first_error(body: bytes) -> dict[str, Any]:
    try:
        answer = codec.decode(body)
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
        answer = codec.decode(body)
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
