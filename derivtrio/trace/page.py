"""The page: the picture, why the client reconnected, and what the colours mean, in one file.

It loads nothing: its style and its script are in it, and a policy in its head forbids the rest.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final
from xml.sax.saxutils import escape

from derivtrio.trace.drawing import KINDS, STYLE, svg, texts_of, unit_of
from derivtrio.trace.layout import arranged
from derivtrio.trace.outages import seconds
from derivtrio.trace.picture import Picture
from derivtrio.trace.recording import Recording
from derivtrio.wording import counted, printable

_FOLDER: Final = files("derivtrio.trace")

#: From how many seconds on the script's axis has hours, minutes and seconds.
_CLOCK: Final = 120

#: The page's scripts, in their order.
SCRIPTS: Final = ("page.js", "keys.js", "paper.js")

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(recording: Recording) -> str:
    """Return the page for *recording*, which needs nothing else."""
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>derivtrio: {moment(recording.began_wall):%Y-%m-%d %H:%M:%S} UTC</title>\n"
        f"<style>\n{style()}</style>"
    )
    script = f"<script>\n{''.join(map(text_of, SCRIPTS))}</script>"
    return document(head, fragments(arranged(recording), recording), script)


def style() -> str:
    """Return the style of the page, and of the picture in it."""
    return f"{STYLE}{text_of('page.css')}"


def text_of(name: str) -> str:
    """Return a file of this folder."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def moment(wall: float) -> datetime:
    """Return a time in UTC."""
    return datetime.fromtimestamp(wall, UTC)


def document(head: str, parts: Mapping[str, str], script: str, top: str = "") -> str:
    """Return the page with these `fragments`; *head* has its title and style."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{head}
</head>
<body>
{top}
<header id="head">
{parts["head"]}
</header>
<section id="why">{parts["why"]}</section>
<div id="tools">
<button id="in" title="zoom in (+)">+</button>
<button id="out" title="zoom out (-)">&minus;</button>
<button id="fit" title="show all (0)">all</button>
<span id="range"></span>
<span class="hint">Drag, or &larr; &rarr;, to move; Ctrl and the wheel, or + &minus; 0, to zoom.
Point at anything to read what it is; by keyboard, &uarr; &darr; choose a row, N and P the next and
the previous thing in it.</span>
</div>
<div id="frame" tabindex="0" role="group" aria-label="time line">
{parts["frame"]}
</div>
{_legend()}
<ul id="left-out">{parts["left-out"]}</ul>
<div id="tip" role="tooltip" aria-live="polite"></div>
{script}
</body>
</html>
"""


def fragments(picture: Picture, recording: Recording, data: str = "") -> dict[str, str]:
    """Return what depends on *recording*, by the id of the element that it is in.

    *data* are more attributes of the picture.
    """
    return {
        "head": _head(picture, recording),
        "why": _reasons(picture, recording),
        "frame": svg(picture, data),
        "left-out": texts_of(recording.left_out()),
    }


def _head(picture: Picture, recording: Recording) -> str:
    shown = seconds(picture.span)
    if picture.began:
        shown = f"The last {shown} of {seconds(picture.length)}"
    return (
        f"<h1>{shown} of a program with derivtrio</h1>\n"
        f"<p>Recorded from {moment(recording.began_wall):%Y-%m-%d %H:%M:%S} UTC."
        f" {escape(_summary(recording))}</p>"
    )


def _summary(recording: Recording) -> str:
    """Return how much there was of what."""
    streams = [stream for client in recording.clients for stream in client.streams.values()]
    live = sum(sum(stream.live.counts) for stream in streams)
    fetched = sum(sum(stream.fetched.counts) for stream in streams)
    calls = sum(len(client.calls) + client.calls.left_out for client in recording.clients)
    return (
        f"{counted(len(recording.clients), 'client')}, {counted(len(streams), 'stream')}:"
        f" {counted(live, 'message')} came live, {counted(fetched, 'item', 'was')} fetched from the"
        f" history, {counted(calls, 'call', 'was')} made."
    )


def _reasons(picture: Picture, recording: Recording) -> str:
    """Return a button for each outage, with its sentence; pressing it shows the outage."""
    if not recording.clients:
        return "<p>No client was opened.</p>"
    if not picture.outages:
        return "<p>The connection never broke.</p>"
    unit, items = unit_of(picture.span), []
    several = sum(bool(section.outages) for section in picture.sections) > 1
    for section in picture.sections:
        whose = f"{escape(printable(section.title))}, " if several else ""
        for number, outage in enumerate(section.outages, 1):
            end = picture.length if outage.ended is None else outage.ended
            if end < picture.began:
                continue
            first, last = (max(0, at - picture.began) / unit for at in (outage.began, end))
            items.append(
                f'<li><button data-from="{first:.0f}" data-to="{last:.0f}">'
                f"{whose}outage {number}</button> <b>{_when(outage.began, picture, recording)}</b>"
                f" {escape(outage.sentence)}</li>"
            )
    return f"<h2>Why did it reconnect?</h2><ul>{''.join(items)}</ul>"


def _when(at: float, picture: Picture, recording: Recording) -> str:
    """Return a time as the axis has it: since the beginning, or the time of day."""
    if recording.last is not None:
        return f"{moment(recording.began_wall + at):%H:%M:%S} UTC"
    if picture.length < _CLOCK:
        return f"{at:.1f} s"
    days, rest = divmod(int(at), 86_400)
    day = f"{days} d " if days else ""
    return f"{day}{rest // 3600:02}:{rest % 3600 // 60:02}:{rest % 60:02}"


def _legend() -> str:
    items = [f'<li><i class="{kind}"></i>{text}</li>' for kind, text in KINDS.items()]
    return f'<ul id="legend">{"".join(items)}</ul>'
