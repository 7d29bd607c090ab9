"""The page: the picture, why the client reconnected, and what the colours mean, in one file.

It loads nothing: its style and its script are in it, and a policy in its head forbids the rest.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from derivtrio.trace.drawing import KINDS, STYLE, svg, texts_of, unit_of
from derivtrio.trace.layout import Picture, arranged
from derivtrio.trace.outages import seconds
from derivtrio.trace.recording import Recording

_FOLDER: Final = Path(__file__).parent

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(recording: Recording) -> str:
    """Return the page for *recording*."""
    picture = arranged(recording)
    style = f"{STYLE}{(_FOLDER / 'page.css').read_text(encoding='utf-8')}"
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    began = datetime.fromtimestamp(recording.began_wall, UTC)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>derivtrio: {began:%Y-%m-%d %H:%M:%S} UTC</title>
<style>
{style}</style>
</head>
<body data-length="{picture.length:.3f}">
<header>
<h1>{seconds(picture.length)} of a program with derivtrio</h1>
<p>Recorded from {began:%Y-%m-%d %H:%M:%S} UTC. {escape(_summary(recording))}</p>
</header>
{_reasons(picture)}
<div id="tools">
<button id="in" title="zoom in (+)">+</button>
<button id="out" title="zoom out (-)">&minus;</button>
<button id="fit" title="show all (0)">all</button>
<span id="range"></span>
<span class="hint">Drag to move; Ctrl and the wheel, or + and &minus;, to zoom; point at anything
to read what it is.</span>
</div>
<div id="frame">
{svg(picture)}
</div>
{_legend()}
{_left_out(recording)}
<div id="tip" role="tooltip"></div>
<script>
{script}</script>
</body>
</html>
"""


def _summary(recording: Recording) -> str:
    """Return how much there was of what."""
    streams = [stream for client in recording.clients for stream in client.streams.values()]
    live = sum(sum(stream.live.counts) for stream in streams)
    fetched = sum(sum(stream.fetched.counts) for stream in streams)
    calls = sum(len(client.calls) + client.calls.left_out for client in recording.clients)
    return (
        f"{len(recording.clients)} client{'s' * (len(recording.clients) != 1)},"
        f" {len(streams)} stream{'s' * (len(streams) != 1)}: {live:,} messages came live,"
        f" {fetched:,} items were fetched from the history, {calls:,} calls were made."
    )


def _reasons(picture: Picture) -> str:
    """Return a button for each outage, with its sentence; pressing it shows the outage."""
    if not picture.outages:
        return '<section id="why"><p>The connection never broke.</p></section>'
    unit, items = unit_of(picture.length), []
    for section in picture.sections:
        for number, outage in enumerate(section.outages, 1):
            end = picture.length if outage.ended is None else outage.ended
            items.append(
                f'<li><button data-from="{outage.began / unit:.0f}" data-to="{end / unit:.0f}">'
                f"outage {number}</button> <b>{seconds(outage.began)}</b>"
                f" {escape(outage.sentence)}</li>"
            )
    return f'<section id="why"><h2>Why did it reconnect?</h2><ul>{"".join(items)}</ul></section>'


def _legend() -> str:
    items = [f'<li><i class="{kind}"></i>{text}</li>' for kind, text in KINDS.items()]
    return f'<ul id="legend">{"".join(items)}</ul>'


def _left_out(recording: Recording) -> str:
    lines = recording.left_out()
    return f'<ul id="left-out">{texts_of(lines)}</ul>' if lines else ""
