"""Writes the site: pages in their frame, the sources that they lead to, the search's index."""

import json
import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pygments.formatters import HtmlFormatter

from examples.site import reference
from examples.site.contents import REFERENCE, ROOT, pages
from examples.site.documents import (
    Document,
    address,
    as_html,
    document,
    of_folder,
    of_source,
    place_of,
    relinked,
)

HERE: Final = Path(__file__).parent

#: What may be a public name, in text and in a signature.
_NAME: Final = re.compile(r"<(code|strong)>([^<]*?):?</\1>")
_TYPE: Final = re.compile(r'(<span class="n">)([A-Z]\w+)</span>')

#: Kinds of files that are copied as they are.
_PICTURES: Final = (".svg", ".png", ".gif", ".jpg")


def build(out: Path) -> None:
    """Write the site into the folder *out*."""
    site = Site()
    site.collect()
    for page in site.documents:
        _write(out / page.path, site.framed(page))
    for picture in sorted(site.pictures):
        target = out / place_of(picture)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, target)
    _write(out / "site.css", (HERE / "site.css").read_text(encoding="utf-8") + _colours())
    _write(out / "site.js", (HERE / "site.js").read_text(encoding="utf-8"))
    _write(out / "search.js", f"window.searchIndex = {json.dumps(list(site.index()))};\n")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _colours() -> str:
    """Return the colours of code, for light and dark."""
    light = HtmlFormatter(style="xcode").get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark").get_style_defs(".code")
    both = f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"
    plain = ".code, .code .err { background: none; border: 0; color: inherit; }\n"
    return both + plain + "pre.code { background: var(--raised); border: 1px solid var(--line); }\n"


@attrs.define
class Site:
    """All pages, as they are gathered."""

    documents: list[Document] = attrs.field(factory=list)
    pictures: set[Path] = attrs.field(factory=set)
    wanted: list[Path] = attrs.field(factory=list)
    names: dict[str, str] = attrs.field(factory=reference.known_names)
    frame: Any = attrs.field(factory=lambda: _environment().get_template("frame.html"))

    def collect(self) -> None:
        """Gather the pages, then every file of the repository that one of them leads to."""
        for part, sources in pages().items():
            if part == "Lessons":
                self._collect_reference()
            for source in sources:
                self._add(source, as_html(source.read_text(encoding="utf-8")), part)
        known = {page.path for page in self.documents}
        for path in self.wanted:
            if address(path) not in known:
                known.add(address(path))
                self._add_file(path)

    def _collect_reference(self) -> None:
        self._add_reference("index", self._all_names())
        for group in REFERENCE:
            self._add_reference(group.page, reference.page(group))

    def _add(self, source: Path, body: str, part: str | None) -> None:
        place = address(source)
        body = self._with_names(relinked(body, source, self._want), place)
        self.documents.append(document(place, body, part))

    def _add_reference(self, page: str, body: str) -> None:
        """Add a page that has no source in the repository; its links are those of a file there."""
        place = f"reference/{page}.html"
        parts = re.split(r'(href="\.\./(?!reference/)[^"#]*")', self._with_names(body, place))
        for index, text in enumerate(parts):
            if index % 2:
                path = ROOT / text[len('href="../') : -1]
                self._want(path)
                parts[index] = f'href="../{address(path)}"'
        self.documents.append(document(place, "".join(parts), "Reference"))

    def _want(self, path: Path) -> None:
        if path.suffix in _PICTURES:
            self.pictures.add(path)
        elif path.exists():
            self.wanted.append(path)

    def _add_file(self, path: Path) -> None:
        index = path / "README.md" if path.is_dir() else path
        if path.is_dir():
            self._add(path, of_folder(path), None)
        elif index.suffix == ".md":
            self._add(path, as_html(path.read_text(encoding="utf-8")), None)
        else:
            self.documents.append(document(address(path), of_source(path), None))

    def _with_names(self, body: str, place: str) -> str:
        """Return *body* in which public names lead to the reference."""
        here = posixpath.dirname(place) or "."

        def link(match: re.Match[str]) -> str:
            target = self._place_of_name(match[2], place)
            if target is None:
                return match[0]
            there, _, anchor = target.partition("#")
            return f'<a href="{posixpath.relpath(there, here)}#{anchor}">{match[0]}</a>'

        parts = re.split(r"(<pre.*?</pre>|<a .*?</a>|<h[1-6].*?</h[1-6]>)", body, flags=re.DOTALL)
        for index, text in enumerate(parts):
            if text.startswith('<pre class="signature'):
                parts[index] = _TYPE.sub(link, text)
            elif index % 2 == 0:
                parts[index] = _NAME.sub(link, text)
        return "".join(parts)

    def _place_of_name(self, text: str, place: str) -> str | None:
        """Return where the reference has the name that *text* begins with; None if it has not."""
        name = re.sub(r"[({].*", "", text, flags=re.DOTALL)
        name = re.sub(r"^(await |async with )?(derivtrio\.)?", "", name)
        name = re.sub(r"^client\.", "Client.", name)
        if not re.fullmatch(r"[A-Za-z_][\w.]*", name):
            return None
        own = self.names.get(f"{place.removeprefix('reference/').removesuffix('.html')}.{name}")
        if own is None and name == text and re.fullmatch("[a-z]+", name):
            return None  # `record` may be the command, and `run` anything
        of_class = self.names.get(name.partition(".")[0]) if name[0].isupper() else None
        return own or self.names.get(name) or of_class

    def _all_names(self) -> str:
        """Return the index of the reference."""
        rows = []
        for group in REFERENCE:
            names = ", ".join(f"`{shown.name}`" for shown in reference.entries(group))
            rows.append(f"| [{group.title}]({group.page}.html) | {names} |")
        table = "\n".join(["| page | names |", "|---|---|", *rows])
        return f"<h1>All names</h1>\n{as_html(_ABOUT)}\n{as_html(table)}"

    def framed(self, page: Document) -> str:
        """Return the whole page."""
        up = posixpath.relpath(".", posixpath.dirname(page.path) or ".") + "/"
        parts: dict[str, list[Document]] = {}
        for other in self.documents:
            if other.part is not None:
                parts.setdefault(other.part, []).append(other)
        sections = [heading for heading in page.headings if heading.level in (2, 3)]
        shown = self.frame.render(
            page=page,
            up="" if up == "./" else up,
            parts=parts,
            body=Markup(page.body),  # noqa: S704 - ours
            sections=sections if len(sections) > 1 else [],
        )
        return str(shown)

    def index(self) -> Iterator[dict[str, str]]:
        """Yield what the search knows of each section."""
        for page in self.documents:
            for heading in page.headings if page.part is not None else ():
                anchor = "" if heading.level == 1 else f"#{heading.anchor}"
                yield {
                    "title": heading.title,
                    "page": page.title,
                    "url": page.path + anchor,
                    "text": heading.text,
                }


_ABOUT: Final = """\
Every public name, with its signature and what it promises. *Cancellation* says what becomes of a
call that is cancelled, *Raises* which errors it ends with. Durations are in seconds."""


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
