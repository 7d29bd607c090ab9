"""Retry or give up, for connections and for calls."""

import errno
import math
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest
import trio

import derivtrio
from derivtrio import Backoff
from derivtrio.errors import (
    CertificateRejected,
    HandshakeRejected,
    PeerClosed,
    RestRejected,
    api_error,
)
from derivtrio.policy import retry
from derivtrio.policy.backoff import Attempts
from derivtrio.policy.rate_limits import PATIENCE
from derivtrio.policy.retry import (
    ONCE,
    RETRY_PAUSE,
    UNTIL_ANSWERED,
    is_doubtful,
    is_fatal,
    is_passing,
    is_renewable,
    lacks_account,
    least_delay,
    passing_text,
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


def id_of(error: Exception) -> str:
    """Return how a test case is called: with the status or the code, which decides."""
    number = getattr(error, "code", None) or getattr(error, "status", None)
    return repr(error) if number is None else f"{error!r} {number}"


@pytest.mark.parametrize("error", FATAL, ids=id_of)
def test_g10_what_waiting_cannot_mend_is_fatal(error: Exception) -> None:
    assert is_fatal(error), f"{id_of(error)} is retried for ever, and will be the same each time"


@pytest.mark.parametrize("error", TRANSIENT, ids=id_of)
def test_g10_everything_else_is_transient(error: Exception) -> None:
    assert not is_fatal(error), f"{id_of(error)} ends the client, though it may pass"


def test_the_rules_are_those_of_the_table_in_the_docstring() -> None:
    row = re.compile(r"^\| `(\w+)` *\|.*?\| +([\w. ]+?)\*? +\| (.*?) +\|$", re.MULTILINE)
    cells = row.findall(str(retry.__doc__))
    told = {name: (pause, how_long) for name, pause, how_long in cells}
    rules = {name: rule for name, rule in vars(retry).items() if isinstance(rule, retry.Rule)}
    assert told.keys() == rules.keys(), (
        "a rule for calls has a row in the table, and each row a rule"
    )
    for name, (pause, how_long) in told.items():
        rule = rules[name]
        where = f"the row of {name} in the docstring of policy/retry.py"
        assert pause == (f"{rule.pause} s" if rule.pause else "none"), where
        assert (how_long == "as long as it takes") == (rule.patience == math.inf), where


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
    delay = attempts.ended(refused, 0.0)
    assert isinstance(delay, float)
    assert 4 <= delay <= 4.5
    assert retry_after_seconds("Fri, 01 Jan 2100 00:00:00 GMT") == 3600
    assert retry_after_seconds("soon") is None


@pytest.fixture
def _far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "EAST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone cannot be set here")
@pytest.mark.usefixtures("_far_from_greenwich")
def test_g10_retry_after_may_be_a_date() -> None:
    assert retry_after_seconds("Fri, 01 Jan 2016 00:00:00 GMT") == 0
    soon = formatdate(time.time() + 100, usegmt=True)
    for date in (soon, soon.replace("GMT", "-0000")):  # every date of HTTP is GMT
        seconds = retry_after_seconds(date)
        assert seconds is not None
        assert 60 < seconds <= 100


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (HandshakeRejected(503, headers={"Retry-After": "7"}), 7),
        (HandshakeRejected(503), 0),
        (RestRejected(503, retry_after=9), 9),
        (RestRejected(503), 0),
        (OSError("no network"), 0),
    ],
    ids=repr,
)
def test_g10_what_a_server_wants_to_be_left_alone_for(error: Exception, delay: float) -> None:
    assert least_delay(error) == delay


def test_g10_a_401_at_a_one_time_url_is_about_that_url() -> None:
    error = HandshakeRejected(401)
    assert is_fatal(error)
    error.one_time = True
    assert not is_fatal(error)


def ended_by(cause: Exception) -> PeerClosed:
    """Return the end of a connection as the socket's layers report it."""
    error, broken = PeerClosed("ended", 1006), trio.BrokenResourceError()
    error.__cause__, broken.__cause__ = broken, cause
    return error


def cut_off(cause: Exception) -> derivtrio.HandshakeFailed:
    error = derivtrio.HandshakeFailed("the server closed the connection during the handshake")
    error.__cause__ = cause
    return error


def refused_by(cause: Exception) -> derivtrio.ConnectRefused:
    error = derivtrio.ConnectRefused(f"no connection to localhost port 1: {cause}")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (CertificateRejected("x", not_yet_valid=True), "this machine's clock may be wrong"),
        (
            CertificateRejected("x"),
            "the certificate was right before, so this may be a captive portal",
        ),
        (derivtrio.InvalidURL("x"), "the endpoint worked before, so what it asks may be away"),
        (derivtrio.EndpointFailed("x"), "the endpoint worked before, so what it asks may be away"),
        (
            derivtrio.ProxyFailed("x", 407),
            "the proxy let us through before, so it may be restarting",
        ),
        (derivtrio.ProxyFailed("x", 503), ""),
        (
            rejected(404),
            "the URL was right before, so this may be a redeployment or a captive portal",
        ),
        (
            RestRejected(404),
            "the URL was right before, so this may be a redeployment or a captive portal",
        ),
        (rejected(503), ""),
        (PeerClosed("ended", 1006), ""),
        (ended_by(ConnectionResetError(errno.ECONNRESET, "?")), os.strerror(errno.ECONNRESET)),
        (ended_by(PermissionError(errno.EPERM, "?")), os.strerror(errno.EPERM)),
        (ended_by(OSError("no number")), ""),
        (ended_by(OSError(0, "no error, says the system")), ""),
        (cut_off(ConnectionResetError(errno.ECONNRESET, "?")), os.strerror(errno.ECONNRESET)),
        (refused_by(ConnectionRefusedError(errno.ECONNREFUSED, "?")), ""),  # it says so itself
        (ended_by(ssl.SSLEOFError(-1, "OpenSSL's own number")), ""),
        (derivtrio.HeartbeatMissed("x"), ""),
    ],
    ids=repr,
)
def test_g10_the_log_says_what_an_end_is_taken_for(error: Exception, text: str) -> None:
    assert passing_text(error) == text


def test_a_stream_that_is_ended_for_a_moment_is_asked_for_again() -> None:
    assert is_renewable(api_error({"code": "RateLimit"}))
    assert is_renewable(api_error({"code": "ContractCreationFailure"}))
    assert not is_renewable(REFUSED)


@pytest.mark.parametrize("code", ["AuthorizationRequired", "InvalidToken"])
def test_a_request_with_a_token_of_its_own_says_nothing_of_the_connections(code: str) -> None:
    error = api_error({"code": code})
    assert lacks_account(error, {"balance": 1})
    for request in ({"authorize": "x"}, {"logout": 1}, {"verification_code": "x", "y": 1}):
        assert not lacks_account(error, request)
    assert not lacks_account(REFUSED, {"balance": 1})
