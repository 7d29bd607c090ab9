"""The reference: each public name with its signature and its docstring."""

import enum
import html
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Final

import attrs
import pdoc.docstrings

from derivtrio.api.catalog import PUBLISHED, entry
from examples.site import signatures
from examples.site.contents import REFERENCE, Names, names_of
from examples.site.documents import as_html, place_of

#: Kinds of descriptors that are documented as a member.
_MEMBERS: Final = (property, classmethod, staticmethod)


class Undocumented(ValueError):
    """A public name has no docstring."""


@attrs.frozen
class Member:
    """A method or a property of a class."""

    name: str
    signature: str
    about: str


@attrs.frozen
class Entry:
    """A public name as the reference shows it; `members` are those of a class."""

    name: str
    kind: str
    signature: str
    about: str
    source: Path
    members: tuple[Member, ...] = ()


def entries(group: Names) -> Iterator[Entry]:
    """Yield what stands on the page *group*.

    Raises:
        Undocumented: a name, or a member of it, has no docstring.

    """
    module = importlib.import_module(group.module)
    for name in names_of(group):
        yield _entry(module, name)


def _entry(module: ModuleType, name: str) -> Entry:
    thing = getattr(module, name)
    if inspect.isclass(thing):
        source = Path(inspect.getfile(thing))
        members = tuple(_members(thing, name))
        about = required(inspect.cleandoc(thing.__doc__ or ""), name)
        return Entry(name, _kind(thing), _constructor(thing, name), about, source, members)
    if inspect.isfunction(thing):
        source = Path(inspect.getfile(inspect.unwrap(thing)))
        about = required(inspect.getdoc(thing), name)
        return Entry(name, "function", signatures.of_function(thing, name), about, source)
    source, about, value = _constant(module, name)
    return Entry(name, "constant", signatures.painted(value), about, source)


def required(about: str | None, name: str) -> str:
    """Return *about*, which documents *name*.

    Raises:
        Undocumented: there is nothing in it.

    """
    if not about or not about.strip():
        text = f"{name} has no docstring"
        raise Undocumented(text)
    return about


def _kind(thing: type) -> str:
    parents = [base.__name__ for base in thing.__bases__ if base.__module__.startswith("derivtrio")]
    parents = [name for name in parents if not name.startswith("_") and name != "Trader"]
    kind = "exception" if issubclass(thing, BaseException) else "class"
    return f"{kind}, a kind of `{'`, `'.join(parents)}`" if parents else kind


def _constructor(thing: type, name: str) -> str:
    """Return how to make one; empty if programs do not make it."""
    made = issubclass(thing, BaseException | enum.Enum) or getattr(thing, "_is_protocol", False)
    return "" if made or signatures.is_private(thing) else signatures.of_constructor(thing, name)


def _members(thing: type, owner: str) -> Iterator[Member]:
    """Yield the methods and properties of a class, those of its bases here included."""
    seen = set()
    own_only = issubclass(thing, BaseException)
    for kind in (thing,) if own_only else thing.__mro__:
        if not kind.__module__.startswith("derivtrio"):
            continue
        for name, value in vars(kind).items():
            if name.startswith("_") or name in seen:
                continue
            if inspect.isfunction(value) or isinstance(value, _MEMBERS):
                seen.add(name)
                yield _member(thing, owner, name, value)
            elif isinstance(value, enum.Enum):
                yield Member(name, signatures.painted(f"{name} = {value.value!r}"), "")


def _member(thing: type, owner: str, name: str, value: Any) -> Member:
    about = required(inspect.getdoc(getattr(thing, name)), f"{owner}.{name}")
    if isinstance(value, property):
        return Member(name, signatures.of_property(value, name), about)
    return Member(name, signatures.of_function(value, name), about)


