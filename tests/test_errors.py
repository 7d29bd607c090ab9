"""Errors are data: they can be saved, and read again."""

import copy
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import derivtrio
from derivtrio import errors, recording
from derivtrio.errors import api_error
from derivtrio.events import Gap

#: Arguments for the kinds that take others than a text.
ARGUMENTS: dict[type[derivtrio.DerivError], tuple[Any, ...]] = {
    derivtrio.ApiError: ("RateLimit", "Too much.", {"field": "bad"}, {"buy": "1", "price": 10}),
    derivtrio.ConnectionLost: ("It is gone.", {"ping": 1}, 7),
    derivtrio.OutcomeUnknown: ("Who knows?", {"buy": "1"}, 7, 1.5, {"amount": 10}),
    derivtrio.ResponseTimeout: ({"ping": 1}, 60.0),
    derivtrio.SlowConsumer: ("R_100", 5),
    derivtrio.NotContinuous: (Gap("R_100", 1, 5, filled=False, reason="gone"),),
    derivtrio.ConnectionFailed: ("Over.", [errors.Attempt(1, 2.5, OSError("No."))]),
    derivtrio.HandshakeRejected: (503, b"Later."),
    derivtrio.RestRejected: (429, "RateLimit", "Later.", 5.0),
    derivtrio.PeerClosed: ("It went.", 1001, "going away"),
}


def kinds(root: type[derivtrio.DerivError] = derivtrio.DerivError) -> Iterator[type[Any]]:
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def example(kind: type[Any]) -> derivtrio.DerivError:
    arguments = next((ARGUMENTS[base] for base in kind.__mro__ if base in ARGUMENTS), ("No.",))
    error: derivtrio.DerivError = kind(*arguments)
    error.add_note("seen by a test")
    return error


def facts(error: derivtrio.DerivError) -> dict[str, Any]:
    return {k: repr(v) if k == "attempts" else v for k, v in vars(error).items()}


def pickled(error: derivtrio.DerivError) -> Any:
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("made_again", [copy.copy, copy.deepcopy, pickled])
@pytest.mark.parametrize("kind", list(kinds()))
def test_every_error_can_be_saved_and_copied(
    kind: type[Any], made_again: Callable[[derivtrio.DerivError], Any]
) -> None:
    error = example(kind)
    again = made_again(error)
    assert type(again) is kind
    assert (str(again), again.args) == (str(error), error.args)
    assert facts(again) == facts(error)


FORGED = "bye\r\nCRITICAL all is sold\x1b[2J\u2028\u202e\ud800"


@pytest.mark.parametrize("kind", list(kinds()))
def test_g18_what_a_server_says_forges_no_line_of_a_log(kind: type[Any]) -> None:
    error = example(kind)
    error.args = (FORGED,)
    if isinstance(error, derivtrio.ApiError):
        error.code = error.message = FORGED
        error.details = {"field": FORGED}
    assert str(error).isprintable()
    assert "CRITICAL" in str(error)


def test_a_text_keeps_its_spaces_whatever_their_kind() -> None:
    assert str(derivtrio.ApiError("Code", "Erreur\u00a0: é\u3000日本")) == (
        "Code: Erreur\u00a0: é\u3000日本"
    )


def test_a_doubt_that_was_saved_still_knows_what_was_asked_for() -> None:
    again = pickled(derivtrio.OutcomeUnknown("?", {"buy": "x", "price": 5}, 3, 1.5, {"amount": 5}))
    assert (again.request, again.parameters) == ({"buy": "x", "price": 5}, {"amount": 5})
    assert (again.connection, again.written_at, again.outcome) == (3, 1.5, None)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("RateLimit", derivtrio.RateLimited),
        ("ContractUpdateTooFrequent", derivtrio.RateLimited),
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


SECRET = "s3cret-value"


@pytest.mark.parametrize("kind", [k for k in kinds() if issubclass(k, derivtrio.ApiError)])
def test_g13_what_a_server_repeats_of_a_secret_is_in_no_error(kind: type[Any]) -> None:
    request = {"authorize": SECRET, "passthrough": {"token": SECRET}}
    error = kind(
        SECRET,
        f'{{"authorize":"{SECRET}"}} and {SECRET}',
        {"token": SECRET, "said": [f"no {SECRET}"], "deep": {"x": SECRET}},
        request,
    )
    again = pickled(error)
    for each in (error, again):
        shown = [str(each), repr(each), repr(vars(each)), *traceback.format_exception(each)]
        assert SECRET not in "".join(shown)
    assert SECRET.encode() not in pickle.dumps(error)


@pytest.mark.parametrize(
    "odd", [None, 5, 10**5000, [], [[]], {}, True, "x" * 10_000], ids=lambda odd: type(odd).__name__
)
def test_g18_whatever_stands_for_an_error_makes_one(odd: Any) -> None:
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    for value in (odd, {"code": odd}, {"message": odd}, {"details": odd}, {"code": "X"}):
        error = api_error(value)
        assert isinstance(error, derivtrio.ApiError)
        assert len(str(error)) < 10_000
    for value in (deep, {"code": deep}, {"message": deep}, {"details": {"x": deep}}):
        assert len(str(api_error(value))) < 10_000


def test_the_drawing_of_the_hierarchy_is_complete() -> None:
    drawing = derivtrio.errors.__doc__ or ""

    def classes(root: type) -> set[str]:
        return {root.__name__}.union(*(classes(kind) for kind in root.__subclasses__()))

    names = classes(derivtrio.DerivError)
    assert {name for name in names if name not in drawing} == set()
    assert names <= {*derivtrio.__all__, *recording.__all__}


def test_details_that_are_no_object_are_kept_as_one() -> None:
    assert api_error({"code": "X", "details": ["odd"]}).details == {"details": ["odd"]}
    assert api_error({"code": "X", "details": {"field": "price"}}).details == {"field": "price"}


SPOOF = "\x1b[2J\x1b]0;title\x07 no\r\n2026-11-27 INFO all is well\x9b31m\u202e\u2028"


@pytest.mark.parametrize(
    "error",
    [
        api_error({"code": f"Odd{SPOOF}", "message": SPOOF, "details": {SPOOF: SPOOF}}),
        derivtrio.HandshakeRejected(503, SPOOF.encode()),
        derivtrio.RestRejected(503, SPOOF, SPOOF),
        derivtrio.PeerClosed(f"closed by the server: 4000 {SPOOF}", 4000, SPOOF),
        derivtrio.ConnectionFailed(SPOOF, []),
    ],
    ids=lambda error: type(error).__name__,
)
def test_g18_a_text_of_a_servers_cannot_make_lines_or_colours_in_a_log(error: Exception) -> None:
    assert str(error).isprintable()
    assert "no  2026-11-27 INFO all is well 31m" in str(error)
    assert "\n" not in "".join(traceback.format_exception_only(error)).rstrip("\n")
