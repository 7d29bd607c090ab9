"""The parts without I/O, each by itself."""

import errno
import itertools
import json
import socket
from decimal import Decimal
from typing import Any

import deriv_schemas
import pytest

import derivtrio
from derivtrio import Backoff, ConnectionFailed, Settings
from derivtrio.api import catalog, codec
from derivtrio.calls.routing import Router, Stream
from derivtrio.calls.status import EventBus
from derivtrio.concurrency.buffer import Buffer
from derivtrio.errors import api_error
from derivtrio.policy.backoff import Attempts, delays
from derivtrio.policy.retry import is_doubtful, is_fatal, is_passing
from derivtrio.redaction import masked, masked_text, shown_url
from derivtrio.supervision.authorization import checked_token

# Settings


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connect_timeout", 0),
        ("connect_timeout", -1),
        ("restore_timeout", float("nan")),
        ("close_timeout", float("inf")),
        ("heartbeat_interval", "25"),
        ("heartbeat_timeout", None),
        ("response_timeout", True),
        ("stable_after", -1),
        ("max_attempts", 0),
        ("max_attempts", 1.5),
        ("outbox", 0),
        ("max_message_size", 0.5),
        ("backoff", 3),
        ("ssl_context", "default"),
        ("wait_ready", 1),
        ("fast", None),
        ("check_requests", 1),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(field: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^{field} is .*, not {value!r}$"):
        Settings(**{field: value})


@pytest.mark.parametrize("field", ["first", "factor", "cap"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "1"])
def test_a_backoff_that_cannot_be_meant_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        Backoff(**{field: value})


def test_the_pinned_defaults() -> None:
    settings = Settings()
    assert (settings.connect_timeout, settings.restore_timeout, settings.close_timeout) == (
        10,
        20,
        2,
    )
    assert (settings.heartbeat_interval, settings.heartbeat_timeout) == (25, 10)
    assert (settings.response_timeout, settings.stable_after) == (60, 60)
    assert settings.backoff == Backoff(first=0.5, factor=2, cap=60)
    assert (settings.max_attempts, settings.outbox) == (None, 1024)
    assert (settings.max_message_size, settings.ssl_context) == (8 * 2**20, None)
    assert settings.wait_ready


def test_settings_are_frozen_and_can_be_varied() -> None:
    settings = Settings()
    with pytest.raises(AttributeError):
        settings.outbox = 5  # type: ignore[misc]
    assert settings.but(outbox=5).outbox == 5
    with pytest.raises(ValueError, match="outbox"):
        settings.but(outbox=0)


# Backoff


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    highest = delays(Backoff(first=0.5, factor=2, cap=60), draw=lambda _, high: high)
    assert list(itertools.islice(highest, 9)) == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    lowest = delays(Backoff(first=100, cap=60), draw=lambda low, high: low + high)
    assert next(lowest) == 60


def test_g11_the_jitter_is_full() -> None:
    waits = list(itertools.islice(delays(Backoff(first=60, cap=60)), 2000))
    assert 0 <= min(waits) < 1
    assert 59 < max(waits) <= 60
    assert 28 < sum(waits) / len(waits) < 32


def test_a_series_gives_up_after_its_attempts_and_remembers_the_newest_hundred() -> None:
    series = Attempts(Backoff(), 150)
    for number in range(1, 150):
        delay = series.ended(OSError(str(number)), float(number))
        assert isinstance(delay, float)
    verdict = series.ended(OSError("last"), 150.0)
    assert isinstance(verdict, ConnectionFailed)
    assert [attempt.number for attempt in verdict.attempts] == list(range(51, 151))
    assert verdict.attempts[-1].started == 150


def test_the_end_of_a_stable_connection_is_no_failed_attempt() -> None:
    series = Attempts(Backoff(), max_attempts=1)
    assert isinstance(series.ended(OSError(), 0.0, stable=True), float)
    assert series.number == 1
    verdict = series.ended(OSError(), 0.0)
    assert isinstance(verdict, ConnectionFailed)
    assert [attempt.number for attempt in verdict.attempts] == [1]


# Verdicts


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


# Catalogue


needs_schemas = pytest.mark.skipif(
    not deriv_schemas.available(), reason="the official schemas are not at hand"
)


@needs_schemas
def test_the_catalogue_names_every_call_of_both_generations() -> None:
    options = {
        path.name.removesuffix("_request.schema.json")
        for path in (deriv_schemas.ROOT / "options").glob("*_request.schema.json")
        if "req_id" in json.loads(path.read_text()).get("properties", {})
    }
    assert len(options) == 30
    assert options | {*deriv_schemas.calls()} == catalog.NAMES
    assert not catalog.READS & catalog.WRITES


@needs_schemas
def test_the_streams_are_those_whose_schema_has_subscribe() -> None:
    streams = {
        call
        for call in deriv_schemas.calls()
        if "subscribe" in deriv_schemas.load(call, "send")["properties"]
    }
    assert streams == catalog.STREAMS & {*deriv_schemas.calls()}


@needs_schemas
@pytest.mark.parametrize("call", deriv_schemas.calls() if deriv_schemas.available() else [])
def test_every_published_example_is_recognized(call: str) -> None:
    path = deriv_schemas.ROOT / "v3" / call / "example.json"
    example = json.loads(path.read_text())
    assert catalog.name_of(example) == call
    assert catalog.name_of(dict(reversed(example.items()))) == call


# Codec


def test_decimals_are_numbers_digit_for_digit() -> None:
    assert codec.encode({"price": Decimal("10.10")}) == '{"price":10.10}'
    assert codec.encode({"nothing": None}) == '{"nothing":null}'


def test_the_req_id_is_put_in() -> None:
    assert json.loads(codec.with_req_id('{"ping":1}', 7)) == {"ping": 1, "req_id": 7}


# Redaction


def test_g13_secret_fields_are_masked() -> None:
    request = {"authorize": "s3cret", "tokens": ["a", "b"], "passthrough": {"n": 1}}
    assert masked(request) == {
        "authorize": "<not shown>",
        "tokens": "<not shown>",
        "passthrough": {"n": 1},
    }
    assert masked({"api_token": 1, "ping": 1}) == {"api_token": 1, "ping": 1}


@pytest.mark.parametrize(
    "text",
    [
        '{"authorize":"s3cret"}',
        '{ "authorize" : "s3cr\\"et" , "req_id": 1}',
        '{"tokens":["s3cret","s3cret"],"token":"s3cret"}',
        '{"api_token":{"tokens":[{"token":"s3cret"}]}}',
    ],
)
def test_g13_secrets_in_text_are_masked(text: str) -> None:
    assert "s3cr" not in masked_text(text)
    assert masked_text('{"tick":{"quote":1}}') == '{"tick":{"quote":1}}'


def test_g13_urls_are_shown_without_their_secrets() -> None:
    shown = shown_url("wss://user:s3cret@example.org/ws/demo?otp=s3cret")
    assert shown == "wss://example.org/ws/demo"


# Tokens


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (" ", "not one that is blank"),
        ([], "not an empty list"),
        (["abc", 5], "not a list with something else in it"),
        (b"abc", "not bytes"),
    ],
)
def test_a_token_that_is_none_is_refused(token: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"token is a non-empty str, .* {words}"):
        checked_token(token)


