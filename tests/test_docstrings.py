"""What the client's docstrings name exists: parameters, attributes, members, errors."""

import builtins
import importlib
import inspect
import pkgutil
import re
import ssl
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

import msgspec
import trio
from test_floors import DATA, FLOORS

import derivtrio
from derivtrio import errors

#: Words between asterisks that are no parameters: they head a paragraph.
HEADINGS = {"Cancellation"}


@cache
def modules() -> list[ModuleType]:
    """Return the client's modules: the floors, and what users import."""
    heads = {*DATA, *FLOORS, "client", "assembly", "signals"}
    names = [
        each.name
        for each in pkgutil.walk_packages(derivtrio.__path__, "derivtrio.")
        if each.name.split(".")[1] in heads
    ]
    return [importlib.import_module(name) for name in names]


def classes() -> Iterator[type]:
    for module in modules():
        for thing in vars(module).values():
            if isinstance(thing, type) and thing.__module__ == module.__name__:
                yield thing


def functions() -> Iterator[FunctionType]:
    """Yield all functions and methods; not those inside of others."""
    for owner in (*modules(), *classes()):
        for thing in vars(owner).values():
            found: Any = thing.fget if isinstance(thing, property) else thing
            found = inspect.unwrap(getattr(found, "__func__", found))
            if isinstance(found, FunctionType) and found.__module__.startswith("derivtrio."):
                yield found


def parameters(code: CodeType) -> set[str]:
    star = bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount + star])


def members(kind: type) -> set[str]:
    """Return the names of a class, and of what its methods set."""
    made = [each.__init__ for each in kind.__mro__ if isinstance(each.__init__, FunctionType)]
    return {*dir(kind), *(name for each in made for name in each.__code__.co_names)}


def documents() -> Iterator[tuple[str, str]]:
    """Yield all docstrings, and whose they are."""
    for owner in (*modules(), *classes(), *functions()):
        name = getattr(owner, "__qualname__", owner.__name__)
        yield name, inspect.getdoc(owner) or ""


def test_the_parameters_that_a_docstring_names_exist() -> None:
    count = 0
    for function in functions():
        named = set(re.findall(r"(?<![\w*])\*([a-z_]+)\*(?![\w*])", function.__doc__ or ""))
        assert named - HEADINGS <= parameters(function.__code__), function.__qualname__
        count += len(named)
    assert count > 300


def test_the_attributes_that_a_docstring_lists_exist() -> None:
    count = 0
    for kind in classes():
        section = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")[2]
        listed = re.findall(r"^    ([a-z_]\w*(?:, \w+)*):", section, re.MULTILINE)
        named = {name for line in listed for name in line.split(", ")}
        assert {name for name in named if f"_{name}" not in members(kind)} <= members(kind), kind
        count += len(named)
    assert count > 150


def test_the_members_that_a_docstring_names_exist() -> None:
    known = {kind.__name__: members(kind) for kind in classes()}
    known["client"] = known["Client"]
    count = 0
    for where, text in documents():
        for quoted in re.findall(r"`([^`\n]+)`", text):
            for owner, member in re.findall(r"(?<![\w.])([A-Za-z]\w*)\.([a-z_]\w*)", quoted):
                if owner in known:
                    assert member in known[owner], f"{where}: {owner}.{member}"
                    count += 1
    assert count > 50


def test_the_errors_that_a_docstring_says_are_raised_are_errors() -> None:
    homes = (errors, builtins, msgspec, ssl, trio)
    count = 0
    for where, text in documents():
        found = re.search(r"^Raises:\n((?: {4}.*\n?)+)", text, re.MULTILINE)
        section = found[1] if found else ""
        for line in re.findall(r"^ {4}([A-Z][\w., ]*):", section, re.MULTILINE):
            for name in line.split(", "):
                kinds = [getattr(home, name.rpartition(".")[2], None) for home in homes]
                assert any(isinstance(kind, type) for kind in kinds), f"{where}: {name}"
                count += 1
    assert count > 100
