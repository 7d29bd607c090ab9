"""Retry or give up: the one place that decides it.

Transient is the default. What ends the client is what waiting cannot mend: the server knows us
and says no, it cannot prove who it is, or there is no such place to go. The tables below are the
whole policy; `is_fatal` only looks things up.

Three choices deserve a word. An unknown host name is transient: a machine that has lost its network
cannot tell "no such name" from "no way to ask". And HTTP 403 is fatal although a firewall may have
said it, because knocking on would only confirm the firewall in its opinion.

The third is a one-time URL. It comes from a REST call, and if that was granted a moment ago, a 401
at the handshake is about this URL and not about the token; the next attempt has another.
"""

from typing import Final

from derivtrio.errors import (
    AccountDisabled,
    ApiError,
    AuthorizationRequired,
    CertificateRejected,
    DerivError,
    EndpointFailed,
    HandshakeRejected,
    InvalidAppID,
    InvalidRequest,
    InvalidToken,
    InvalidURL,
    PeerClosed,
    PermissionDenied,
    RestRejected,
)

#: Statuses below 500, of a handshake or of the REST call before it, that a later attempt may find
#: changed; every other one is fatal.
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
)

#: Codes with which the server may refuse a request now and grant it a moment later.
PASSING_CODES: Final = frozenset(
    "CallError ConnectionError InternalError InternalServerError RateLimit RateLimitExceeded"
    " ServiceUnavailable SuspendedDueToLoad SystemMaintenance Throttle Timeout TooFrequentUpdate"
    " WrongResponse".split()
)

#: Codes with which it may end a live stream that it grants again a moment later: also those of
#: prices that cannot be computed just now (as Deriv's own `LiveApi` treats them).
RENEWABLE_CODES: Final = PASSING_CODES | frozenset(
    "ContractCreationFailure ContractValidationError GetProposalFailure ProposalArrayFailure"
    " ProposalsNotReady".split()
)

#: How long to wait before asking for such a thing again, in seconds.
RETRY_PAUSE: Final = 0.5

#: Codes after which the backend may have executed the request all the same: the server lost
#: sight of it, or could not deliver what came back.
DOUBTFUL_CODES: Final = frozenset(
    "CallError ConnectionError InternalError InternalServerError OutputValidationFailed"
    " ResponseTooLarge Timeout WrongResponse".split()
)


def is_fatal(error: Exception) -> bool:
    """Return whether *error*, having ended an attempt, makes further attempts pointless.

    Errors that are neither derivtrio's nor the operating system's are bugs, in an endpoint's
    `url()` or a token function, and no amount of retrying mends a bug.
    """
    match error:
        case HandshakeRejected(status=401, one_time=True):
            return False
        case HandshakeRejected(status=status) | RestRejected(status=status):
            return status < _SERVER_ERRORS and status not in TRANSIENT_STATUSES
        case PeerClosed(code=code):
            return code in FATAL_CLOSE_CODES
        case DerivError():
            return isinstance(error, FATAL_ERRORS)
        case _:
            return not isinstance(error, OSError)


def is_passing(error: ApiError) -> bool:
    """Return whether the same request may be granted a moment later."""
    return error.code in PASSING_CODES


def is_renewable(error: ApiError) -> bool:
    """Return whether a stream that *error* has ended is worth asking for again."""
    return error.code in RENEWABLE_CODES


def is_doubtful(error: ApiError) -> bool:
    """Return whether the request may have been executed in spite of the error."""
    return error.code in DOUBTFUL_CODES