# Errors


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("RateLimit", derivtrio.RateLimited),
        ("AuthorizationRequired", derivtrio.AuthorizationRequired),
        ("InvalidToken", derivtrio.InvalidToken),
        ("AlreadySubscribed", derivtrio.AlreadySubscribed),
        ("MarketIsClosed", derivtrio.MarketClosed),
        ("InputValidationFailed", derivtrio.InvalidRequest),
        ("UnrecognisedRequest", derivtrio.InvalidRequest),
        ("PermissionDenied", derivtrio.PermissionDenied),
        ("InsufficientBalance", derivtrio.ApiError),
    ],
)
def test_codes_have_their_classes(code: str, kind: type) -> None:
    error = api_error({"code": code, "message": "m", "details": {"f": "bad"}}, {"buy": 1})
    assert type(error) is kind
    assert str(error) == f"{code}: m (f: bad)"
    assert (error.code, error.message, error.details) == (code, "m", {"f": "bad"})


def test_g13_an_api_error_does_not_show_the_token() -> None:
    error = api_error({"code": "InvalidToken", "message": "no"}, {"authorize": "s3cret"})
    assert error.request == {"authorize": "<not shown>"}
    assert "s3cret" not in repr(error)


def test_the_drawing_of_the_hierarchy_is_complete() -> None:
    drawing = derivtrio.errors.__doc__ or ""

    def classes(root: type) -> set[str]:
        return {root.__name__}.union(*(classes(kind) for kind in root.__subclasses__()))

    names = classes(derivtrio.DerivError)
    assert {name for name in names if name not in drawing} == set()
    assert names <= {*derivtrio.__all__}


# EventBus


