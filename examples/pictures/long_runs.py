"""Lessons 11, 17 and 18, and the project's page: what a client goes through in a longer time."""

from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import ModuleType
from typing import Any, Final

import attrs
import trio

import derivtrio
from derivtrio.events import Closed, Opened
from derivtrio.trace.layout import arranged
from derivtrio.trace.picture import Bar, Row, Section
from derivtrio.trace.recording import Dots
from derivtrio.trace.still import still
from examples.lessons.capstone import program as capstone
from examples.lessons.silence import program as silence
from examples.lessons.time import program as time
from examples.pictures.lanes import bar, lanes, mark, row, state_bars
from examples.pictures.runs import START, Run, replaced, run
from examples.pictures.wire import Wire, WiredSimulator, open_wired

#: What the bot pays for a contract.
_PAID: Final = 10

#: A state that is shorter has no name in the bot's picture, in seconds.
_LONG: Final = 30


def a_reconnect() -> str:
    """For the project's page: an outage, the backoff, and the hole that is filled."""

    async def program() -> None:
        faults = ["drop@6.5", "refuse:4@6.5"]
        async with (
            open_wired(port=None, start=START, faults=faults) as sim,
            derivtrio.open_client(endpoint=sim.endpoint) as client,
            client.ticks("1HZ100V") as ticks,
        ):
            with trio.move_on_after(19):
                async for _ in ticks:
                    pass

    picture = arranged(run(program).recording)
    (section,) = [each for each in picture.sections if each.title == "client"]
    shown = ["state", "websocket", "reader", "writer", "heartbeat", "calls", "1HZ100V"]
    section.rows = [each for each in section.rows if each.title in shown]
    section.frames = [attrs.evolve(each, last=4) for each in section.frames]
    (outage,) = section.outages
    count = sum(outage.fetched.values())
    said = f"{count} missed ticks are fetched from the history"
    section.rows.append(row("", marks=[mark(outage.ended or 0, said)]))
    picture = attrs.evolve(picture, sections=[section])
    return still(picture, title="A connection breaks, and is replaced", text=outage.sentence)


def silence_is_not_health() -> str:
    """Lesson 11: two silences, one found by a ping and one by the history."""
    with _wired(silence) as wires:
        seen = run(silence.main)
    pings = [each for each in wires[0].flights if each.text in ("ping", "pong")]
    stream = seen.recording.clients[0].streams["1HZ100V"]
    heartbeat, history = (at for at, _ in seen.lines)
    frozen, mute = (float(fault.partition("@")[2]) for fault in silence.FAULTS)
    wrong = [bar("wrong", frozen, heartbeat, "frozen"), bar("wrong", mute, history, "mute")]
    rows = [
        Row("the market", "stream", live=_dots(range(int(seen.ended) + 1))),
        Row("ticks that came", "stream", live=stream.live, fetched=stream.fetched),
        row("what is wrong", wrong),
        row("pings", marks=[mark(each.sent, "") for each in pings if each.up]),
        row("answers", marks=[mark(each.arrives, "") for each in pings if not each.up]),
        row("connection", _connections(seen)),
        row("found by", marks=[mark(heartbeat, "the heartbeat"), mark(history, "the history")]),
    ]
    text = (
        "Lanes over 115 seconds. Ticks come until the connection freezes at 20 seconds; a ping"
        " has no answer, and at 30 seconds there is a new connection. Ticks stop again at 100"
        " seconds. Now each ping is answered, and only the market's history shows that something"
        " is wrong."
    )
    kinds = {"live": "a tick", "ready": "a connection", "wrong": "what is wrong"}
    section = Section("one stream", rows)
    return lanes(
        "Two silences, and who finds them", text, [section], length=seen.ended + 8, kinds=kinds
    )


