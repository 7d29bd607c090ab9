"""G17: which streams are suspected of breaking connections, and when they are acquitted.

The rules on their own; `test_poison` runs them against servers.
"""

from typing import Any

import trio

import derivtrio
from derivtrio.calls.call import api_call
from derivtrio.errors import BrokenConnection
from derivtrio.streams.suspects import Suspects
from derivtrio.streams.upstream import Upstream


def stream(symbol: str) -> Upstream:
    return Upstream("ticks", {"ticks": symbol}, lambda _: None, lambda _: None)


def ask(suspects: Suspects, upstream: Upstream) -> None:
    """Have *upstream* asked for: the request is written."""
    call = api_call(upstream.request or {}, then=upstream)
    call.written(1, connection=1, patience=60, now=trio.current_time())
    suspects.asked(upstream, call)


def lose(suspects: Suspects, error: Exception | None = None, **how: Any) -> list[Upstream]:
    """Lose the connection; return the streams that have failed."""
    why = BrokenConnection(1, 0.0, error or derivtrio.PeerClosed("closed", 1011))
    how = {"on_trial": None, "by_message": False, "calls": False, "answered": 0.0} | how
    return suspects.connection_lost(why, how.pop("on_trial"), **how)


async def test_g17_what_was_not_answered_is_suspected_and_nothing_else(autojump_clock: Any) -> None:
    suspects, good, bad = Suspects(), stream("R_50"), stream("R_100")
    ask(suspects, good)
    suspects.answered(good)
    ask(suspects, bad)
    assert lose(suspects) == []
    assert (good in suspects, bad in suspects) == (False, True)
    assert (len(good.breaks), len(bad.breaks)) == (0, 1)


async def test_g17_a_suspect_is_acquitted_when_its_connection_has_stayed_up_for_a_while(
    autojump_clock: Any,
) -> None:
    suspects, suspect = Suspects(), stream("R_100")
    ask(suspects, suspect)
    lose(suspects)
    for seconds, acquitted in [(9.5, False), (10.5, True)]:
        ask(suspects, suspect)
        suspects.answered(suspect)
        await trio.sleep(seconds)
        assert lose(suspects) == []
        assert (suspect in suspects, suspect.breaks == ()) == (not acquitted, acquitted)


async def test_g17_three_breaks_of_a_stream_that_was_asked_alone_are_enough(
    autojump_clock: Any,
) -> None:
    suspects, suspect = Suspects(), stream("R_100")
    for failed in ([], [], [suspect]):
        ask(suspects, suspect)
        assert lose(suspects, on_trial=suspect) == failed


async def test_g17_two_that_were_asked_together_prove_nothing_against_each_other(
    autojump_clock: Any,
) -> None:
    suspects, one, other = Suspects(), stream("R_50"), stream("R_100")
    for _ in range(4):
        ask(suspects, one)
        ask(suspects, other)
        assert lose(suspects) == []


async def test_g17_another_request_that_was_not_answered_may_have_been_it(
    autojump_clock: Any,
) -> None:
    suspects, on_trial, other = Suspects(), stream("R_50"), stream("R_100")
    ask(suspects, on_trial)
    ask(suspects, other)
    assert lose(suspects, on_trial=on_trial) == []
    assert (on_trial.breaks, other.breaks) == ((), ())


async def test_g17_a_message_is_blamed_on_the_streams_that_have_just_begun(
    autojump_clock: Any,
) -> None:
    suspects, old, new = Suspects(), stream("R_50"), stream("R_100")
    ask(suspects, old)
    suspects.answered(old)
    await trio.sleep(6)
    ask(suspects, new)
    suspects.answered(new)
    lose(suspects, by_message=True)
    assert (len(old.breaks), len(new.breaks)) == (0, 1)
    assert suspects.probation(new) > suspects.probation(old) == 0


async def test_g17_what_ended_for_another_reason_is_blamed_on_no_stream(
    autojump_clock: Any,
) -> None:
    suspects, suspect, error = Suspects(), stream("R_100"), derivtrio.ProtocolViolation("a flood")
    error.blameless = True
    ask(suspects, suspect)
    lose(suspects, error)
    assert suspect not in suspects
