"""The states: what the tables say is what the docstrings draw."""

from collections.abc import Mapping
from enum import Enum
from types import ModuleType
from typing import Any

import pytest

from derivtrio.calls import life, status
from derivtrio.calls.life import Life, Step
from derivtrio.calls.status import Command, ConnectionState, State
from derivtrio.events import Closed, Connecting, Failed, Opened, Ready


def drawn(transitions: Mapping[tuple[Enum, Any], Enum]) -> str:
    """Draw a table of transitions, one arrow a line."""
    rows = [(state.name, label(cause), after.name) for (state, cause), after in transitions.items()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"    {a:{widths[0]}} ── {b:{widths[1]}} ──> {c}" for a, b, c in rows)


def label(cause: Any) -> str:
    if isinstance(cause, Step):
        return cause.name.lower()
    return str(cause.value if isinstance(cause, Command) else cause.__name__)


@pytest.mark.parametrize("module", [life, status], ids=["life", "status"])
def test_the_drawing_in_the_docstring_is_the_table(module: ModuleType) -> None:
    arrows = [line for line in str(module.__doc__).splitlines() if " ── " in line]
    drawing = drawn(module.TRANSITIONS)
    assert arrows == drawing.splitlines(), f"the docstring of {module.__name__}: draw\n{drawing}"
    assert f"\n\n{drawing}\n\n" in f"{module.__doc__}\n", "with nothing in between"


@pytest.mark.parametrize(
    ("module", "first", "last"),
    [
        (life, Life.QUEUED, {Life.DECIDED, Life.ABANDONED}),
        (status, State.CONNECTING, {State.CLOSED, State.FAILED}),
    ],
    ids=["life", "status"],
)
def test_every_state_is_reached_and_only_the_last_have_no_way_out(
    module: ModuleType, first: Enum, last: set[Enum]
) -> None:
    states = set(type(first))
    assert states - set(module.TRANSITIONS.values()) <= {first}
    assert states - {state for state, _ in module.TRANSITIONS} == last


def test_what_is_not_in_the_table_changes_nothing() -> None:
    state = ConnectionState()
    state.follow(Ready(1))  # never without Opened
    assert state.name is State.CONNECTING
    state.follow(Connecting(1))
    state.follow(Opened(1))
    state.follow(Ready(1))
    since = state.since
    state.follow(Connecting(2))  # never without Closed
    assert (state.name, state.since) == (State.READY, since)
    state.follow(Failed(OSError()))
    state.follow(Closed(1006, "", was_clean=False, by="network"))
    assert (state.name, state.connection) == (State.WAITING, None)
    state.obey(Command.CLOSE)
    state.follow(Connecting(2))
    assert (state.name, state.ending) == (State.CLOSING, True)
    state.obey(Command.END)
    state.obey(Command.GIVE_UP)
    assert state.name is State.CLOSED
