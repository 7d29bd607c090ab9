"""Every error that derivtrio raises, in one hierarchy.

    DerivError
    ├── ApiError                  the server answered with an `error`
    │   ├── AccountDisabled       ├── MarketClosed
    │   ├── AlreadySubscribed     ├── PermissionDenied
    │   ├── AuthorizationRequired ├── RateLimited
    │   ├── InvalidAppID          └── ServerBusy
    │   ├── InvalidRequest        (also raised by us, before anything is sent)
    │   └── InvalidToken
    ├── ConnectionLost            a call's connection ended: not executed, or only a read
    │   ├── OutcomeUnknown        … and the request may have been executed
    │   ├── NotExecuted           … and it has been found out that it was not
    │   └── StreamFailed          … and the stream that was asked for has broken three connections
    ├── ResponseTimeout           a read that was sent and not answered in time
    ├── ConnectionChanged         the connection that this was meant for was replaced
    ├── NotContinuous             a strict stream has a gap that the server cannot fill
    ├── SlowConsumer              this consumer did not keep up with its stream
    ├── ClientClosed              the client was closed by its own program
    ├── ConnectionFailed          the client has given up; carries the attempts it made
    ├── InvalidURL                the endpoint is no WebSocket URL (also a ValueError)
    ├── StoreError                a recording cannot be kept (these five: `recording.store`)
    │   ├── StoreBusy             … just now; the recorder tries again
    │   ├── StoreRewound          it has lost what it had kept; the recorder fetches it again
    │   ├── MissingExtra          … without a package that an extra installs
    │   └── Unreadable            a file of it is damaged
    └── LinkError                 why one attempt, or one connection, ended
        ├── ConnectTimeout        ├── HeartbeatMissed
        ├── ConnectRefused        ├── MuteStream
        ├── CertificateRejected   ├── PeerClosed
        ├── EndpointFailed        ├── ProtocolViolation
        ├── HandshakeFailed       ├── ReconnectRequested
        ├── ProxyFailed           └── RestoreTimeout
        ├── HandshakeRejected     the server answered the handshake with an HTTP status
        └── RestRejected          … or the REST call for a one-time URL

Errors carry data, not only prose, and never a secret: the request of an `ApiError` has its tokens
masked, and a URL is shown without its query.

They can be pickled and copied, so that a doubt can be saved; like any exception's, a copy has no
`__cause__`.
"""

import copyreg
import errno
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from derivtrio.events import Gap
from derivtrio.models import Ambiguous
from derivtrio.redaction import hidden_in, masked, masked_text, secrets_in, without
from derivtrio.wording import counted, printable

#: How much of a server's text an error has, in characters.
_LONGEST_CODE = 100
_LONGEST_TEXT = 2000


class DerivError(Exception):
    """The root of everything that derivtrio raises on purpose.

    Its text is one printable line, also where it repeats what a server has sent.
    """

    def __str__(self) -> str:
        return printable(super().__str__())

    def __reduce__(self) -> tuple[Any, ...]:
        """Have a copy made without `__init__`, which takes other arguments than `args`."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class ApiError(DerivError):
    """The server answered a request with an `error`.

    Attributes:
        code: Deriv's identifier, such as `"InputValidationFailed"`.
        message: Deriv's sentence for people.
        details: what the server added; for a failed validation one member per bad field.
        request: the request as it was made, without secrets.

    """

    def __init__(
        self,
        code: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        request: Mapping[str, Any] | None = None,
    ) -> None:
        secrets = secrets_in(request or {})
        code, message = without(code, secrets), masked_text(without(message, secrets))
        super().__init__(code, message)
        self.code = code
        self.message = message
        shown = hidden_in(masked(details or {}), secrets)
        self.details: Mapping[str, Any] = shown if isinstance(shown, Mapping) else {}
        self.request: dict[str, Any] = masked(request or {})

    def __str__(self) -> str:
        details = "; ".join(f"{field}: {_short(text)}" for field, text in self.details.items())
        text = f"{self.code}: {self.message}" + (f" ({details})" if details else "")
        return printable(text)


class AccountDisabled(ApiError):
    """The account cannot be used; only its owner can change that."""


class AlreadySubscribed(ApiError):
    """This connection already has that stream; Deriv allows one of each."""


class AuthorizationRequired(ApiError):
    """The call needs an account: open the client with a `token`."""


class InvalidAppID(ApiError):
    """The server does not know this `app_id`."""


class InvalidRequest(ApiError):
    """The request is not valid; sending it again cannot help."""


class InvalidToken(ApiError):
    """The token is not, or no longer, valid."""


class MarketClosed(ApiError):
    """The symbol's market is closed now; ask again when it opens."""


class PermissionDenied(ApiError):
    """The token lacks the scope that this call needs."""


