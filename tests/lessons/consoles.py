"""The logs in the lessons' pages, and the programs that print them.

`python -m tests.lessons.consoles` runs every command and writes what it prints into the pages;
with names of lessons, only theirs.

A block of the language `console` has commands, each after `$ `, and under each what it prints, on
standard output. `^C` in a line of its own is where Ctrl-C is pressed.
"""

import io
import re
import runpy
import signal
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path

import attrs

from tests.served import finished, line, started

ROOT = Path(__file__).parents[2]
LESSONS = ROOT / "examples" / "lessons"


@attrs.frozen
class Run:
    """A command of a page, and the lines under it."""

    page: Path
    command: str
    shown: tuple[str, ...] = attrs.field(repr=False)

    def __str__(self) -> str:
        return self.command

    def printed(self) -> tuple[str, ...]:
        """Run the command, and return what it prints."""
        if "^C" in self.shown:
            return self._interrupted()
        if ".supervisor " in self.command:
            # trio-websocket leaves a socket unclosed, which pytest would complain about in here.
            return tuple(finished(*self.command.split()[1:]).stdout.splitlines())
        return tuple(output_of(self.command).splitlines())

    def _interrupted(self) -> tuple[str, ...]:
        """Run it in a process of its own; press Ctrl-C after the lines that stand above it."""
        with started(*self.command.split()[1:]) as process:
            above = [line(process) for _ in range(self.shown.index("^C"))]
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
        assert (process.returncode, err) == (130, "")
        return (*above, "^C", *out.splitlines())


def output_of(command: str) -> str:
    """Run `python -m MODULE …` in this process, and return what it prints."""
    python, m, module, *arguments = command.split()
    assert (python, m) == ("python", "-m"), command
    output, before = io.StringIO(), sys.argv
    sys.argv = [module, *arguments]
    try:
        with redirect_stdout(output), suppress(SystemExit):
            runpy.run_module(module, run_name="__main__")
    finally:
        sys.argv = before
    return output.getvalue()


def blocks(page: Path) -> list[str]:
    """Return the text of each console block of *page*."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def runs(page: Path) -> list[Run]:
    """Return the commands of *page*."""
    found = []
    for block in blocks(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.rstrip("\n").split("\n")
            found.append(Run(page, command, tuple(shown)))
    return found


def pages() -> list[Path]:
    """Return the page of each lesson."""
    return sorted(LESSONS.glob("*/README.md"))


def renew(page: Path) -> None:
    """Write what the commands of *page* print under them."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        fresh = []
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = part.rstrip("\n").split("\n")
            fresh += [f"$ {command}", *Run(page, command, tuple(shown)).printed()]
        text = text.replace(f"```console\n{block}```", "```console\n" + "\n".join(fresh) + "\n```")
    page.write_text(text, encoding="utf-8")


def main() -> None:
    """Renew the pages that are named, or all."""
    for page in [LESSONS / name / "README.md" for name in sys.argv[1:]] or pages():
        renew(page)


if __name__ == "__main__":
    main()
