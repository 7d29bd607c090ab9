"""Lessons 13, 15 and 16: numbers over time."""

import random
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, Self

import attrs
import trio

import derivtrio
from derivtrio import OverflowPolicy, Subscription, Tick
from derivtrio.trace.drawing import STROKES
from derivtrio.trace.outages import outages_of
from derivtrio.trace.still import TITLE, WIDTH, document, draw_legend, words
from examples.lessons.backoff import program as backoff
from examples.lessons.channels import program as channels
from examples.lessons.continuity import program as continuity
from examples.pictures.runs import START, Run, replaced, run

_STYLE: Final = """
.bar { fill: var(--frame); } .rule { stroke: var(--line); fill: none; }
.level { fill: var(--ready); fill-opacity: 0.35; stroke: var(--ready); }
.lost { stroke: var(--failed); stroke-width: 1.6; }
svg text.tick { font-size: 11px; fill: var(--soft); }
svg text.heading { font-weight: 600; font-size: 12px; }
"""

#: Where the axis of the numbers is, in pixels.
_LEFT: Final = 60

_SHOWN: Final = 30
_MINUTE: Final = 60


def a_thousand_clients() -> str:
    """Lesson 13: how many come back in each second, without jitter and with it."""
    random.seed(1)
    full = backoff.returns(lambda ceiling: random.uniform(0, ceiling))  # noqa: S311
    none = backoff.returns(lambda ceiling: ceiling)
    parts, top = list[str](), TITLE + 14.0
    for name, found in (("no jitter", none), ("full jitter", full)):
        title = f"{name}: connections in each second, at most {max(found.values())}"
        parts += _histogram(found, top, title)
        top += 206
    text = (
        "Two bar charts of how many of a thousand clients come back in each second. The server"
        " is away for ten seconds. Without jitter all thousand come in the sixteenth second."
        " With full jitter they are spread over the twenty seconds after the outage, at most 137"
        " in one."
    )
    title = "A thousand clients come back after an outage of ten seconds"
    return document(parts, height=top, title=title, text=text, style=_STYLE)


def _histogram(found: Counter[int], top: float, title: str) -> Iterator[str]:
    """Yield a chart with a bar for each second."""
    height, step = 150, 23
    bottom = top + 26 + height
    yield words(title, _LEFT, top + 12, "heading")
    for count in (0, 500, 1000):
        y = bottom - height * count / backoff.CLIENTS
        yield f'<path class="rule" d="M{_LEFT} {y:.1f}h{_SHOWN * step}"/>'
        yield words(f"{count}", _LEFT - 8, y + 4, "tick", "end")
    away = backoff.OUTAGE * step
    yield f'<rect class="outage" x="{_LEFT}" y="{top + 26}" width="{away}" height="{height}"/>'
    yield words("the server is away", _LEFT + away / 2, top + 50, "in-band", "middle")
    for second, count in sorted(found.items()):
        if second < _SHOWN:
            x, high = _LEFT + second * step + 2, height * count / backoff.CLIENTS
            yield (
                f'<rect class="bar" x="{x}" y="{bottom - high:.1f}" width="{step - 4}"'
                f' height="{high:.1f}"/>'
            )
    for second in range(0, _SHOWN + 1, 5):
        yield words(f"{second} s", _LEFT + second * step, bottom + 16, "tick", "middle")


@attrs.define
class Levels:
    """A consumer, and how many items waited for it and how many it had lost, when that changed."""

    pause: float
    policy: OverflowPolicy
    subscription: Subscription[Tick]
    steps: list[tuple[float, int, int]] = attrs.field(factory=list)

    def sample(self) -> None:
        """Note how it is now, if it is different."""
        waiting = len(getattr(self.subscription, "_items"))  # noqa: B009 - it is private
        now = (waiting, self.subscription.dropped)
        if self.steps and self.steps[-1][0] == trio.current_time():
            self.steps.pop()  # only what lasts is shown, not the turns of one moment
        if not self.steps or self.steps[-1][1:] != now:
            self.steps.append((trio.current_time(), *now))


@attrs.define(eq=False)
class Sampled(Run):
    """A run in which the buffers' levels are noted after each turn of the loop."""

    levels: list[Levels] = attrs.field(factory=list)

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - it is trio's
        """Note the levels."""
        for each in self.levels:
            each.sample()


def who_waits_and_what_is_lost() -> str:
    """Lesson 15: how full the buffers of four consumers are."""
    seen, ticks, consume = Sampled(), derivtrio.Client.ticks, channels.consume
    pauses = dict[trio.lowlevel.Task, float]()

    def noted(client: derivtrio.Client, symbol: str, **options: Any) -> Subscription[Tick]:
        subscription = ticks(client, symbol, **options)
        pause = pauses[trio.lowlevel.current_task()]
        seen.levels.append(Levels(pause, options["overflow"], subscription))
        return subscription

    async def timed(client: derivtrio.Client, pause: float, overflow: OverflowPolicy) -> None:
        pauses[trio.lowlevel.current_task()] = pause
        await consume(client, pause, overflow)

    with replaced(derivtrio.Client, "ticks", noted), replaced(channels, "consume", timed):
        run(channels.main, seen=seen)
    parts, top = list[str](), TITLE + 10.0
    for each in sorted(
        seen.levels, key=lambda each: (each.pause, each.policy != "error", each.policy)
    ):
        parts += _steps(each, top)
        top += 121
    for second in range(0, _MINUTE + 1, 10):
        parts.append(words(f"{second} s", _LEFT + second * 12, top + 4, "tick", "middle"))
    parts.append(words("a red line: an item that is lost", _LEFT, top + 24, "beside"))
    text = (
        "Four charts of how many items wait in a buffer of five, over a minute. The fast"
        " consumer's is always empty. The slow one with the policy error fills up, and ends with"
        " SlowConsumer. With drop_oldest it stays full, and with latest it holds one item; both"
        " lose items all the time."
    )
    title = "Four consumers of one stream, and how many items are in their buffers"
    return document(parts, height=top + 34, title=title, text=text, style=_STYLE)