def a_month() -> str:
    """Lesson 17: thirty days, a disaster each morning, a call each noon."""
    seen = run(time.main)
    (client,) = seen.recording.clients
    noons = [mark(each.queued, "") for each in client.calls if each.label == "time"]
    names = [each.name.removeprefix("connection ") for each in _connections(seen)]
    lives = [
        attrs.evolve(each, name=name) for each, name in zip(_connections(seen), names, strict=True)
    ]
    rows = [row("connections", lives)]
    for number, name in enumerate(time.DISASTERS):
        days = range(number, time.DAYS, len(time.DISASTERS))
        rows.append(row(name, marks=[mark(day * time.DAY + 21_600, "", bad=True) for day in days]))
    rows.append(row("calls at noon", marks=noons))
    text = (
        "Lanes over thirty days. Each morning has a disaster, of four kinds in turn. Each one"
        " but the refusals ends a connection, and the next one begins; there are 24. Each noon"
        " has its call."
    )
    kinds = {"ready": "a connection, with its number"}
    return lanes("A month on the virtual clock", text, [Section("30 days", rows)], kinds=kinds)


def a_bot_and_its_books() -> str:
    """Lesson 18: what the bot holds, and what breaks meanwhile."""
    seen = run(capstone.main)
    faults = dict[float, list[str]]()
    for name, _, at in (fault.partition("@") for fault in capstone.FAULTS):
        faults.setdefault(float(at), []).append(name)
    contracts = [*_contracts(seen)]
    over = contracts[-1].ended
    disasters = [mark(at, ", ".join(names), bad=True) for at, names in faults.items()]
    rows = [
        row("contracts", contracts),
        row("connection", [_named_if_long(each) for each in state_bars(seen, least=1)]),
        row("disasters", marks=disasters),
        row("", marks=[mark(over, "Ctrl-C", bad=True)]),
    ]
    text = (
        f"Lanes over eight minutes. {len(contracts)} contracts, one after another, without a hole"
        " between them. Two are held longer, because the connection was frozen, or out of reach."
        " At the end the last one is sold at Ctrl-C."
    )
    kinds = {"gain": "a contract, sold with a gain", "loss": "a contract, sold with a loss"}
    section = Section("eight minutes", rows)
    title = f"{len(contracts)} bought, {len(contracts)} sold"
    return lanes(title, text, [section], kinds=kinds, length=over * 1.05)


def _named_if_long(shown: Bar) -> Bar:
    return shown if shown.ended - shown.began > _LONG else attrs.evolve(shown, name="")


def _contracts(seen: Run) -> Iterator[Bar]:
    """Yield a bar for each contract, from its purchase to its sale."""
    bought = [at for at, line in seen.lines if line.partition(" s  ")[2].startswith("bought")]
    sold = [(at, float(line.split()[-1])) for at, line in seen.lines if "sold for" in line]
    for number, (began, (ended, price)) in enumerate(zip(bought, sold, strict=True), 1):
        yield bar("gain" if price > _PAID else "loss", began, ended, str(number))


@contextmanager
def _wired(program: ModuleType) -> Generator[list[Wire]]:
    """Let the simulator that *program* opens be reached by a wire; yield a list of them."""
    wires = list[Wire]()

    @asynccontextmanager
    async def opened(**arguments: Any) -> AsyncGenerator[WiredSimulator]:
        async with open_wired(delay=0.01, **arguments) as sim:
            wires.append(sim.endpoint)
            yield sim

    with replaced(program, "open_simulator", opened):
        yield wires


def _connections(seen: Run) -> list[Bar]:
    """Return a bar for each connection of the run's client."""
    bars, opened = list[Bar](), (0.0, 0)
    for at, event in seen.recording.clients[0].events:
        if isinstance(event, Opened):
            opened = (at, event.connection)
        elif isinstance(event, Closed):
            began, number = opened
            bars.append(bar("ready", began, at, f"connection {number}"))
    return bars


def _dots(times: Iterable[float]) -> Dots:
    """Return a dot for each of *times*."""
    found = Dots()
    for at in times:
        found.add(at, 1, 10_000)
    return found
