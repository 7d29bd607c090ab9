"""Retry or give up: the one place that decides it, for connections and for calls. No I/O.

**A connection.** Transient is the default. An error ends the client if waiting cannot change its
cause: the server knows us and refuses, it cannot prove its identity, or the address cannot exist.
The tables are the whole policy; `is_fatal` only looks things up. After a connection that was ready,
much less is fatal (see there). Three choices need a reason:

- An unknown host name is transient: a machine that has lost its network cannot tell "no such name"
  from "no name server".
- HTTP 403 is fatal although a firewall may have sent it: more requests would only make the firewall
  surer.
- HTTP 401 at a handshake with a one-time URL is transient. The REST call that gave the URL was
  accepted a moment ago, so the 401 is about this URL and not about the token; the next attempt has
  another URL.

**A call.** `pause_before_retry` says whether to ask again, and after how long. Its rules are data;
each kind of request has its own:

| rule        | after                                   | pause | for how long          |
|-------------|-----------------------------------------|-------|-----------------------|
| `THROTTLED` | the rate limit, where budgets are kept  | none* | more than an hour     |
| `PASSING`   | an error that may be gone in a moment   | 0.5 s | as long as it takes   |
| `UNANSWERED`| `ConnectionLost`, `ResponseTimeout`     | 0.5 s | as long as it takes   |

(* the budgets hold the call back until their pause is over.)

A user's call has `ONCE`: only the rate limits are the client's own business. A question of the
client itself has `UNTIL_ANSWERED`. What is not safe to repeat is never asked again.
"""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from typing import Any, Final, NamedTuple

from derivtrio.errors import (
    AccountDisabled,
    ApiError,
    AuthorizationRequired,
    CertificateRejected,
    ConnectionLost,
    DerivError,
    EndpointFailed,
    HandshakeFailed,
    HandshakeRejected,
    InvalidAppID,
    InvalidRequest,
    InvalidToken,
    InvalidURL,
    OutcomeUnknown,
    PeerClosed,
    PermissionDenied,
    ProxyFailed,
    RateLimited,
    ResponseTimeout,
    RestRejected,
)
from derivtrio.policy.rate_limits import PATIENCE

#: The statuses below 500, of a handshake or of the REST call before it, that may be different at
#: the next attempt. Every other status below 500 is fatal.
TRANSIENT_STATUSES: Final = frozenset({408, 421, 423, 425, 429})

_SERVER_ERRORS: Final = 500

#: Close codes registered with IANA for "Unauthorized" and "Forbidden".
FATAL_CLOSE_CODES: Final = frozenset({3000, 3003})

#: Errors that are fatal whenever they end an attempt.
FATAL_ERRORS: Final = (
    AccountDisabled,
    AuthorizationRequired,
    CertificateRejected,
    EndpointFailed,
    InvalidAppID,
    InvalidRequest,
    InvalidToken,
    InvalidURL,
    PermissionDenied,
    ProxyFailed,
)

#: Errors that say nothing of the account or the app, unless they are Deriv's own word.
_OUTSIDE: Final = (
    CertificateRejected,
    EndpointFailed,
    HandshakeRejected,
    InvalidURL,
    ProxyFailed,
    RestRejected,
)

#: Codes with which the server may refuse a request now and grant it a moment later.
PASSING_CODES: Final = frozenset(
    "CallError ConnectionError InternalError InternalServerError RateLimit RateLimitExceeded"
    " ServiceUnavailable SuspendedDueToLoad SystemMaintenance Throttle Timeout TooFrequentUpdate"
    " WrongResponse".split()
)

#: Codes with which it may end a live stream that it grants again a moment later. They include those
#: of prices that cannot be computed just now (Deriv's own `LiveApi` treats them so).
RENEWABLE_CODES: Final = PASSING_CODES | frozenset(
    "ContractCreationFailure ContractValidationError GetProposalFailure ProposalArrayFailure"
    " ProposalsNotReady".split()
)

#: The longest `Retry-After` that is respected, in seconds.
_LONGEST_RETRY_AFTER: Final = 3600.0

#: How long to wait before asking again, in seconds.
RETRY_PAUSE: Final = 0.5

#: Codes after which the backend may have executed the request all the same: the server lost track
#: of it, or could not deliver the backend's answer, or says nothing at all (`errors.api_error`).
DOUBTFUL_CODES: Final = frozenset(
    "CallError ConnectionError InternalError InternalServerError OutputValidationFailed"
    " ResponseTooLarge Timeout UnknownError WrongResponse".split()
)


def is_fatal(error: Exception, *, been_ready: bool = False) -> bool:
    """Return whether *error*, having ended an attempt, makes further attempts pointless.

    *been_ready* says whether this client has had a connection that was `READY`. Then the URL, the
    certificate and the app id were right, and only Deriv's own word about them is believed: its
    codes, its JSON, its Close. HTTP statuses, redirects and certificates that do not fit are then a
    redeployment, a captive portal or a wrong clock, and pass. An endpoint's `url()` or a token
    function that worked, and then raises or returns nonsense, has asked a service that is away.

    Errors that are neither derivtrio's nor the operating system's are bugs, and trying again does
    not remove a bug.
    """
    match error:
        case CertificateRejected(not_yet_valid=True) | HandshakeRejected(status=401, one_time=True):
            return False  # this machine may have booted with a wrong clock; another URL may do
        case _ if been_ready and isinstance(error, _OUTSIDE) and not _is_derivs_word(error):
            return False
        case (
            HandshakeRejected(status=status)
            | RestRejected(status=status)
            | ProxyFailed(status=int(status))
        ):
            return status < _SERVER_ERRORS and status not in TRANSIENT_STATUSES
        case PeerClosed(code=code):
            return code in FATAL_CLOSE_CODES
        case DerivError():
            return isinstance(error, FATAL_ERRORS)
        case _:
            return not isinstance(error, OSError)


