"""Retry or give up, for connections and for calls."""

import errno
import math
import socket

import pytest

import derivtrio
from derivtrio import Backoff
from derivtrio.errors import (
    CertificateRejected,
    HandshakeRejected,
    PeerClosed,
    RestRejected,
    api_error,
)
from derivtrio.policy.backoff import Attempts
from derivtrio.policy.rate_limits import PATIENCE
from derivtrio.policy.retry import (
    ONCE,
    RETRY_PAUSE,
    UNTIL_ANSWERED,
    is_doubtful,
    is_fatal,
    is_passing,
    pause_before_retry,
    retry_after_seconds,
)


def rejected(status: int) -> derivtrio.HandshakeRejected:
    return derivtrio.HandshakeRejected(status)


FATAL = [
    *map(rejected, [200, 301, 302, 400, 401, 403, 404, 405, 410, 426]),
    *(api_error({"code": code}) for code in ["InvalidToken", "AuthorizationRequired"]),
    *(api_error({"code": code}) for code in ["DisabledClient", "InvalidAppID", "BadSession"]),
    *(api_error({"code": code}) for code in ["PermissionDenied", "InputValidationFailed"]),
    derivtrio.CertificateRejected("example.org: hostname mismatch"),
    derivtrio.InvalidURL("nonsense"),
    derivtrio.EndpointFailed("url() raised KeyError"),
    derivtrio.PeerClosed("unauthorized", 3000),
    derivtrio.PeerClosed("forbidden", 3003),
    KeyError("a bug"),
]
TRANSIENT = [
    *map(rejected, [408, 421, 423, 425, 429, 500, 502, 503, 504, 520, 522, 530]),
    *(api_error({"code": code}) for code in ["RateLimit", "WrongResponse", "Timeout"]),
    *(api_error({"code": code}) for code in ["InternalServerError", "HeardOfNever"]),
    *(derivtrio.PeerClosed("closed", code) for code in (1000, 1001, 1005, 1006, 1008, 1011)),
    *(derivtrio.PeerClosed("closed", code) for code in (1012, 1013, 4000)),
    derivtrio.ConnectTimeout("no connection"),
    derivtrio.ConnectRefused("refused"),
    derivtrio.HandshakeFailed("not HTTP"),
    derivtrio.HeartbeatMissed("mute"),
    derivtrio.ProtocolViolation("garbage"),
    derivtrio.RestoreTimeout("slow"),
    socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    OSError(errno.ENETUNREACH, "Network is unreachable"),
]


@pytest.mark.parametrize("error", FATAL, ids=repr)
def test_g10_what_waiting_cannot_mend_is_fatal(error: Exception) -> None:
    assert is_fatal(error)


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_g10_everything_else_is_transient(error: Exception) -> None:
    assert not is_fatal(error)


def test_doubtful_and_passing_codes() -> None:
    assert is_doubtful(api_error({"code": "Timeout"}))
    assert is_doubtful(api_error({"code": "WrongResponse"}))
    assert not is_doubtful(api_error({"code": "RateLimit"}))
    assert is_passing(api_error({"code": "RateLimit"}))
    assert not is_passing(api_error({"code": "InvalidSymbol"}))


def throttled(retry_after: float | None = 15) -> derivtrio.ApiError:
    error = api_error({"code": "RateLimit"})
    assert isinstance(error, derivtrio.RateLimited)
    error.retry_after = retry_after
    return error


LOST = derivtrio.ConnectionLost("lost", {}, 1)
UNKNOWN = derivtrio.OutcomeUnknown("lost", {}, 1, 0.0)
LATE = derivtrio.ResponseTimeout({}, 60)
BUSY = api_error({"code": "InternalServerError"})
REFUSED = api_error({"code": "InvalidSymbol"})


@pytest.mark.parametrize(
    ("error", "once", "until_answered"),
    [
        (throttled(), 0, 0),
        (throttled(None), None, RETRY_PAUSE),
        (BUSY, None, RETRY_PAUSE),
        (LOST, None, RETRY_PAUSE),
        (LATE, None, RETRY_PAUSE),
        (UNKNOWN, None, None),
        (REFUSED, None, None),
        (derivtrio.ClientClosed("closed"), None, None),
        (derivtrio.ConnectionChanged("gone"), None, None),
    ],
    ids=repr,
)
def test_g04_what_is_asked_again_and_after_how_long(
    error: Exception, once: float | None, until_answered: float | None
) -> None:
    for rules, pause in ((ONCE, once), (UNTIL_ANSWERED, until_answered)):
        assert pause_before_retry(error, rules, safe=True, elapsed=0) == pause
        assert pause_before_retry(error, rules, safe=False, elapsed=0) is None


def test_the_patience_with_the_rate_limit_ends() -> None:
    assert pause_before_retry(throttled(), ONCE, safe=True, elapsed=PATIENCE) == 0
    late = math.nextafter(PATIENCE, math.inf)
    assert pause_before_retry(throttled(), ONCE, safe=True, elapsed=late) is None
    # A question of the client's own is then asked like after any other passing error.
    assert pause_before_retry(throttled(), UNTIL_ANSWERED, safe=True, elapsed=late) == RETRY_PAUSE


@pytest.mark.parametrize("status", [200, 301, 302, 307, 400, 403, 404, 407, 410, 426])
def test_g10_after_a_connection_that_was_ready_no_http_status_is_fatal(status: int) -> None:
    assert is_fatal(HandshakeRejected(status))
    assert not is_fatal(HandshakeRejected(status), been_ready=True)


def test_g10_after_a_connection_that_was_ready_only_derivs_own_word_is_fatal() -> None:
    assert not is_fatal(CertificateRejected("portal.hotel"), been_ready=True)
    assert not is_fatal(RestRejected(403, message="<html>"), been_ready=True)
    assert not is_fatal(derivtrio.InvalidURL("<html>"), been_ready=True)
    assert not is_fatal(derivtrio.EndpointFailed("url() raised ConnectError"), been_ready=True)
    assert is_fatal(RestRejected(403, "PermissionDenied", "no"), been_ready=True)
    assert is_fatal(PeerClosed("closed", 3000), been_ready=True)


def test_g10_a_certificate_that_is_not_valid_yet_is_never_fatal() -> None:
    assert is_fatal(CertificateRejected("expired"))
    assert not is_fatal(CertificateRejected("not yet valid", not_yet_valid=True))


def test_g10_retry_after_is_the_least_delay() -> None:
    attempts = Attempts(Backoff(first=0.5, cap=0.5), None)
    refused = HandshakeRejected(429, headers={"Retry-After": "4"})
    assert attempts.ended(refused, 0.0) == 4
    assert retry_after_seconds("Fri, 01 Jan 2100 00:00:00 GMT") == 3600
    assert retry_after_seconds("soon") is None
