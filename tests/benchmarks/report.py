"""The results as tables for people, and as JSON for programs."""

import json
import platform
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.benchmarks.contest import Results
from tests.benchmarks.contestants import DISPATCHER, GUIDE
from tests.benchmarks.medians import medians, ratio
from tests.benchmarks.promises import judged
from tests.benchmarks.scenarios import SCENARIOS, Figure

#: A server that is busy for so much of the time may be what is measured.
_BUSY: Final = 0.9

Scores = dict[str, list[dict[str, float]]]


def written(results: Results) -> Iterator[str]:
    """Yield the report's lines."""
    yield f"{_today()}, Python {platform.python_version()}"
    yield from _versions(results)
    for name, scenario in SCENARIOS.items():
        scores = results.rounds.get(name)
        if scores is None:
            continue
        yield ""
        yield f"{name}: {scenario.title} (medians of {max(map(len, scores.values()))})"
        yield from _table(results, name)
    yield ""
    yield from judged(results.rounds, results.checkouts)
    yield from (f"failed: {failure}" for failure in results.failures)


def save(results: Results, file: Path) -> None:
    """Write everything to *file*, each round by itself."""
    content = {
        "date": _today(),
        "python": platform.python_version(),
        "versions": results.versions,
        "medians": medians(results.rounds),
        "rounds": results.rounds,
        "failures": results.failures,
    }
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _today() -> str:
    return f"{datetime.now(tz=UTC):%Y-%m-%d}"


def _versions(results: Results) -> Iterator[str]:
    for contestant in results.contestants:
        versions = results.versions.get(contestant.name, {})
        if contestant.source is not None:
            versions = versions | {"derivtrio": _commit(contestant.source)}
        yield f"  {contestant.name}: {', '.join(f'{k} {v}' for k, v in sorted(versions.items()))}"


def _commit(source: Path) -> str:
    """Return which commit the checkout *source* is at, and whether it has been changed since."""
    command = ["git", "-C", str(source), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "from no repository"
    return asked.stdout.strip()


def _table(results: Results, scenario: str) -> Iterator[str]:
    """Yield a line a client; ratios are to the guide's loop, or to the dispatcher's client."""
    scores, middle = results.rounds[scenario], medians(results.rounds)[scenario]
    base = scores.get(GUIDE.name if GUIDE.name in scores else DISPATCHER.name)
    figures = SCENARIOS[scenario].figures
    width = max(len(contestant.name) for contestant in results.contestants)
    heads = [f"{figure.unit:>18} {'ratio':>6}" for figure in figures]
    yield f"  {'':{width}}{''.join(heads)}"
    names = [c.name for c in results.contestants if c.name in scores]
    for name in names:
        cells = [_cell(figure, middle[name][figure.name], scores[name], base) for figure in figures]
        yield f"  {name:{width}}{''.join(cells)}"
    if held_up := [name for name in names if middle[name].get("server", 0) > _BUSY]:
        yield f"  the server had no time to spare for: {', '.join(held_up)}"


def _cell(
    figure: Figure,
    value: float,
    scores: list[dict[str, float]],
    base: list[dict[str, float]] | None,
) -> str:
    times = f"{ratio(scores, base, figure.name):.2f}" if base else ""
    return f"{f'{value:,.0f}' if value >= 1000 else f'{value:.3g}':>18} {times:>6}"
