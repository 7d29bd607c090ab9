"""Where to connect, and which generation of the API is spoken there.

An endpoint is asked for its URL before every attempt, because some URLs can be used only once. It
may also open its own streams, as the simulator's in-memory endpoint does; otherwise `dial` opens
TCP to the URL's host.
"""

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, Literal, Protocol, get_args, runtime_checkable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs
import trio

from derivtrio.connection.url import parse_url
from derivtrio.errors import DerivError, EndpointFailed, HandshakeRejected
from derivtrio.redaction import shown_url
from derivtrio.wording import shown

#: The generation of Deriv's API: the one of the public guides, or the newer Options API.
Generation = Literal["v3", "options"]

#: Where the rate limits come from: the server's `website_status`, or Deriv's published table.
LimitsSource = Literal["website_status", "documented"]

V3_URL = "wss://ws.derivws.com/websockets/v3"
OPTIONS_URL = "wss://api.derivws.com/trading/v1/options/ws/public"

#: What a server that is gone, or Cloudflare in its place, answers.
_GONE = frozenset({404, 410, *range(520, 528), 530})
_CLOSED = (
    "Deriv's v3 API, the default, is reported closed; use the Options API:"
    " endpoint=derivtrio.OptionsPublic() for market data, or"
    " endpoint=derivtrio.OptionsAccount(account_id, app_id, token) for an account"
)

_LANGUAGE = re.compile("[A-Za-z]{2,3}([_-][A-Za-z]{2,4})?")

#: What the paths of the Options API's sockets begin with.
_OPTIONS_PATH = "/trading/v1/options/"


class Endpoint(Protocol):
    """A place to connect to. Inherit from it to make your own, with its defaults.

    Where connections belong to an account from the start, as on the Options API, the attribute
    `account_id` names it. Then each new connection is asked for its balance, which proves the
    account, and a handshake that is refused with 401 is tried again, with a new URL.
    """

    @property
    def generation(self) -> Generation:
        """The generation of the API that this endpoint speaks."""
        return "v3"

    @property
    def limits(self) -> LimitsSource:
        """Where its rate limits come from."""
        return "website_status"

    async def url(self) -> str:
        """Return the WebSocket URL for one attempt.

        *Cancellation*: cancelled when `Settings.connect_timeout` is over.

        Raises:
            OSError: there is no URL now; the attempt fails, and the next one asks again.
            Exception: anything else ends the client with this cause, if no connection of it has
                been `READY` so far. Afterwards the next attempt asks again. That also holds if what
                is returned is not a WebSocket URL.

        """
        ...


@runtime_checkable
class StreamOpener(Protocol):
    """An endpoint that opens its own streams instead of TCP."""

    async def open_stream(self, host: str, port: int) -> trio.abc.Stream:
        """Return a new stream to the server; raise an OSError if it cannot be opened."""
        ...


@attrs.frozen
class V3:
    """The v3 generation: one URL, with the `app_id` in its query.

    `language` is the language of the server's messages, such as `"ES"`.
    """

    app_id: int | str = attrs.field(default=1089)
    language: str | None = attrs.field(default=None)
    base: str = attrs.field(default=V3_URL, repr=shown_url)
    generation: Generation = "v3"
    limits: LimitsSource = "website_status"

    @app_id.validator
    def _check_app_id(self, _attribute: object, value: int | str) -> None:
        check_app_id(value)

    @language.validator
    def _check_language(self, _attribute: object, value: object) -> None:
        if value is not None and not (isinstance(value, str) and _LANGUAGE.fullmatch(value)):
            text = f"language is a str such as 'ES' or 'ZH_CN', or None, not {shown(value)}"
            raise ValueError(text)

    @base.validator
    def _check_base(self, _attribute: object, value: str) -> None:
        parse_url(value)

    async def url(self) -> str:
        """Return `base` with `app_id` (and `l`, the language) in its query, where absent."""
        parts = urlsplit(self.base)
        present = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        wanted = {"app_id": str(self.app_id), "l": self.language}
        absent = {k: v for k, v in wanted.items() if v is not None and k not in present}
        query = "&".join(filter(None, [parts.query, urlencode(absent)]))
        return urlunsplit(parts._replace(query=query))


