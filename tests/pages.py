"""The pages of the documentation, README.md and the guide, and the code on them."""

import re
import shlex
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "examples" / "guide"

#: What stands for the live server in programs; tests put a simulator in its place.
LIVE_URL = "wss://api.derivws.com/trading/v1/options/ws/public"


@attrs.frozen
class Block:
    """Code between two fences; `line` is where its text begins on the page, counted from 1."""

    page: str
    line: int
    language: str
    text: str = attrs.field(repr=False)

    @property
    def is_program(self) -> bool:
        """Whether it is whole. Any other code stands in a function that has a client."""
        return self.text.startswith("import ")

    @property
    def needs_rest(self) -> bool:
        """Whether it asks a REST API for a URL, and so needs a server on TCP."""
        return "OptionsAccount(" in self.text

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@attrs.frozen
class Page:
    """A page; `name` is its path from the root of the repository."""

    name: str
    text: str = attrs.field(repr=False)

    @property
    def folder(self) -> Path:
        """Where its links start from."""
        return (ROOT / self.name).parent

    def blocks(self, language: str) -> list[Block]:
        """Return its blocks of *language*, in their order."""
        found = re.finditer(rf"^```{language}\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        return [
            Block(self.name, self.text.count("\n", 0, match.start(1)) + 1, language, match[1])
            for match in found
        ]

    def commands(self) -> list[str]:
        """Return the lines of its shell blocks."""
        return [line for block in self.blocks("sh") for line in block.text.splitlines()]

    def command(self, begin: str) -> list[str]:
        """Return the one command on the page that begins so, as arguments of Python."""
        (line,) = (line for line in self.commands() if line.startswith(begin))
        return ["-m", *shlex.split(line)]

    def links(self) -> list[str]:
        """Return the targets of its links that are files, without the part after `#`."""
        targets = re.findall(r"\]\(([^)#]+)[^)]*\)", self.text)
        return [target for target in targets if "://" not in target]


def read(path: Path) -> Page:
    """Return the page in the file at *path*."""
    return Page(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))


README = read(ROOT / "README.md")
PAGES = [README, *(read(path) for path in sorted(GUIDE.glob("*.md")))]
CODE = [block for page in PAGES for block in page.blocks("python")]