async def test_traffic_is_announced_only_while_somebody_listens_to_it() -> None:
    bus = EventBus()
    everything: Buffer[derivtrio.Event] = Buffer("events", 10, "error")
    quiet: Buffer[derivtrio.Event] = Buffer("events", 10, "error")
    bus.listen(everything, traffic=True)
    bus.listen(quiet, traffic=False)
    assert bus.traffic == 1
    bus.announce(derivtrio.MessageSent("{}"))
    bus.announce(derivtrio.Connecting(1))
    assert (len(everything), len(quiet)) == (2, 1)
    bus.ignore(everything)
    bus.ignore(everything)
    assert bus.traffic == 0


# Router


class Taker:
    tick_route = None
    ids: tuple[str, ...] = ()
    over = False

    def __init__(self, following: Any = None) -> None:
        self.taken: list[dict[str, Any]] = []
        self.following = following

    def deliver(self, message: dict[str, Any]) -> Stream | None:
        self.taken.append(message)
        return self if self.following == "self" else self.following  # type: ignore[no-any-return]

    def deliver_all(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return messages

    def lost(self, why: str) -> None:
        raise NotImplementedError


def streaming(req_id: int, stream_id: str) -> dict[str, Any]:
    return {"req_id": req_id, "msg_type": "tick", "subscription": {"id": stream_id}}


def test_a_reply_goes_to_its_request_and_to_it_once() -> None:
    router, first, second = Router(), Taker(), Taker()
    ids = [router.register(first), router.register(second)]
    router.route({"req_id": ids[1], "n": 1})
    router.route({"req_id": ids[1], "n": 2})
    router.route({"echo_req": {"req_id": ids[0]}, "n": 3})
    assert [m["n"] for m in first.taken] == [3]
    assert [m["n"] for m in second.taken] == [1]
    assert router.clear() == []


def test_a_call_hands_over_to_the_stream_it_has_opened() -> None:
    router = Router()
    stream = Taker("self")
    req_id = router.register(Taker(stream))
    for _ in range(3):
        router.route(streaming(req_id, "a"))
    assert len(stream.taken) == 2
    assert router.unwanted == []
    router.remove_receiver(stream)
    router.route(streaming(req_id, "a"))
    router.route(streaming(req_id, "a"))
    assert router.unwanted == ["a"]


def test_a_stream_nobody_wants_is_noted_once() -> None:
    router = Router()
    req_id = router.register(Taker())
    router.route(streaming(req_id, "a"))
    router.route(streaming(req_id, "a"))
    router.note_unwanted("a")
    assert router.unwanted == ["a"]


def test_foreign_and_odd_messages_are_left_alone() -> None:
    router = Router()
    taker = Taker("self")
    req_id = router.register(taker)
    for message in (
        {},
        streaming(2**31, "theirs"),
        {"req_id": "1"},
        {"req_id": None, "echo_req": 5},
        {"req_id": [1]},
        {"req_id": True},
        {"req_id": float(req_id)},
        {"echo_req": {"req_id": {}}},
        {"req_id": req_id, "subscription": 7},
        {"req_id": req_id, "error": {"code": "X"}, "subscription": {"id": 7}},
    ):
        router.route(message)
    assert router.unwanted == []
    assert len(taker.taken) == 2


def test_g14_given_up_streams_are_remembered_within_bounds() -> None:
    router = Router()
    for n in range(5000):
        router.note_unwanted(str(n))
        router.unwanted.clear()
    router.note_unwanted("4999")
    assert router.unwanted == []
    router.note_unwanted("0")
    assert router.unwanted == ["0"]


def test_g03_no_req_id_is_used_twice_across_connections() -> None:
    router = Router()
    first = [router.register(Taker()) for _ in range(3)]
    assert len(router.clear()) == 3
    assert not {*first} & {router.register(Taker()) for _ in range(3)}


class Streaming(Taker):
    """A stream: takes what is usual in one go, and everything else singly."""

    def __init__(self) -> None:
        super().__init__("self")
        self.runs: list[int] = []

    def deliver_all(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if any("error" in message for message in messages):
            return messages
        self.taken += messages
        self.runs.append(len(messages))
        return []


def test_messages_that_follow_each_other_in_a_stream_go_together_and_nothing_overtakes() -> None:
    router, streams = Router(), [Streaming(), Streaming()]
    ids = [router.register(Taker(stream)) for stream in streams]
    call = Taker()
    asked = router.register(call)
    one, other = ids
    order = [one, other, one, one, asked, one, other, other, other, one]
    sent: list[dict[str, Any]] = [{"req_id": req_id, "n": n} for n, req_id in enumerate(order)]
    sent[7]["error"] = {}
    router.route_all(sent)
    numbers = [[message["n"] for message in stream.taken] for stream in streams]
    assert numbers == [[2, 3, 5, 9], [6, 7, 8]]  # the first of each was the reply
    assert streams[0].runs == [2, 1, 1]
    assert call.taken == [sent[4]]