class RateLimited(ApiError):
    """Too many requests; this one was not executed.

    Attributes:
        retry_after: in how many seconds the client would ask again, which is its guess, for the
            server does not say; None where it has none.

    """

    retry_after: float | None = None


class ServerBusy(ApiError):
    """The server could not do it now. Reads may be asked again."""


_CLASS_BY_CODE: Mapping[str, type[ApiError]] = {
    code: kind
    for kind, codes in {
        AccountDisabled: (
            "AccountDisabled ClientUnwelcome DisabledAccount DisabledClient SelfExclusion"
            " Suspendedlogin TradingDisabled UnwelcomeStatus"
        ),
        AlreadySubscribed: "AlreadySubscribed",
        AuthorizationRequired: "AuthorizationRequired Unauthorized",
        InvalidAppID: "InvalidAppID",
        InvalidRequest: (
            "BadRequest Deprecated InputValidationFailed InvalidRequest InvalidStartEnd"
            " InvalidStyle InvalidSymbol MissingRequiredParams NoSymbolProvided"
            " SanityCheckFailed UnrecognisedRequest ValidationError"
        ),
        InvalidToken: "BadSession InvalidOTP InvalidToken TokenDeleted",
        MarketClosed: "ClosedMarket MarketIsClosed TradingSuspendedSpecificHours",
        PermissionDenied: "NotAuthorized PermissionDenied",
        RateLimited: (
            "ContractUpdateTooFrequent RateLimit RateLimitExceeded Throttle TooFrequentUpdate"
        ),
        ServerBusy: (
            "CallError ClientFrozen ConnectionError InternalError InternalServerError"
            " ServiceUnavailable SuspendedDueToLoad SystemMaintenance Timeout"
            " TradeTemporarilyUnavailable WrongResponse"
        ),
    }.items()
    for code in codes.split()
}


def invalid_request(text: str, request: Mapping[str, Any] | None = None) -> InvalidRequest:
    """Return the error for a request that we do not send; *text* says what is wrong with it."""
    return InvalidRequest("InvalidRequest", text, request=request)


def check_flag(name: str, flag: object) -> None:
    """Raise an InvalidRequest if *flag*, the argument *name*, is not True or False."""
    if not isinstance(flag, bool):
        text = f"{name} is True or False, not {type(flag).__name__}"
        raise invalid_request(text)


def api_error(error: Any, request: Mapping[str, Any] | None = None) -> ApiError:
    """Return the exception for *error*, the `error` member of a reply to *request*.

    Deriv sends an object; whatever else a server sends there is taken for its message. An error
    without a code says nothing, and has the code `UnknownError`.
    """
    if not isinstance(error, Mapping):
        error = {"message": error}
    code = error.get("code")
    code = code[:_LONGEST_CODE] if isinstance(code, str) and code else "UnknownError"
    kind = _CLASS_BY_CODE.get(code, ApiError)
    details = error.get("details")
    if details is not None and not isinstance(details, Mapping):
        details = {"details": details}
    return kind(code, _text(error.get("message", ""))[:_LONGEST_TEXT], details, request)


def _text(value: Any) -> str:
    """Return *value*, which should be a text, as one; it may be nested too deep for Python."""
    try:
        return value if isinstance(value, str) else str(value)
    except (RecursionError, ValueError):  # or it is a number with too many digits
        return f"a {type(value).__name__}"