@attrs.frozen
class OptionsPublic:
    """The public socket of the Options API: market data, without an account.

    `base` is the whole URL. It needs no `app_id` (Deriv's OpenAPI description).
    """

    base: str = attrs.field(default=OPTIONS_URL, repr=shown_url)
    generation: Generation = "options"
    limits: LimitsSource = "documented"

    @base.validator
    def _check_base(self, _attribute: object, value: str) -> None:
        parse_url(value)

    async def url(self) -> str:
        """Return `base`."""
        return self.base


def closed_text(endpoint: Endpoint, error: Exception) -> str:
    """Return what to do where Deriv's v3 server is the *endpoint* and is gone, by its *error*.

    Third parties have reported since August 2026 that every handshake there ends with 520.
    """
    ours = isinstance(endpoint, V3) and endpoint.base.partition("?")[0] == V3_URL
    gone = isinstance(error, HandshakeRejected) and error.status in _GONE
    return _CLOSED if ours and gone else ""


def generation_of(endpoint: Endpoint) -> Generation:
    """Return the generation spoken at *endpoint*; the default is v3."""
    return getattr(endpoint, "generation", "v3")


def account_of(endpoint: Endpoint) -> str | None:
    """Return the account that each connection to *endpoint* belongs to; None if to none."""
    account_id = getattr(endpoint, "account_id", None)
    return None if account_id is None else str(account_id)


def speaks_options(endpoint: Endpoint) -> bool:
    """Return whether *endpoint* speaks the Options API: a connection there keeps its account."""
    return generation_of(endpoint) == "options"


async def ask(source: Callable[[], Awaitable[str]], what: str) -> str:
    """Return what the user's async function *source* returns.

    Raises:
        EndpointFailed: it did not return a str, or raised an error that is neither derivtrio's nor
            the operating system's. That error is the cause; its text is not repeated, because it
            may hold a secret.

    """
    try:
        answer: Any = source()
        is_async = inspect.isawaitable(answer)
        if is_async:
            answer = await answer
    except (DerivError, OSError):
        raise
    except Exception as error:
        text = f"{what} raised {type(error).__name__}"
        raise EndpointFailed(text) from error
    if not is_async:
        text = f"{what} is not async: it returned {type(answer).__name__} at once"
        raise EndpointFailed(text)
    if not isinstance(answer, str):
        text = f"{what} returned {type(answer).__name__}, not str"
        raise EndpointFailed(text)
    return answer


def check_app_id(app_id: object) -> None:
    """Raise a ValueError if *app_id* is not an app id."""
    if type(app_id) is int and app_id >= 0:
        return
    if not isinstance(app_id, str) or not (app_id.isalnum() and app_id.isascii()):
        text = f"app_id must be a number or an alphanumeric name, not {shown(app_id)}"
        if isinstance(app_id, str) and "://" in app_id:
            text = "app_id comes first; a URL is given as open_client(endpoint=...)"
        raise ValueError(text)


def as_endpoint(endpoint: Endpoint | str | None, app_id: int | str) -> Endpoint:
    """Return the endpoint for `open_client`'s arguments.

    At a URL whose path is one of the Options API's that API is spoken, and v3 at any other.

    Raises:
        InvalidURL: a str that is not a WebSocket URL.
        ValueError: *app_id* is not an app id, or the endpoint's generation is unknown.
        TypeError: *endpoint* is not an endpoint.

    """
    check_app_id(app_id)
    if endpoint is None:
        return V3(app_id)
    if isinstance(endpoint, str):
        parse_url(endpoint)
        is_options = urlsplit(endpoint).path.startswith(_OPTIONS_PATH)
        return OptionsPublic(endpoint) if is_options else V3(app_id, base=endpoint)
    if isinstance(endpoint, type):
        text = f"endpoint is an Endpoint, such as {endpoint.__name__}(…), not its class"
        raise TypeError(text)
    if not callable(getattr(endpoint, "url", None)):
        text = f"endpoint is a WebSocket URL, an Endpoint or None, not {type(endpoint).__name__}"
        raise TypeError(text)
    if generation_of(endpoint) not in get_args(Generation):
        text = f"an endpoint's generation is 'v3' or 'options', not {endpoint.generation!r}"
        raise ValueError(text)
    return endpoint
