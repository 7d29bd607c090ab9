"""Signatures as the source has them: with the names that programs use, not what these stand for."""

import ast
import inspect
import re
import typing
from collections.abc import Iterator
from types import FunctionType
from typing import Any, Final, Literal

import attrs
import pdoc.doc_ast
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

import derivtrio

#: How long a signature on one line may be, in characters.
_WIDTH: Final = 80

_EMPTY: Final = inspect.Parameter.empty


def of_function(function: Any, name: str) -> str:
    """Return the signature of *function* as HTML; `await` says that it is awaited."""
    function = getattr(function, "__func__", function)
    node = pdoc.doc_ast.parse(inspect.unwrap(function))
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)  # noqa: S101 - for mypy
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    known = inspect.unwrap(function).__globals__
    parameters = [
        _spelt_out(parameter, known)
        for parameter in _parameters(node.args)
        if not re.match(r"(self|cls)\b|/$", parameter)
    ]
    returned = "" if node.returns is None else f" -> {_returned(node.returns, decorators)}"
    awaited = isinstance(node, ast.AsyncFunctionDef) and "asynccontextmanager" not in decorators
    prefix = "await " if awaited and not _yields(node) else ""
    if "asynccontextmanager" in decorators:
        prefix = "async with "
    elif "contextmanager" in decorators:
        prefix = "with "
    return _coloured(prefix + name, parameters, returned)


def of_property(wrapped: property, name: str) -> str:
    """Return a property with its type, as HTML."""
    getter = wrapped.fget
    assert isinstance(getter, FunctionType)  # noqa: S101 - for mypy
    node = pdoc.doc_ast.parse(getter)
    returned = "" if node.returns is None else f": {_text(node.returns)}"
    return painted(name + returned)


def of_constructor(thing: type, name: str) -> str:
    """Return how a *thing* is made, as HTML; empty if it has no fields that programs give it."""
    types = {field: text for base in reversed(thing.__mro__) for field, text in _fields(base)}
    parameters = []
    keywords = False
    for parameter in inspect.signature(thing).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keywords:
            parameters.append("*")
            keywords = True
        parameters.append(_parameter(parameter, types))
    return _coloured(name, parameters, "")


def is_private(thing: type) -> bool:
    """Return whether programs do not make one: it has fields that are its own affair."""
    return attrs.has(thing) and any(f.init and f.name[0] == "_" for f in attrs.fields(thing))


def _fields(thing: type) -> Iterator[tuple[str, str]]:
    """Yield the annotations in the body of a class, and those of its `__init__`."""
    if not thing.__module__.startswith("derivtrio"):
        return
    node = pdoc.doc_ast.parse(thing)
    for statement in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            yield statement.target.id, _text(statement.annotation)
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            args = statement.args
            for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs):
                if arg.annotation is not None:
                    yield arg.arg, _text(arg.annotation)


def _parameter(parameter: inspect.Parameter, types: dict[str, str]) -> str:
    kind = types.get(parameter.name)
    text = parameter.name + (f": {kind}" if kind else "")
    if parameter.default is _EMPTY:
        return text
    shown = repr(parameter.default)
    return f"{text} = {'…' if re.search('NOTHING|<|Factory|UNSET|=', shown) else shown}"


def _parameters(args: ast.arguments) -> Iterator[str]:
    """Yield the parameters in the order of the source."""
    positional = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults))
    defaults += args.defaults
    for index, (arg, default) in enumerate(zip(positional, defaults, strict=True)):
        yield _argument(arg, default)
        if index + 1 == len(args.posonlyargs):
            yield "/"
    if args.vararg is not None:
        yield f"*{_argument(args.vararg, None)}"
    elif args.kwonlyargs:
        yield "*"
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield _argument(arg, default)
    if args.kwarg is not None:
        yield f"**{_argument(args.kwarg, None)}"


def _argument(arg: ast.arg, default: ast.expr | None) -> str:
    text = arg.arg + (f": {_text(arg.annotation)}" if arg.annotation else "")
    if default is None:
        return text
    shown = ast.unparse(default)
    return f"{text} = {'…' if shown.startswith('_') else shown}"


def _text(annotation: ast.expr) -> str:
    """Return an annotation without quotes around names."""
    return re.sub(r"(?<![\w\[])'([\w.\[\]| ]+)'(?!\])", r"\1", ast.unparse(annotation))


def _spelt_out(parameter: str, known: dict[str, Any]) -> str:
    """Return *parameter* with the values of a `Literal` in place of a name that is not public."""
    name, colon, rest = parameter.partition(": ")
    kind = re.match(r"\w*", rest)
    found = known.get(kind[0]) if kind else None
    if not kind or kind[0] in derivtrio.__all__ or typing.get_origin(found) is not Literal:
        return parameter
    values = ", ".join(map(repr, typing.get_args(found)))
    return f"{name}{colon}Literal[{values}]{rest[kind.end() :]}"


def _returned(annotation: ast.expr, decorators: set[str]) -> str:
    """Return what a call gives; of a context manager, what its block gets."""
    if not {"asynccontextmanager", "contextmanager"} & decorators:
        return _text(annotation)
    return re.sub(r"^\w+\[[\"']?([^,\"']*)[\"']?.*\]$", r"\1", ast.unparse(annotation))


def _yields(node: ast.AST) -> bool:
    return any(isinstance(child, ast.Yield) for child in ast.walk(node))


def _coloured(name: str, parameters: list[str], returned: str) -> str:
    line = f"{name}({', '.join(parameters)}){returned}"
    if len(line) > _WIDTH and parameters:
        lines = "".join(f"    {parameter},\n" for parameter in parameters)
        line = f"{name}(\n{lines}){returned}"
    return painted(line)


def painted(code: str) -> str:
    """Return *code* as HTML, in colours."""
    return str(highlight(code, PythonLexer(), HtmlFormatter(nowrap=True))).rstrip("\n")
