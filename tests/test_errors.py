"""Errors are data: they can be saved, and read again."""

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import derivtrio
from derivtrio import errors
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


def test_a_doubt_that_was_saved_still_knows_what_was_asked_for() -> None:
    again = pickled(derivtrio.OutcomeUnknown("?", {"buy": "x", "price": 5}, 3, 1.5, {"amount": 5}))
    assert (again.request, again.parameters) == ({"buy": "x", "price": 5}, {"amount": 5})
    assert (again.connection, again.written_at, again.outcome) == (3, 1.5, None)
