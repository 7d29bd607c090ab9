"""What all runs together have done: a file with a line for each seed, and the table made of it.

`python -m tests.chaos --totals FILE` adds the lines; `python -m tests.chaos.totals FILE …` prints
the table. With `--page PAGE` it is also written into the page, where the last one stands.
"""

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from tests.chaos.run import Result

_DAY: Final = 86_400

#: What the kinds of figures begin with that are counted together.
_ITEMS: Final = ("ticks", "candles", "balance", "transactions", "contract", "contracts", "proposal")
_ASKED: Final = ("buy", "sell", "call", "portfolio", "guard", "wait", "reconnect")

#: What stands around the table in a page.
_BLOCK: Final = re.compile(r"(?<=<!-- chaos totals -->\n```text\n).*?(?=```\n)", re.DOTALL)


@attrs.define(eq=False)
class Totals:
    """The figures of many seeds; *virtual* and *processor* are in seconds."""

    seeds: int = 0
    failed: int = 0
    connections: int = 0
    virtual: float = 0.0
    processor: float = 0.0
    steps: int = 0
    figures: Counter[str] = attrs.field(factory=Counter)
    faults: Counter[str] = attrs.field(factory=Counter)

    def add(self, line: dict[str, Any]) -> None:
        """Add what one seed did."""
        self.seeds += 1
        self.failed += line["finding"] is not None
        self.connections += line["connections"]
        self.virtual += line["virtual"]
        self.processor += line["processor"]
        self.steps += line["steps"]
        self.figures.update(line["figures"])
        self.faults.update(line["faults"])

    def rows(self) -> Iterator[tuple[str, str]]:
        """Yield what was counted, and how much."""
        figures = self.figures
        yield "seeds", f"{self.seeds:,}"
        yield "simulated days", f"{self.virtual / _DAY:,.1f}"
        yield "processor time", f"{self.processor / 60:,.0f} minutes"
        yield "steps (faults, work, calms)", f"{self.steps:,}"
        yield "faults", f"{self.faults.total():,}, of {len(self.faults)} kinds"
        yield "connections", f"{self.connections:,}"
        for kind in _ITEMS:
            yield f"{kind} received", f"{figures[kind]:,}"
        for kind in _ASKED:
            start = f"{kind} "
            ends = {name[len(start) :]: figures[name] for name in figures if name.startswith(start)}
            more = ", ".join(f"{count:,} {end}" for end, count in sorted(ends.items()))
            yield kind, f"{sum(ends.values()):,} ({more})"
        yield "looked up by reconcile", f"{sum(_with(figures, 'cleared up: ')):,}"
        yield "gaps reported", f"{figures['gaps']:,}"
        yield "seeds that failed", f"{self.failed:,}"

    def __str__(self) -> str:
        return "".join(f"{name:<28}{value}\n" for name, value in self.rows())


def line_of(result: Result, days: float) -> str:
    """Return what is written of one seed, whose plan was for so many *days*."""
    finding = None if result.finding is None else str(result.finding)
    told = {
        "seed": result.plan.seed,
        "days": days,
        "finding": finding,
        "connections": result.connections,
        "virtual": result.virtual,
        "processor": result.processor,
        "steps": len(result.plan.steps),
        "figures": result.figures,
        "faults": result.faults,
    }
    return json.dumps(told, separators=(",", ":")) + "\n"


def totals_of(lines: Iterable[str]) -> Totals:
    """Return the sum of *lines*. Of a seed that was played again, the last line counts."""
    told = (json.loads(line) for line in lines)
    totals = Totals()
    for line in {(line["seed"], line["days"]): line for line in told}.values():
        totals.add(line)
    return totals


def with_table(page: str, totals: Totals) -> str:
    """Return *page* with the table of *totals* in place of the last one."""
    return _BLOCK.sub(lambda _: str(totals), page)


def _with(figures: Counter[str], start: str) -> Iterator[int]:
    return (count for name, count in figures.items() if name.startswith(start))


def main() -> None:
    """Print the table, and write it into a page if one is named."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.totals", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--page", type=Path, help="write the table into this page, too")
    given = parser.parse_args()
    totals = totals_of(line for file in given.files for line in file.read_text().splitlines())
    sys.stdout.write(str(totals))
    if given.page is not None:
        given.page.write_text(with_table(given.page.read_text(), totals))


if __name__ == "__main__":
    main()
