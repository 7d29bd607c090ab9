"""An account on the Options API: a one-time URL for every connection, from a REST call.

Facts (Deriv's OpenAPI description, and third parties' reports where marked): the URL is good for
one connection and for 120 seconds; the call wants a token with the scope `trade`, and an app id;
its errors are JSON, `{"errors": [{"status", "code", "message", "field"?}], "meta": …}`; several
calls at once are answered with 503, `CircuitBreakerBusy` (reported).

So one endpoint makes one call at a time. It makes none before the time that a 429 or 503 asked
for in `Retry-After` or, without one, before a delay that doubles from one second to thirty.
Nothing is repeated in here, but for one thing: a refused call is the failure of an attempt, which
is announced, logged, and followed by the next attempt as every other one is.

The call goes to the server directly, like the WebSocket after it: proxies that the environment
names are not used.
"""

import math
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import trio

from derivtrio.api import codec
from derivtrio.connection.dial import os_error_text, platform_context, time_limit
from derivtrio.connection.endpoints import Generation, LimitsSource, ask, parse_url
from derivtrio.errors import (
    CertificateRejected,
    ConnectRefused,
    EndpointFailed,
    InvalidURL,
    LinkError,
    ProtocolViolation,
    RestRejected,
)
from derivtrio.policy.backoff import delays
from derivtrio.redaction import HIDDEN, shown_url
from derivtrio.settings import Backoff

REST_URL: Final = "https://api.derivws.com"

_OK: Final = 200
_UNAUTHORIZED: Final = 401

#: Statuses after which the server is left alone for a while.
_BUSY: Final = frozenset({429, 503})
_PAUSES: Final = Backoff(first=1, factor=2, cap=30)

#: No server is believed that it wants to be left alone for longer, in seconds.
_LONGEST_PAUSE: Final = 3600.0

#: How long the call may take, in seconds, where no `connect_timeout` is shorter.
_PATIENCE: Final = 30.0

#: The most that is kept of an answer, in bytes, and shown of one that is not Deriv's, in letters.
_MAX_BODY: Final = 64 * 1024
_MAX_SHOWN: Final = 200

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BASE: Final = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[\w./-]*)?")
_TOKEN: Final = re.compile(r"[!-~]+")


@attrs.define(eq=False)
class _Restraint:
    """One call at a time, and none before a busy server wants to be asked again."""

    lock: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _until: float = attrs.field(default=-math.inf, init=False)
    _refusal: RestRejected | None = attrs.field(default=None, init=False)
    _pauses: Iterator[float] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pauses = delays(_PAUSES, _longest)

    async def wait(self) -> None:
        """Wait until the server may be asked.

        Raises:
            RestRejected: that is after the caller's deadline; the server is not asked, and this is
                its last answer.

        """
        if self._refusal is not None and self._until > trio.current_effective_deadline():
            last, left = self._refusal, self._until - trio.current_time()
            await trio.lowlevel.checkpoint()
            raise RestRejected(last.status, last.code, last.message, left)
        await trio.sleep_until(max(self._until, trio.current_time()))

    def note(self, refusal: RestRejected | None) -> None:
        """Note how the server answered: with a *refusal*, or as it should."""
        if refusal is None:
            self._refusal, self._pauses = None, delays(_PAUSES, _longest)
        elif refusal.status in _BUSY:
            asked = refusal.retry_after
            pause = next(self._pauses) if asked is None else asked
            self._until, self._refusal = trio.current_time() + pause, refusal


