"""Lessons 3, 6, 7 and 14: what goes over the line, and what each side can know when."""

from functools import partial
from typing import Final, cast

import attrs

from derivtrio.simulator import EndingName, Simulator, open_simulator
from derivtrio.trace.still import TITLE, document
from examples.lessons.calls import program as calls
from examples.lessons.java import program as java
from examples.lessons.php import program as php
from examples.lessons.rust import program as rust
from examples.pictures.exchange import STYLE, Exchange, Note, Stretch, panels, seen
from examples.pictures.runs import START, Program, Run, run, run_with
from examples.pictures.wire import Flight, open_wire, open_wired


def _document(
    title: str, text: str, exchanges: list[Exchange], columns: int, margins: tuple[int, int]
) -> str:
    parts, bottom = panels(exchanges, columns, margins, TITLE + 8)
    return document(parts, height=bottom, title=title, text=text, style=STYLE)


def open_when_it_is_true() -> str:
    """Lesson 3: three facts, one after another; and a server that is open and never ready."""
    exchanges = list[Exchange]()
    for ending in ("answers", "silent"):
        shown = run_with(ending, php.talk)
        notes = [Note(0, "the original says\n“open” here", "bad")]
        for at, line in shown.lines:
            name = line[1 : line.index("]")].capitalize()
            notes.append(Note(at, name, "bad" if name.startswith("Not") else "good"))
        last, _ = shown.lines[-1]
        flights = [flight for flight in seen(shown.flights) if flight.sent < last]
        exchanges.append(Exchange(f"--server {ending}", flights, notes))
    text = (
        "Two exchanges. With a server that answers: after the handshake the client is opened,"
        " after the reply to authorize it is authorized, and then calls flow. With a silent"
        " server it is opened, and after five seconds it is said to be not ready. The original"
        " says open at the very beginning, before it has connected."
    )
    return _document("Opened, authorized, ready", text, exchanges, 2, (170, 40))


def who_ended_it() -> str:
    """Lesson 6: four causes, as they are seen on the line."""
    shown: dict[str, tuple[EndingName, str]] = {
        "us": ("answers", "This program said goodbye"),
        "server": ("closes-1000", "The server sent a Close"),
        "network": ("dies", "The bytes stopped without a Close"),
        "heartbeat": ("silent", "Nothing came for too long"),
    }
    exchanges = list[Exchange]()
    for by, (ending, meaning) in shown.items():
        ran = run_with(ending, java.talk)
        at, code = ran.at("[close]"), ran.said("[close]")[:4]
        bad = code == "1006"
        words = f"Closed: {code}\n{'not ' * bad}clean"
        note = Note(at, words, "bad" if bad else "good", cross=bad)
        flights = [f for f in seen(ran.flights) if f.sent < at or f.text.startswith("Close")]
        exchanges.append(Exchange(f"by: {by}. {meaning}", flights, [note]))
    text = (
        "Four exchanges between program and server. By us: our Close goes out, and the server's"
        " comes back. By server: the other way round. By network: the bytes end without a Close."
        " By heartbeat: two pings go out, and nothing comes back."
    )
    return _document("Who ended it?", text, exchanges, 2, (160, 40))


def a_clean_close_takes_two() -> str:
    """Lesson 7: between our Close and the server's nothing is known."""
    exchanges = list[Exchange]()
    for title, ran in (
        ("The server answers the Close", run_with("answers", rust.talk)),
        ("It does not answer", _unanswered()),
    ):
        at, clean = ran.at("[close]"), ran.said("[close]").startswith("clean")
        close = next(flight for flight in ran.flights if flight.text.startswith("Close"))
        known = f"Closed\n{ran.said('[close]')}"
        notes = [
            Note(close.sent, "the original says\n“closed cleanly”", "bad"),
            Note(at, known, "good" if clean else "bad", cross=not clean),
        ]
        flights = [flight for flight in seen(ran.flights) if flight.sent < at]
        exchanges.append(Exchange(title, flights, notes, [Stretch(close.sent, at, "hope")]))
    text = (
        "Two exchanges. The server answers our Close, and a round trip later it is known that"
        " the close was clean. Or no answer comes, and after two seconds it is known that it was"
        " not. In between nothing is known; the original says closed cleanly at the beginning of"
        " that time."
    )
    return _document("A clean close takes two", text, exchanges, 2, (170, 40))


def _unanswered() -> Run:
    """Run the program of lesson 7 with a server that freezes before the goodbye comes."""
    ran, talk = Run(), cast("Program", rust.talk)

    async def program() -> None:
        async with (
            open_simulator(port=None, start=START, faults=["freeze@0.65"]) as sim,
            open_wire(partial(sim.endpoint.open_stream, "", 0)) as wire,
        ):
            ran.flights = wire.flights
            await talk(wire)

    return run(program, seen=ran)


#: When the connection of lesson 14 is lost, and how that is called.
_MOMENTS: Final = {
    "never": "no loss",
    "before": "lost before it is executed",
    "after": "lost after it is executed",
}

#: What is written on the arrows of lesson 14.
_CALLED: Final = {"GET Upgrade": "connect", "time: reply": "reply", "buy: reply": "reply"}

_ENDINGS: Final = {"answered": "answered", "OutcomeUnknown": "Outcome\nUnknown"}


def calls_end_decided() -> str:
    """Lesson 14: a call that reads and one that buys; a loss before and after it is executed."""
    exchanges = [_one_call(name, moment) for name in calls.REQUESTS for moment in _MOMENTS]
    text = (
        "Six exchanges. The call that reads is answered each time: after a loss it is asked"
        " again on a new connection. The call that buys is never sent again: after a loss its"
        " outcome is unknown, whether the server has bought, as in the last one, or not."
    )
    return _document("What became of a call?", text, exchanges, 3, (82, 88))


def _one_call(name: str, moment: str) -> Exchange:
    """Make the call *name*, and lose the connection at that moment."""
    over, bought = list[Flight](), 0

    async def program() -> None:
        nonlocal over, bought
        async with open_wired(port=None, start=START) as sim:
            over = sim.endpoint.flights
            if moment != "never":
                getattr(sim.faults, f"lose_{moment}")(name)
            print(await calls.attempt(cast("Simulator", sim), name))
            bought = len(sim.ledger("VRTC1000001").transactions)

    ending = run(program).lines[0][1]
    flights = [each for each in over if _is_about(each, name, lost=moment != "never")]
    known = flights[-1].arrives
    notes = [
        Note(known, _ENDINGS[ending], "good" if ending == "answered" else "bad"),
        Note(known, f"bought: {bought}", server=True),
    ]
    for number, each in enumerate(flight for flight in flights if flight.text == name):
        executed = number or moment != "before"
        notes.append(Note(each.arrives, "executed" if executed else "not executed", server=True))
    flights = [attrs.evolve(each, text=_CALLED.get(each.text, each.text)) for each in flights]
    return Exchange(f"{name}: {_MOMENTS[moment]}", flights, notes, timed=False)


def _is_about(flight: Flight, name: str, *, lost: bool) -> bool:
    """Whether *flight* is of the call *name*, or of the loss of its connection."""
    if flight.text == "end":
        return lost and not flight.up and flight.connection == 1
    again = flight.text == "GET Upgrade" and flight.connection > 1
    return again or flight.text in (name, f"{name}: reply")
