"""What a picture of a run consists of, as data: rows, what stands in them, and what surrounds them.

`layout` makes it of a recording. `drawing`, `still` and `perfetto` show it.
"""

import attrs

from derivtrio.trace.outages import Outage
from derivtrio.trace.recording import Dots


@attrs.frozen
class Bar:
    """Something that lasts: `kind` is its colour, `name` stands in it, `text` explains it."""

    kind: str
    began: float
    ended: float
    name: str
    text: str


@attrs.frozen
class Mark:
    """Something that happens at one moment; `name` stands beside it, where there is room."""

    at: float
    kind: str
    text: str
    name: str = ""


@attrs.define(eq=False)
class Row:
    """One line of the picture; `text` explains its title."""

    title: str
    kind: str
    indent: int = 0
    bars: list[Bar] = attrs.field(factory=list)
    marks: list[Mark] = attrs.field(factory=list)
    live: Dots = attrs.field(factory=Dots)
    fetched: Dots = attrs.field(factory=Dots)
    text: str = ""


@attrs.frozen(eq=False)
class Frame:
    """What surrounds several rows for a time: a connection, or a nursery."""

    kind: str
    first: int
    last: int
    began: float
    ended: float
    name: str
    text: str


@attrs.define(eq=False)
class Section:
    """Rows that belong together."""

    title: str
    rows: list[Row] = attrs.field(factory=list)
    frames: list[Frame] = attrs.field(factory=list)
    outages: list[Outage] = attrs.field(factory=list)


@attrs.frozen(eq=False)
class Picture:
    """All of it, from the time `began` to the time `length`, in seconds."""

    length: float
    sections: list[Section]
    began: float = 0.0

    @property
    def span(self) -> float:
        """How much time it shows, in seconds."""
        return self.length - self.began

    @property
    def outages(self) -> list[Outage]:
        """All outages that it shows."""
        return [
            outage
            for section in self.sections
            for outage in section.outages
            if outage.ended is None or outage.ended >= self.began
        ]
