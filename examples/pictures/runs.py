"""A program's run on the virtual clock, as data: what it printed and when, and what else was seen.

Every source of chance is seeded, so that a run is the same each time and on each Python.
"""

import io
import logging
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any, Final, cast

import attrs
import trio

import derivtrio
from derivtrio.calls.session import Session, on_new_client
from derivtrio.calls.status import ConnectionState, State
from derivtrio.simulator.server.endings import EndingName
from derivtrio.streams.registry import Registry
from derivtrio.trace import Timeline, timeline
from derivtrio.trace.recording import Recording
from examples.pictures.wire import Flight, open_ending
from tests.chaos.determinism import run_seeded

#: When the simulator's clock begins, in seconds since 1970, as in the lessons.
START: Final = 1_800_000_000

#: A program for one of the ten servers. It is given an endpoint, where its own type says a URL;
#: it hands it on to `open_client`, which takes both.
Program = Callable[[Any], Awaitable[object]]


@attrs.define(eq=False)
class Run(trio.abc.Instrument):
    """What was seen of a run. Times are in seconds since its beginning.

    Attributes:
        lines: what it printed, and when.
        flights: what went over its line, if it had one.
        states: when its client entered which state.
        turns: of each turn of the scheduler, when it was and which tasks it ran; a turn that is
            empty is left out.
        line_turns: of each line, in which turn it was printed.
        ended: when the program was over.

    """

    lines: list[tuple[float, str]] = attrs.field(factory=list)
    flights: list[Flight] = attrs.field(factory=list)
    states: list[tuple[float, State]] = attrs.field(factory=list)
    turns: list[tuple[float, set[trio.lowlevel.Task]]] = attrs.field(factory=list)
    line_turns: list[int] = attrs.field(factory=list)
    ended: float = 0.0
    _timeline: Timeline | None = None
    _state: ConnectionState | None = None

    @property
    def recording(self) -> Recording:
        """What `derivtrio.trace` recorded."""
        assert self._timeline is not None  # noqa: S101 - it is watched before it is asked
        return self._timeline.recording

    def at(self, words: str) -> float:
        """Return when the first line that begins with *words* was printed."""
        return next(at for at, line in self.lines if line.startswith(words))

    def said(self, words: str) -> str:
        """Return what that line says after *words*."""
        line = next(line for _, line in self.lines if line.startswith(words))
        return line.removeprefix(words).strip()

    @contextmanager
    def watching(self) -> Generator[None]:
        """Watch the program in the block, which runs in the present task."""
        with timeline() as self._timeline, redirect_stdout(_Printed(self)):
            told = on_new_client.get()

            def opened(session: Session, registry: Registry) -> None:
                self._state = session.bus.state
                if told is not None:
                    told(session, registry)

            token = on_new_client.set(opened)
            trio.lowlevel.add_instrument(self)
            try:
                yield
            finally:
                self.ended = trio.current_time()
                trio.lowlevel.remove_instrument(self)
                on_new_client.reset(token)

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - it is trio's
        """Begin a turn."""
        if not self.turns or self.turns[-1][1]:
            self.turns.append((0.0, set()))
        self.turns[-1] = (trio.current_time(), self.turns[-1][1])

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Note that *task* runs in this turn."""
        if self.turns:
            self.turns[-1][1].add(task)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - it is trio's
        """Note the client's state, if it is another one."""
        if self._state is not None and self._state.name not in {s for _, s in self.states[-1:]}:
            self.states.append((trio.current_time(), self._state.name))


class _Printed(io.TextIOBase):
    """Notes each line that is printed, and the time."""

    def __init__(self, run: Run) -> None:
        self._run, self._rest = run, ""

    def write(self, text: str) -> int:
        """Note the lines of *text*."""
        *lines, self._rest = (self._rest + text).split("\n")
        self._run.lines += [(trio.current_time(), line) for line in lines]
        self._run.line_turns += [len(self._run.turns) - 1] * len(lines)
        return len(text)


def run(program: Callable[[], Awaitable[object]], *, seen: Run | None = None) -> Run:
    """Run *program*, which has a server of its own; *seen* is what is returned."""
    watched = Run() if seen is None else seen

    async def main() -> None:
        with watched.watching():
            await program()

    _run(main)
    return watched


def run_with(ending: EndingName, program: Program, *, delay: float = 0.1) -> Run:
    """Run *program* with a server that ends so; a line to it is *delay* seconds long, each way."""
    seen = Run()

    async def main() -> None:
        async with open_ending(ending, delay=delay) as wire:
            try:
                with seen.watching():
                    await program(wire)
            except* derivtrio.DerivError as group:
                seen.lines.append((seen.ended, f"[error] {_first(group)}"))
            except* SystemExit:
                pass  # the program has said why
            await trio.sleep(delay)
            seen.flights = wire.flights

    _run(main)
    return seen


def _run(main: Callable[[], Awaitable[None]]) -> None:
    logger = logging.getLogger("derivtrio")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        run_seeded(1, main)
    finally:
        logger.setLevel(level)


def _first(error: BaseException) -> BaseException:
    """Return *error*, or the first one in its group."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    return _first(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])


@contextmanager
def replaced(module: ModuleType | type, name: str, spied: object) -> Generator[None]:
    """Let *module* use *spied* under that name in the block."""
    before = getattr(module, name)
    setattr(module, name, spied)
    try:
        yield
    finally:
        setattr(module, name, before)
