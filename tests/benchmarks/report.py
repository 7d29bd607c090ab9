"""The results as tables for people, and as JSON for programs."""

import json
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from tests.benchmarks.contest import Results
from tests.benchmarks.contestants import CONTESTANTS, DISPATCHER, GUIDE
from tests.benchmarks.promises import Medians, judged
from tests.benchmarks.scenarios import SCENARIOS, Figure

#: A server that is busy for so much of the time may be what is measured.
_BUSY: Final = 0.9


def medians(results: Results) -> Medians:
    """Return the median of each figure over the rounds."""
    return {
        scenario: {
            name: {key: median(score[key] for score in scores) for key in scores[0]}
            for name, scores in by_name.items()
        }
        for scenario, by_name in results.rounds.items()
    }


def written(results: Results) -> Iterator[str]:
    """Yield the report's lines."""
    middle = medians(results)
    yield f"{datetime.now(tz=UTC):%Y-%m-%d}, Python {platform.python_version()}"
    for name, versions in results.versions.items():
        yield f"  {name}: {', '.join(f'{k} {v}' for k, v in sorted(versions.items()))}"
    for scenario, scores in middle.items():
        yield ""
        rounds = max(len(done) for done in results.rounds[scenario].values())
        yield f"{scenario}: {SCENARIOS[scenario].title} (medians of {rounds})"
        yield from _table(scenario, scores)
        if held_up := [name for name, score in scores.items() if score.get("server", 0) > _BUSY]:
            yield f"  the server had no time to spare for: {', '.join(held_up)}"
    yield ""
    yield from judged(middle)
    yield from (f"failed: {failure}" for failure in results.failures)


def save(results: Results, file: Path) -> None:
    """Write everything to *file*, each round by itself."""
    content = {
        "date": f"{datetime.now(tz=UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "versions": results.versions,
        "medians": medians(results),
        "rounds": results.rounds,
        "failures": results.failures,
    }
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _table(scenario: str, scores: dict[str, dict[str, float]]) -> Iterator[str]:
    """Yield a line a client; ratios are to the guide's loop, or to the dispatcher's client."""
    base = GUIDE.name if GUIDE.name in scores else DISPATCHER.name
    figures = SCENARIOS[scenario].figures
    heads = [f"{figure.unit:>18} {'ratio':>6}" for figure in figures]
    yield f"  {'':32}{''.join(heads)}"
    for contestant in CONTESTANTS:
        score = scores.get(contestant.name)
        if score is None:
            continue
        cells = [_cell(figure, score, scores.get(base)) for figure in figures]
        yield f"  {contestant.name:32}{''.join(cells)}"


def _cell(figure: Figure, score: dict[str, float], base: dict[str, float] | None) -> str:
    value = score[figure.name]
    ratio = f"{value / base[figure.name]:.2f}" if base else ""
    return f"{f'{value:,.0f}' if value >= 1000 else f'{value:.3g}':>18} {ratio:>6}"
