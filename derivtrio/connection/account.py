"""An account on the Options API: a one-time URL for every connection, from a REST call.

The URL is good for one connection and for 120 seconds (Deriv's OpenAPI description). Several calls
at once are answered with 503, `CircuitBreakerBusy` (third parties' reports). So one endpoint makes
one call at a time. After a 429 or 503 it waits as long as `Retry-After` says or, without one, for a
delay that doubles from one second to thirty, and up to half as long again, at random: many clients
that were refused together should not ask again together.

A refused call is not repeated here: it is the failure of an attempt, which is announced, logged,
and followed by the next attempt as every other one is. The one exception is a token that the server
refuses: a token function is asked for another one, once.

The call itself is in `rest`.
"""

import math
import random
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import attrs
import trio

from derivtrio.connection.endpoints import Generation, LimitsSource, ask
from derivtrio.connection.rest import imported_httpx, post_for_url
from derivtrio.connection.url import parse_authority
from derivtrio.errors import EndpointFailed, InvalidURL, RestRejected
from derivtrio.policy.backoff import delays
from derivtrio.redaction import shown_url
from derivtrio.settings import Backoff

REST_URL: Final = "https://api.derivws.com"

_UNAUTHORIZED: Final = 401

#: Statuses after which the server is left alone for a while.
_BUSY: Final = frozenset({429, 503})
_PAUSES: Final = Backoff(first=1, factor=2, cap=30)

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_BASE: Final = re.compile(r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[\w./-]*)?")
_TOKEN: Final = re.compile(r"[!-~]+")


@attrs.define(eq=False, repr=False)
class _Turns:
    """One call at a time, and none before a busy server wants to be asked again."""

    lock: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _until: float = attrs.field(default=-math.inf, init=False)
    _refusal: RestRejected | None = attrs.field(default=None, init=False)
    _pauses: Iterator[float] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pauses = delays(_PAUSES, _at_least)

    async def wait(self) -> None:
        """Wait until the server may be asked again.

        Raises:
            RestRejected: that is after the caller's deadline. The server is not asked; this is its
                last answer.

        """
        if self._refusal is not None and self._until > trio.current_effective_deadline():
            last, left = self._refusal, self._until - trio.current_time()
            await trio.lowlevel.checkpoint()
            raise RestRejected(last.status, last.code, last.message, left)
        await trio.sleep_until(max(self._until, trio.current_time()))

    def note(self, refusal: RestRejected | None) -> None:
        """Note how the server answered: with a *refusal*, or as it should."""
        if refusal is None:
            self._refusal, self._pauses = None, delays(_PAUSES, _at_least)
        elif refusal.status in _BUSY:
            asked = refusal.retry_after
            pause = next(self._pauses) if asked is None else asked
            self._until, self._refusal = trio.current_time() + pause, refusal


class _TurnsByRun:
    """The turns of each `trio.run`: each has its own clock, and a lock wakes only its own tasks."""

    def __init__(self) -> None:
        self._turns: WeakKeyDictionary[trio.lowlevel.TrioToken, _Turns] = WeakKeyDictionary()

    @property
    def here(self) -> _Turns:
        """Those of the present run."""
        return self._turns.setdefault(trio.lowlevel.current_trio_token(), _Turns())

    def __reduce__(self) -> tuple[type["_TurnsByRun"], tuple[()]]:
        """Begin anew in another process, and in a deep copy."""
        return _TurnsByRun, ()


@attrs.frozen
class OptionsAccount:
    """An account of the Options API, by its id such as `"DOT90004580"`.

    `token` is a personal access token, an OAuth access token, or an async function that returns
    one. The function is called before each connection, and once more if the server refuses its
    token. The server knows whether the account is real or a demo, and its URL leads to the right
    place. `base` is the scheme and host of the REST API. `ssl_context` is for that API; `None`
    means the platform's own certificate authorities.

    Needs httpx2, which the extra `options` brings: `pip install '.[options]'` in a clone.
    """

    account_id: str = attrs.field()
    app_id: int | str = attrs.field()
    token: str | Callable[[], Awaitable[str]] = attrs.field(repr=False)
    base: str = attrs.field(default=REST_URL, kw_only=True, repr=shown_url)
    ssl_context: ssl.SSLContext | None = attrs.field(default=None, kw_only=True, repr=False)
    generation: Generation = attrs.field(default="options", init=False)
    limits: LimitsSource = attrs.field(default="documented", init=False)
    _turns: _TurnsByRun = attrs.field(factory=_TurnsByRun, init=False, repr=False, eq=False)

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
            text = f"base is not a URL such as {REST_URL!r}"
            raise InvalidURL(text)
        parse_authority(urlsplit(str(value)).netloc)

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
        http = imported_httpx()
        turns = self._turns.here
        async with turns.lock:
            await turns.wait()
            try:
                url = await self._ask(http)
            except RestRejected as refusal:
                turns.note(refusal)
                raise
            turns.note(None)
            return url

    async def _ask(self, http: ModuleType) -> str:
        """Make the call; once more with another token, if the token function has one."""
        try:
            return await self._post(http)
        except RestRejected as refusal:
            if refusal.status != _UNAUTHORIZED or isinstance(self.token, str):
                raise
        return await self._post(http)

    async def _post(self, http: ModuleType) -> str:
        where = f"{self.base.rstrip('/')}/trading/v1/options/accounts/{self.account_id}/otp"
        secret = await self._secret()
        return await post_for_url(http, where, str(self.app_id), secret, self.ssl_context)

    async def _secret(self) -> str:
        if isinstance(self.token, str):
            return self.token
        secret = await ask(self.token, "the token function")
        if not _TOKEN.fullmatch(secret):
            text = "the token function returned something that is not a token"
            raise EndpointFailed(text)
        return secret


def _at_least(_low: float, high: float) -> float:
    """Return a random wait from *high* to half as much again.

    The supervisor's own random wait runs meanwhile, so it keeps nobody apart.
    """
    return random.uniform(high, 1.5 * high)  # noqa: S311 - no secret