def _constant(module: ModuleType, name: str) -> tuple[Path, str, str]:
    """Return where a constant stands, what its `#:` comment says, and what its value is."""
    for source in _sources(module):
        found = re.search(
            rf"((?:^#:.*\n)+)^{name}(?:: Final)? = (\w*\((?:\n    .*)+\n\)|.*)",
            source.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
        if found:
            about = " ".join(line.removeprefix("#:").strip() for line in found[1].splitlines())
            value = re.sub(r"\s*#.*", "", found[2])
            return source, about, f"{name} = {value}"
    text = f"{name} has no docstring"
    raise Undocumented(text)


def _sources(module: ModuleType) -> Iterator[Path]:
    """Yield the files that the names of *module* come from."""
    package = Path(inspect.getfile(module)).parent
    yield from sorted(package.rglob("*.py"))


def page(group: Names) -> str:
    """Return the page *group* as HTML."""
    body = [f"<h1>{html.escape(group.title)}</h1>", as_html(group.about)]
    if group.module != "derivtrio":
        body.append(as_html(f"`import {group.module}`"))
    if group.drawing:
        body.append(described(inspect.getdoc(importlib.import_module(group.drawing)) or ""))
    for shown in entries(group):
        body += _shown(shown)
    if group.page == "api":
        body += ['<h2 id="the-calls">The calls</h2>', as_html(_calls())]
    return "\n".join(body)


def _shown(shown: Entry) -> Iterator[str]:
    source = place_of(shown.source)
    yield f'<h2 id="{shown.name}">{shown.name}</h2>'
    yield (
        f'<p class="kind">{as_html(shown.kind)[3:-5]}'
        f' · <a href="../{source}">{html.escape(source)}</a></p>'
    )
    if shown.signature:
        yield f'<pre class="signature code">{shown.signature}</pre>'
    yield described(shown.about)
    for member in shown.members:
        yield f'<h3 id="{shown.name}.{member.name}">{shown.name}.{member.name}</h3>'
        yield f'<pre class="signature code">{member.signature}</pre>'
        yield described(member.about)


def described(docstring: str) -> str:
    """Return a docstring as HTML. Its sections get a heading that is none of the page's."""
    body = as_html(pdoc.docstrings.google(docstring))
    body = re.sub(r"<h6>(\w+):</h6>", r'<p class="section">\1</p>', body)
    return re.sub(r"<p><em>(Cancellation)</em>:", r'<p class="aside"><strong>\1:</strong>', body)


def _calls() -> str:
    """Return a table of Deriv's calls, in Markdown."""
    names = sorted({name for calls in PUBLISHED.values() for name in calls})
    rows = [_call(name) for name in names]
    head = "| call | v3 | Options | scopes | streams | safe |\n|---|---|---|---|---|---|"
    return "\n".join([_CALLS, "", head, *rows])


_CALLS: Final = """\
The columns *v3* and *Options* say which generation of the API has a call. A token needs one of the
*scopes*. A call that *streams* can be given to `Client.subscribe`. A call that is *safe* only
reads: it is asked again if its connection is lost."""


def _call(name: str) -> str:
    known = MappingProxyType({kind: entry(name, kind) for kind in PUBLISHED})
    found = next(call for call in known.values() if call is not None)
    cells = [
        f"`{name}`",
        *("yes" if known[kind] else "" for kind in PUBLISHED),
        ", ".join(found.scopes),
        "yes" if found.streams else "",
        "yes" if found.safe else "",
    ]
    return f"| {' | '.join(cells)} |"


def known_names() -> dict[str, str]:
    """Return where each public name and member stands: `Client.call`, `recording.record`."""
    found: dict[str, str] = {}
    for group in REFERENCE:
        prefix = group.module.removeprefix("derivtrio").removeprefix(".")
        for shown in entries(group):
            names = [shown.name, *(f"{shown.name}.{member.name}" for member in shown.members)]
            for name in names:
                place = f"reference/{group.page}.html#{name}"
                found.setdefault(f"{prefix}.{name}" if prefix else name, place)
                found.setdefault(name, place)
    return found
