"""A page of the site: HTML made from Markdown, with its headings, and links that stay right."""

import html
import os
import posixpath
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

import attrs
import markdown2
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound

from examples.site.contents import ROOT

_EXTRAS: Final = {
    "code-friendly": None,
    "cuddled-lists": None,
    "fenced-code-blocks": {"cssclass": "code"},
    "tables": None,
}
_HEADING: Final = re.compile(r"<h([1-6])(?: id=\"([^\"]*)\")?>(.*?)</h\1>", re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")
_INLINE: Final = re.compile(r"</?(?:a|code|em|span|strong)\b[^>]*>")


@attrs.frozen
class Heading:
    """A heading, and the text below it, up to the next one."""

    level: int
    anchor: str
    title: str
    text: str = attrs.field(repr=False)


@attrs.frozen
class Document:
    """A page; `path` is its file's place in the site, `part` the part of the site it is in."""

    path: str
    title: str
    body: str = attrs.field(repr=False)
    part: str | None = None
    headings: tuple[Heading, ...] = attrs.field(default=(), repr=False)


def document(path: str, body: str, part: str | None) -> Document:
    """Return the page with the HTML *body*; its headings get the anchors that GitHub gives them."""
    anchors: set[str] = set()

    def anchored(match: re.Match[str]) -> str:
        level, given, title = match.groups()
        anchor = given or slug(plain(title), anchors)
        anchors.add(anchor)
        link = f'<a class="anchor" href="#{anchor}" aria-label="link to this">#</a>'
        return f'<h{level} id="{anchor}">{title}{link if level != "1" else ""}</h{level}>'

    body = _HEADING.sub(anchored, body)
    found = tuple(_headings(body))
    return Document(path, found[0].title if found else path, body, part, found)


def _headings(body: str) -> list[Heading]:
    """Return the headings of a page, each with the text below it."""
    matches = list(_HEADING.finditer(body))
    ends = [match.start() for match in matches[1:]] + [len(body)]
    return [
        Heading(
            int(match[1]),
            match[2],
            plain(match[3].partition('<a class="anchor"')[0]),
            plain(body[match.end() : end]),
        )
        for match, end in zip(matches, ends, strict=True)
    ]


def slug(title: str, taken: set[str]) -> str:
    """Return the anchor that GitHub makes of a heading."""
    base = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
    numbered = (base if number == 0 else f"{base}-{number}" for number in range(len(taken) + 1))
    return next(anchor for anchor in numbered if anchor not in taken)


def plain(text: str) -> str:
    """Return the text of HTML, without tags, in one line."""
    return " ".join(html.unescape(_TAG.sub(" ", _INLINE.sub("", text))).split())


def as_html(markdown: str) -> str:
    """Return *markdown* as HTML. A wide table scrolls in a frame of its own."""
    text = re.sub(r"^```(console|ini|text|py)?$", _known_language, markdown, flags=re.MULTILINE)
    body = str(markdown2.markdown(text, extras=_EXTRAS))
    return body.replace("<table>", '<div class="table"><table>').replace(
        "</table>", "</table></div>"
    )


def _known_language(match: re.Match[str]) -> str:
    """Return a fence whose language Pygments colours well."""
    return f"```{ {'console': 'text', 'py': 'python'}.get(match[1], match[1] or '') }"


def of_source(path: Path) -> str:
    """Return a page that shows the file at *path*."""
    text = path.read_text(encoding="utf-8")
    title = f"<h1>{html.escape(place_of(path))}</h1>\n"
    try:
        lexer = get_lexer_for_filename(path.name)
    except ClassNotFound:
        return f"{title}<pre>{html.escape(text)}</pre>"
    return title + str(highlight(text, lexer, HtmlFormatter(cssclass="code")))


def of_folder(path: Path) -> str:
    """Return a page that lists the files in the folder *path*."""
    files = sorted(file.name for file in path.iterdir() if file.suffix in (".py", ".md"))
    rows = "".join(f'<li><a href="{name}">{name}</a></li>' for name in files)
    return f"<h1>{html.escape(place_of(path))}/</h1>\n<ul>{rows}</ul>"


def place_of(path: Path) -> str:
    """Return where *path* is in the repository."""
    return path.resolve().relative_to(ROOT).as_posix()


def address(path: Path) -> str:
    """Return the place in the site of a file or folder of the repository."""
    place = PurePosixPath(place_of(path))
    if path.is_dir():
        return str(place / "index.html")
    if place.suffix != ".md":
        return f"{place}.html"
    name = "index" if place.stem == "README" else place.stem
    return str(place.with_name(f"{name}.html"))


def relinked(body: str, source: Path, wanted: Callable[[Path], None]) -> str:
    """Return *body* with links that fit the site; tell *wanted* of each file that they lead to."""
    here = posixpath.dirname(address(source))
    folder = source if source.is_dir() else source.parent

    def link(match: re.Match[str]) -> str:
        target, hash_sign, anchor = html.unescape(match[2]).partition("#")
        if not target or re.match(r"\w+:", target):
            return match[0]
        path = Path(os.path.normpath(folder / target))
        wanted(path)
        there = place_of(path) if match[1].startswith("src") else address(path)
        return f'{match[1]}="{posixpath.relpath(there, here or ".")}{hash_sign}{anchor}"'

    return re.sub(r'(\bhref|\bsrc|\bsrcset)="([^"]*)"', link, body)