def _is_derivs_word(error: Exception) -> bool:
    """Return whether *error* is what the REST API itself said, in JSON."""
    return isinstance(error, RestRejected) and bool(error.code)


def least_delay(error: Exception) -> float:
    """Return how many seconds the server wants to be left alone after *error*; 0 by default."""
    if isinstance(error, HandshakeRejected):
        return retry_after_seconds(error.headers.get("Retry-After")) or 0.0
    return (error.retry_after or 0.0) if isinstance(error, RestRejected) else 0.0


def retry_after_seconds(retry_after: str | None) -> float | None:
    """Return what a `Retry-After` means, in seconds; it may be a date. None for anything else.

    No server is believed that asks for more than an hour.
    """
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdecimal():
        return min(float(retry_after), _LONGEST_RETRY_AFTER)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - is rarely needed

    try:
        until = parsedate_to_datetime(retry_after)
        if until.tzinfo is None:  # it says -0000; every date of HTTP is GMT
            until = until.replace(tzinfo=UTC)
        return min(max(0.0, until.timestamp() - time.time()), _LONGEST_RETRY_AFTER)
    except (ValueError, TypeError, OverflowError, IndexError):  # it is not a date
        return None


def passing_text(error: Exception) -> str:
    """Return what *error* is taken for, if it would have been fatal on first contact.

    Of a connection that broke, return what the operating system says of it, if it says anything.
    """
    if isinstance(error, CertificateRejected):
        if error.not_yet_valid:
            return "this machine's clock may be wrong"
        return "the certificate was right before, so this may be a captive portal"
    if isinstance(error, EndpointFailed | InvalidURL):
        return "the endpoint worked before, so what it asks may be away"
    if isinstance(error, ProxyFailed) and is_fatal(error):
        return "the proxy let us through before, so it may be restarting"
    if isinstance(error, HandshakeRejected | RestRejected) and is_fatal(error):
        return "the URL was right before, so this may be a redeployment or a captive portal"
    return _network_text(error) if isinstance(error, PeerClosed | HandshakeFailed) else ""


def _network_text(error: BaseException) -> str:
    """Return the system's words for the first of the causes of *error* that has a number."""
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None and cause.errno > 0:
            return os.strerror(cause.errno)
        cause = cause.__cause__
    return ""


def is_passing(error: ApiError) -> bool:
    """Return whether the same request may be granted a moment later."""
    return error.code in PASSING_CODES


def is_renewable(error: ApiError) -> bool:
    """Return whether a stream that *error* has ended is worth asking for again."""
    return error.code in RENEWABLE_CODES


def is_unauthorized(error: Exception) -> bool:
    """Return whether the server no longer takes the connection for an account."""
    return isinstance(error, AuthorizationRequired | InvalidToken)


def lacks_account(error: Exception, request: Mapping[str, Any]) -> bool:
    """Return whether *error* is about the connection's account, not about *request* itself.

    A request can have a token of its own: a new account's, or the code that was mailed to its user.
    """
    own = ("authorize", "logout", "verification_code")
    return is_unauthorized(error) and not any(name in request for name in own)


def is_doubtful(error: ApiError) -> bool:
    """Return whether the request may have been executed in spite of the error."""
    return error.code in DOUBTFUL_CODES


class Rule(NamedTuple):
    """When a request is asked again.

    Attributes:
        covers: returns whether the rule is about an error.
        pause: how long to wait before that, in seconds.
        patience: for how long since the first error it is asked again, in seconds.

    """

    covers: Callable[[Exception], bool]
    pause: float
    patience: float


def _is_throttled(error: Exception) -> bool:
    return isinstance(error, RateLimited) and error.retry_after is not None


def _may_pass(error: Exception) -> bool:
    return isinstance(error, ApiError) and is_passing(error)


def _is_unanswered(error: Exception) -> bool:
    lost = isinstance(error, ConnectionLost) and not isinstance(error, OutcomeUnknown)
    return lost or isinstance(error, ResponseTimeout)


THROTTLED: Final = Rule(_is_throttled, 0, PATIENCE)
PASSING: Final = Rule(_may_pass, RETRY_PAUSE, math.inf)
UNANSWERED: Final = Rule(_is_unanswered, RETRY_PAUSE, math.inf)

#: For what user code asks.
ONCE: Final = (THROTTLED,)

#: For what the client must know.
UNTIL_ANSWERED: Final = (THROTTLED, PASSING, UNANSWERED)


def pause_before_retry(
    error: Exception, rules: Sequence[Rule], *, safe: bool, elapsed: float
) -> float | None:
    """Return how long to wait before the same request is made again; None if it is not.

    *safe* says whether it may be made twice, *elapsed* how many seconds ago it first failed.
    """
    if not safe:
        return None
    pauses = (rule.pause for rule in rules if rule.covers(error) and elapsed <= rule.patience)
    return next(pauses, None)
