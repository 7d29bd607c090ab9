"""Make the pictures, or check them: see the package."""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from examples.pictures import exchanges, long_runs, plots, scopes, states, turns
from tests.drawing import drawing

ROOT: Final = Path(__file__).parents[2]

#: The pictures of the lessons, each in the lesson's folder.
LESSONS: Final[dict[str, Callable[[], str]]] = {
    "javascript": states.one_loop,
    "python": scopes.a_block_is_a_lifetime,
    "php": exchanges.open_when_it_is_true,
    "csharp": scopes.scopes_cannot_be_forgotten,
    "swift": scopes.deadlines_belong_to_the_caller,
    "java": exchanges.who_ended_it,
    "rust": exchanges.a_clean_close_takes_two,
    "perl": scopes.who_keeps_this_alive,
    "c": turns.what_runs_next,
    "go": turns.shutdown_has_an_order,
    "silence": long_runs.silence_is_not_health,
    "supervisor": scopes.a_loop_around_a_nursery,
    "backoff": plots.a_thousand_clients,
    "calls": exchanges.calls_end_decided,
    "channels": plots.who_waits_and_what_is_lost,
    "continuity": plots.each_once_and_in_order,
    "time": long_runs.a_month,
    "capstone": long_runs.a_bot_and_its_books,
}


def contributing() -> str:
    """Return CONTRIBUTING.md with today's drawing of the tasks."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    fresh = f"<!-- drawing -->\n```\n{drawing()}\n```"
    return re.sub(r"<!-- drawing -->\n```\n.*?\n```", lambda _: fresh, text, flags=re.DOTALL)


#: Every picture by its name: where it is, and what makes the file.
PICTURES: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "README": ("examples/pictures/reconnect.svg", long_runs.a_reconnect),
    "CONTRIBUTING": ("CONTRIBUTING.md", contributing),
    **{name: (f"examples/lessons/{name}/picture.svg", make) for name, make in LESSONS.items()},
}


def stale(name: str) -> str | None:
    """Return how to renew the picture *name*, with the name of its file; None if it is fresh."""
    file, make = PICTURES[name]
    path = ROOT / file
    if path.exists() and path.read_text(encoding="utf-8") == make():
        return None
    return f"{file} is stale: python -m examples.pictures {name}"


def main() -> int:
    """Read the command line; make or check the pictures; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m examples.pictures")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--check", action="store_true", help="say which are stale, write nothing")
    options = parser.parse_args()
    if unknown := set(options.names) - set(PICTURES):
        parser.error(f"there is no picture of {', '.join(sorted(unknown))}")
    names = options.names or list(PICTURES)
    if options.check:
        found = [text for text in map(stale, names) if text is not None]
        print(*(found or ["All pictures are fresh."]), sep="\n")
        return int(bool(found))
    for name in names:
        file, make = PICTURES[name]
        (ROOT / file).write_text(make(), encoding="utf-8")
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