def _steps(levels: Levels, top: float) -> Iterator[str]:
    """Yield a chart of a buffer's level, and below it a line for each item that is lost."""
    unit, height = 12, 15
    bottom = top + 24 + 5 * height
    yield words(
        f'{levels.pause:g} s for each tick, overflow="{levels.policy}"', _LEFT, top + 14, "heading"
    )
    for count in (0, 5):
        y = bottom - count * height
        yield f'<path class="rule" d="M{_LEFT} {y:g}h{_MINUTE * unit}"/>'
        yield words(f"{count}", _LEFT - 8, y + 4, "tick", "end")
    line, before, x = f"M{_LEFT} {bottom:g}", 0, float(_LEFT)
    for at, level, lost in levels.steps:
        x = _LEFT + at * unit
        line += f"H{x:.1f}V{bottom - level * height:g}"
        if lost > before:
            yield f'<path class="lost" d="M{x:.1f} {bottom + 3:g}v6"/>'
        before = lost
    if len(levels.steps) == 1:
        line += f"H{_LEFT + _MINUTE * unit}"
        yield words("always empty", _LEFT + 6, bottom - 6, "beside")
    yield f'<path class="level" d="{line}V{bottom:g}z"/>'
    if levels.pause and levels.policy == "error":
        yield words("SlowConsumer", x + 6, bottom - 6, "in-band")


@attrs.define
class Noting:
    """A subscription of ticks that notes when each is taken."""

    _subscription: Subscription[Tick]
    _delivered: list[tuple[float, int]]

    async def __aenter__(self) -> Self:
        await self._subscription.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._subscription.__aexit__(kind, error, trace)

    async def __anext__(self) -> Tick:
        tick = await anext(self._subscription)
        self._delivered.append((trio.current_time(), tick.epoch - START))
        return tick

    @property
    def gaps(self) -> tuple[derivtrio.Gap, ...]:
        """The holes that could not be filled."""
        return self._subscription.gaps


def each_once_and_in_order() -> str:
    """Lesson 16: when each tick was delivered."""
    delivered, ticks = list[tuple[float, int]](), derivtrio.Client.ticks

    def noted(client: derivtrio.Client, symbol: str, **options: Any) -> Noting:
        return Noting(ticks(client, symbol, **options), delivered)

    with replaced(derivtrio.Client, "ticks", noted):
        seen = run(continuity.main)
    (outage,) = outages_of(seen.recording.clients[0])
    count = sum(outage.fetched.values())
    parts = [*_plot(delivered, (outage.began, outage.ended or seen.ended), count)]
    kinds = {"live": "live", "fetched": f"from the history: {count} ticks, at once"}
    legend, bottom = draw_legend(kinds, _BOTTOM + 30)
    text = (
        "A plot of the ticks of forty seconds against the time at which each was delivered. The"
        " dots lie on a line. In an outage there are none; at its end the missed ones are"
        " delivered at once, in order, as a column that joins the two parts of the line."
    )
    title = "Each tick once, and in order, through an outage"
    return document([*parts, *legend], height=bottom, title=title, text=text, style=_STYLE)


_TOP: Final = TITLE + 14
_BOTTOM: Final = TITLE + 290
_SECONDS: Final = 40


def _plot(
    delivered: list[tuple[float, int]], outage: tuple[float, float], fetched: int
) -> Iterator[str]:
    """Yield a dot for each tick: when it was delivered, and which second's it is."""
    right = WIDTH - 24
    wide, high = (right - _LEFT) / _SECONDS, (_BOTTOM - _TOP) / _SECONDS
    began, ended = (_LEFT + at * wide for at in outage)
    yield (
        f'<rect class="outage" x="{began:.1f}" y="{_TOP}" width="{ended - began:.1f}"'
        f' height="{_BOTTOM - _TOP}"/>'
    )
    yield words("no connection", began + 6, _TOP + 16, "in-band")
    for at in range(0, _SECONDS + 1, 10):
        x, y = _LEFT + at * wide, _BOTTOM - at * high
        yield f'<path class="rule" d="M{_LEFT} {y:.1f}H{right}M{x:.1f} {_TOP}V{_BOTTOM}"/>'
        yield words(f"{at}", _LEFT - 8, y + 4, "tick", "end")
        yield words(f"{at} s", x, _BOTTOM + 16, "tick", "middle")
    yield words("the tick's second", _LEFT + 6, _TOP + 12, "tick")
    yield words("when it was delivered", right - 40, _BOTTOM + 16, "tick", "end")
    first = sum(when < outage[1] for when, _ in delivered)
    for number, (when, epoch) in enumerate(delivered):
        if when <= _SECONDS:
            kind = "fetched" if first <= number < first + fetched else "live"
            x, y = _LEFT + when * wide, _BOTTOM - epoch * high
            yield f'<path class="dots {kind}" d="M{x:.1f} {y:.1f}{STROKES[kind]}"/>'