@attrs.frozen
class OptionsAccount:
    """An account of the Options API, by its id such as `"DOT90004580"`.

    `token` is a personal access token, an OAuth access token, or an async function that is asked
    for one before each connection, and once more if the server refuses that one. Whether the
    account is real or a demo is for the server to say: its URL leads to the right place. `base` is
    the scheme and host of the REST API, and `ssl_context` the trust in it, by default the system's.

    Needs httpx2, which the extra `options` brings: `pip install '.[options]'` in a clone.
    """

    account_id: str = attrs.field()
    app_id: int | str = attrs.field()
    token: str | Callable[[], Awaitable[str]] = attrs.field(repr=False)
    base: str = attrs.field(default=REST_URL, kw_only=True, repr=shown_url)
    ssl_context: ssl.SSLContext | None = attrs.field(default=None, kw_only=True, repr=False)
    generation: Generation = attrs.field(default="options", init=False)
    limits: LimitsSource = attrs.field(default="documented", init=False)
    _restraint: _Restraint = attrs.field(factory=_Restraint, init=False, repr=False, eq=False)

    @account_id.validator
    @app_id.validator
    def _check_name(self, attribute: Any, value: object) -> None:
        named = isinstance(value, (int, str)) and not isinstance(value, bool)
        if not named or not _NAME.fullmatch(str(value)):
            text = f"{attribute.name} is an identifier of letters and digits, not {value!r}"
            raise ValueError(text)

    @base.validator
    def _check_base(self, _attribute: Any, value: object) -> None:
        if not _BASE.fullmatch(str(value)):
            text = f"base is a URL such as {REST_URL!r}, and this is none"
            raise InvalidURL(text)

    @token.validator
    def _check_token(self, _attribute: Any, value: object) -> None:
        if not callable(value) and not (isinstance(value, str) and _TOKEN.fullmatch(value)):
            text = (
                "token is a str of printable ASCII characters without spaces, or an async function"
            )
            raise ValueError(text)

    @ssl_context.validator
    def _check_trust(self, _attribute: Any, value: object) -> None:
        if value is not None and not isinstance(value, ssl.SSLContext):
            text = f"ssl_context is an ssl.SSLContext or None, not {value!r}"
            raise TypeError(text)

    async def url(self) -> str:
        """Return a new one-time URL. Use it at once, and show it to nobody.

        *Cancellation*: closes the HTTP connection. A URL that was on its way is lost.

        Raises:
            RestRejected: the server's answer is no. With status 400, 401, 403 or 404 it is final;
                with 429 or 503 the next call waits as long as the server wishes, or fails at once
                if that is longer than it may wait.
            ConnectRefused, ConnectTimeout, CertificateRejected: there was no answer.
            ProtocolViolation: the answer cannot be understood.
            EndpointFailed: httpx2 is not installed, or the token function is broken.

        """
        http = _imported_httpx()
        async with self._restraint.lock:
            await self._restraint.wait()
            try:
                url = await self._asked(http)
            except RestRejected as refusal:
                self._restraint.note(refusal)
                raise
            self._restraint.note(None)
            return url

    async def _asked(self, http: ModuleType) -> str:
        try:
            return await self._post(http, await self._secret())
        except RestRejected as refusal:
            if refusal.status != _UNAUTHORIZED or isinstance(self.token, str):
                raise
        return await self._post(http, await self._secret())

    async def _secret(self) -> str:
        if isinstance(self.token, str):
            return self.token
        secret = await ask(self.token, "the token function")
        if not _TOKEN.fullmatch(secret):
            text = "the token function returned what is no token"
            raise EndpointFailed(text)
        return secret

    async def _post(self, http: ModuleType, secret: str) -> str:
        where = f"{self.base.rstrip('/')}/trading/v1/options/accounts/{self.account_id}/otp"
        headers = {"Authorization": f"Bearer {secret}", "Deriv-App-ID": str(self.app_id)}
        scheme, host = urlsplit(self.base)[:2]
        # httpx2 has the context ask for HTTP/1.1, which is what a WebSocket begins as, too.
        trust = scheme == "https" and (self.ssl_context or platform_context())
        try:
            with time_limit(trio.current_time() + _PATIENCE, f"one-time URL from {host}"):
                async with (
                    http.AsyncClient(verify=trust, timeout=None, trust_env=False) as client,
                    client.stream("POST", where, headers=headers) as response,
                ):
                    body = await _beginning(response)
        except http.RequestError as error:
            raise _no_answer(error, host) from error
        if response.status_code != _OK:
            raise _refusal(response.status_code, body, response.headers.get("Retry-After"), secret)
        return _url_in(body, secure=scheme == "https")


def _imported_httpx() -> ModuleType:
    try:
        import httpx2  # noqa: PLC0415  (an extra: who does not need it need not have it)
    except ImportError as error:
        text = (
            "accounts of the Options API need httpx2, which the extra `options` brings:"
            " pip install '.[options]' in a clone of derivtrio"
        )
        raise EndpointFailed(text) from error
    return httpx2


async def _beginning(response: Any) -> bytes:
    """Return the body of *response*, or as much of it as anybody needs."""
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk[: _MAX_BODY - len(body)]
    return body


def _no_answer(error: Exception, host: str) -> LinkError:
    """Return the error for a call that *error* has kept from being answered."""
    cause: BaseException = error
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        if isinstance(deeper, BaseExceptionGroup):
            break  # of one error per address; that above it is trio's
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
    return RestRejected(status, code, message, _seconds(retry_after))


def _first_error(body: bytes) -> dict[str, Any]:
    try:
        answer = codec.decode(body)
    except codec.UNDECODABLE:
        return {}
    errors = answer.get("errors") if isinstance(answer, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, dict) else {}


def _seconds(retry_after: str | None) -> float | None:
    """Return what a `Retry-After` means: it has seconds or a date; None for anything else."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdecimal():
        return min(float(retry_after), _LONGEST_PAUSE)
    try:
        until = parsedate_to_datetime(retry_after).timestamp()
    except ValueError:
        return None
    return min(max(0.0, until - time.time()), _LONGEST_PAUSE)


def _url_in(body: bytes, *, secure: bool) -> str:
    """Return the URL that an answer brings; none of its errors shows it.

    Raises:
        ProtocolViolation: it brings none, or one on which everybody could read the password.

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


def _longest(_low: float, high: float) -> float:
    """Draw no lots: the supervisor's own backoff sees to it that no herd comes."""
    return high