def _short(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


class BrokenConnection(msgspec.Struct, frozen=True):
    """The end of a connection that still owed an answer to a request.

    `connection` is its number. `time` is when it ended, in seconds since the epoch. `error` says
    why; None if this program closed it.
    """

    connection: int
    time: float
    error: Exception | None

    @property
    def may_blame(self) -> bool:
        """Whether a request that was not answered may be what ended the connection."""
        return self.error is not None and not getattr(self.error, "blameless", False)

    @property
    def by_peer(self) -> bool:
        """Whether the server has ended its side. What it has not read by then, it never reads."""
        return isinstance(self.error, PeerClosed) and self.error.by_peer

    def __str__(self) -> str:
        how = "closed by this program" if self.error is None else f"lost ({self.error})"
        return f"connection {self.connection} was {how}"


class ConnectionLost(DerivError):
    """The connection that carried a call ended before the reply came.

    Attributes:
        request: the request as it was made, without secrets.
        connection: the number of the connection it was written to; `None` if it never was.
        history: the connections that ended while this request was not answered, oldest first, if
            it was asked several times. It may then be the request that broke them.

    """

    def __init__(
        self,
        text: str,
        request: Mapping[str, Any],
        connection: int | None = None,
        history: Sequence[BrokenConnection] = (),
    ) -> None:
        super().__init__(text)
        self.request: dict[str, Any] = masked(request)
        self.connection = connection
        self.history: tuple[BrokenConnection, ...] = tuple(history)


class OutcomeUnknown(ConnectionLost):
    """The request was written, and it is not known whether it was executed.

    It was not, and will not be, sent again. Find out before repeating it: `client.reconcile`
    does so for trading.

    Attributes:
        written_at: when it was written, in seconds since the epoch.
        written_on: the same on trio's clock; None where that is not known. A copy has none, for
            it may be read in another run, where that clock begins anew.
        server_epoch: the same on the server's clock: not before, and not after; None where nothing
            was known of that clock. It is what a client of another run can rely on, because the
            machine's clock may have been set meanwhile.
        run: the run of trio that `written_on` belongs to. A copy has none.
        loginid: the account that it was for; None where that is not known.
        parameters: of a purchase, the contract that was asked for, also where the request has
            but the id of a proposal; None where that is not known.
        outcome: what was found out, where `reconcile=True` had it looked up and it could not be
            told: an `Ambiguous`.

    """

    outcome: Ambiguous | None = None
    server_epoch: tuple[float, float] | None = None
    run: object | None = None

    def __init__(
        self,
        text: str,
        request: Mapping[str, Any],
        connection: int | None,
        written_at: float,
        parameters: Mapping[str, Any] | None = None,
        *,
        loginid: str | None = None,
        written_on: float | None = None,
    ) -> None:
        super().__init__(text, request, connection)
        self.written_at = written_at
        self.written_on = written_on
        self.parameters = parameters
        self.loginid: str | None = request.get("loginid") or loginid

    def __reduce__(self) -> tuple[Any, ...]:
        make, arguments, state = super().__reduce__()
        kept = {name: value for name, value in state.items() if name != "run"}
        return make, arguments, {**kept, "written_on": None}


class NotExecuted(ConnectionLost):
    """Its reply was lost, and it has been found out that the request was not executed.

    Raised by trading with `reconcile=True`. It is safe to ask again.
    """


class StreamFailed(ConnectionLost):
    """The server cannot handle this stream: three connections ended while it was asked for.

    The server closed the connection, did not answer, or sent more than
    `Settings.max_message_size`. At least the last time it was asked for alone. It is not asked for
    again; all other streams and calls go on. You may open it again, when the server may have been
    repaired.

    Attributes:
        stream: the call, and what it asks for, such as `"ticks R_100"`.
        history: the connections that it broke: their numbers, when, and how they ended.

    """

    stream: str = ""


def stream_failed(
    stream: str, request: Mapping[str, Any], history: Sequence[BrokenConnection]
) -> StreamFailed:
    """Return the error for *stream*, which has broken the connections of *history*."""
    told = "; ".join(map(str, history))
    broken = counted(len(history), "connection")
    text = f"{stream} has broken {broken}, and is not asked for again: {told}"
    failed = StreamFailed(text, request, history[-1].connection, history)
    failed.stream = stream
    return failed


class ResponseTimeout(DerivError):
    """The server did not answer within `Settings.response_timeout`; asking again is safe."""

    def __init__(self, request: Mapping[str, Any], seconds: float) -> None:
        super().__init__(f"no reply within {seconds:g} s")
        self.request: dict[str, Any] = masked(request)
        self.seconds = seconds


class ConnectionChanged(DerivError):
    """The connection that this was meant for is gone: it was not done.

    Of a proposal, which means nothing on another connection: nothing was bought. Of the block of
    `same_connection()`: it was cancelled.
    """


class SlowConsumer(DerivError):
    """This consumer did not keep up, and its stream was ended; other consumers go on.

    Attributes:
        buffer: how many items it may lag behind.

    """

    def __init__(self, stream: str, buffer: int) -> None:
        super().__init__(
            f"{stream}: more than {buffer} items were waiting; take them faster, "
            'allow a larger buffer, or choose overflow="drop_oldest" or "latest"'
        )
        self.buffer = buffer


class NotContinuous(DerivError):
    """A stream that was to be continuous has a gap that the server's history cannot fill.

    Attributes:
        gap: its bounds, and why.

    """

    def __init__(self, gap: Gap) -> None:
        super().__init__(
            f"{gap.stream} is not continuous: nothing between the epochs {gap.after} and"
            f" {gap.before} ({gap.reason})"
        )
        self.gap = gap


class ClientClosed(DerivError):
    """The client was closed, so this was not done."""


class Attempt(msgspec.Struct, frozen=True):
    """One attempt to have a connection, and what became of it.

    `started` is in seconds since the epoch, `delay` is the wait that followed, in seconds
    (`None` after the last).
    """

    number: int
    started: float
    error: Exception
    delay: float | None = None


class ConnectionFailed(DerivError):
    """The client has given up for good.

    Attributes:
        attempts: the attempts since the last stable connection, oldest first (the newest 100).
        __cause__: the error of the last attempt, or the verdict that made trying pointless.

    """

    def __init__(self, text: str, attempts: Sequence[Attempt]) -> None:
        super().__init__(text)
        self.attempts: list[Attempt] = list(attempts)


class InvalidURL(DerivError, ValueError):
    """The endpoint is not a WebSocket URL."""


class LinkError(DerivError):
    """Why one attempt to connect, or one connection, ended.

    Attributes:
        blameless: whether nothing that was asked on the connection can have caused its end.

    """

    blameless: bool = False


class ConnectTimeout(LinkError):
    """No connection within `Settings.connect_timeout`."""


class ConnectRefused(LinkError):
    """No TCP or TLS connection: refused, unreachable, unknown name."""


class CertificateRejected(LinkError):
    """The server could not prove that it is the host of the URL; the cause is TLS's own error.

    Attributes:
        not_yet_valid: whether the only fault of the certificate is that it is not valid *yet*: this
            machine's clock may be behind.

    """

    def __init__(self, text: str, *, not_yet_valid: bool = False) -> None:
        super().__init__(text)
        self.not_yet_valid = not_yet_valid


class EndpointFailed(LinkError):
    """The endpoint's `url()`, or the token function, is broken; the cause says how."""


class HandshakeFailed(LinkError):
    """The server did not answer the WebSocket handshake as a WebSocket server does."""


class HandshakeRejected(LinkError):
    """The server answered the WebSocket handshake with an HTTP status of its own.

    Attributes:
        status: the HTTP status.
        body: the first 4 KiB of what came with it.
        headers: `Location`, without its query, and `Retry-After`, where the server sent them.
        one_time: whether the URL was for this attempt alone, and the next one has another.

    """

    def __init__(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        text = body[:200].decode("utf-8", "replace").strip()
        location = (headers or {}).get("Location")
        where = f", a redirection to {location}" if location else ""
        super().__init__(f"HTTP {status}{where}" + (f": {text}" if text else ""))
        self.status = status
        self.body = body
        self.headers: dict[str, str] = dict(headers or {})
        self.one_time = False


class RestRejected(LinkError):
    """The server refused the REST call that every connection to an account begins with.

    Attributes:
        status: the HTTP status.
        code: Deriv's identifier, such as `"Unauthorized"`; empty if it was not Deriv that answered.
        message: the server's sentence for people, or the beginning of what it sent instead.
        retry_after: how long the server wants to be left alone, in seconds, if it said so.
        headers: `Location`, without its query, and `Retry-After`, where the server sent them.

    """

    def __init__(
        self, status: int, code: str = "", message: str = "", retry_after: float | None = None
    ) -> None:
        said = f"{code}: {message}" if code and message else code or message
        super().__init__(f"no one-time URL: HTTP {status}" + (f", {said}" if said else ""))
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.headers: dict[str, str] = {}


class ProxyFailed(LinkError):
    """The proxy did not let us through, or cannot be used.

    Attributes:
        status: its HTTP status, such as 407 where it wants a password; None if it was none.

    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class PeerClosed(LinkError):
    """The connection was ended by the other side, or by the network between.

    Attributes:
        code: the WebSocket close code; 1006 where there was no Close frame.
        reason: the server's text.

    """

    def __init__(self, text: str, code: int, reason: str = "") -> None:
        super().__init__(text)
        self.code = code
        self.reason = reason

    @property
    def by_peer(self) -> bool:
        """Whether the other side has said so: by a Close, or by the end or a reset of TCP.

        Otherwise it is this machine that has given up: it has no route any more, for example.
        """
        cause = self.__cause__
        while cause is not None:
            if isinstance(cause, OSError):
                return cause.errno in (errno.ECONNRESET, errno.EPIPE)
            cause = cause.__cause__
        return True


class HeartbeatMissed(LinkError):
    """The server gave no sign of life in time: no API message, no pong, or no bytes taken."""


class MuteStream(LinkError):
    """A stream said nothing although the server had more, and asking for it again did not help."""

    blameless = True


class ReconnectRequested(LinkError):
    """The program has asked for a new connection, with `client.reconnect`."""

    blameless = True


class ProtocolViolation(LinkError):
    """The server sent what no Deriv server may send; the connection cannot be trusted."""


def unreadable(what: str, error: Exception) -> ProtocolViolation:
    """Return the error for *what*, a thing that the server sent and that cannot be read."""
    text = f"the server sent a {what} that cannot be read: {error!r}"
    violation = ProtocolViolation(_short(text))
    violation.__cause__ = error
    return violation


class RestoreTimeout(LinkError):
    """While a connection was restored, no answer came for `Settings.restore_timeout`."""
