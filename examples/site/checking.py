"""Reads the built site, and says what is wrong: dead links, and what only a network has."""

import os
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import attrs

#: Attributes by which a page loads something.
_LOADING = {("img", "src"), ("script", "src"), ("link", "href"), ("source", "srcset")}


@attrs.define
class _Reader(HTMLParser):
    """Gathers the anchors of a page, its links, and what it loads."""

    anchors: set[str] = attrs.field(factory=set)
    links: list[str] = attrs.field(factory=list)
    loaded: list[str] = attrs.field(factory=list)

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id" and value:
                self.anchors.add(value)
            elif (tag, name) in _LOADING and value is not None:
                self.loaded.append(value)
            elif name == "href" and value is not None:
                self.links.append(value)


def faults(out: Path) -> list[str]:
    """Return what is wrong with the site in the folder *out*, one sentence each."""
    read: dict[Path, _Reader] = {}
    for path in sorted(out.rglob("*.html")):
        read[path] = _Reader()
        read[path].feed(path.read_text(encoding="utf-8"))
    found = [text for path, page in read.items() for text in _of_page(out, path, page, read)]
    styles = "".join(path.read_text(encoding="utf-8") for path in out.glob("*.css"))
    if "url(" in styles or "@import" in styles:
        found.append("the style sheet loads something")
    return found


def _of_page(out: Path, path: Path, page: _Reader, read: dict[Path, _Reader]) -> Iterator[str]:
    here = path.relative_to(out)
    for target in page.loaded:
        parts = urlsplit(target)
        if parts.scheme != "data" and (parts.netloc or not (path.parent / parts.path).is_file()):
            yield f"{here} loads {target}, which is not in the site"
    for target in page.links:
        parts = urlsplit(target)
        if parts.scheme:
            continue
        there = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
        if there not in read and not there.is_file():
            yield f"{here} leads to {target}, which does not exist"
        elif parts.fragment and parts.fragment not in read[there].anchors:
            yield f"{here} leads to {target}, which has no such heading"
