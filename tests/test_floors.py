"""The house of design: imports point downwards only."""

import ast
from pathlib import Path

import pytest

import derivtrio

PACKAGE = Path(derivtrio.__file__).parent

#: Lowest first. Within a floor, too, imports only go to what stands further left.
FLOORS = (
    ("redaction", "events", "models", "errors", "settings", "codec"),
    (
        "published",
        "catalog",
        "shapes",
        "checking",
        "verdict",
        "backoff",
        "pacing",
        "anteroom",
        "frames",
        "answer",
        "express",
        "router",
        "ledger",
        "continuity",
        "orders",
        "receipts",
        "snapshots",
        "transactions",
        "shortcodes",
        "reconciliation",
        "server_clock",
    ),
    (
        "beside",
        "parking",
        "endpoints",
        "sockets",
        "tls",
        "dial",
        "options",
        "tap",
        "link",
        "calls",
        "book",
        "mailbox",
        "journal",
        "outbox",
        "upstream",
    ),
    ("crew", "authorization", "restore", "supervisor", "lifetime"),
    (
        "streams",
        "sharing",
        "account",
        "api",
        "listing",
        "completion",
        "inquiry",
        "sales",
        "evidence",
        "trading",
        "client",
        "script",
    ),
    ("", "trace", "report", "outages", "command", "demo", "cli", "__main__"),
)
ORDER = [module for floor in FLOORS for module in floor]
SANS_IO = {*FLOORS[0], *FLOORS[1]}
ANNEXE = "simulator"

#: The tool that makes `published` and the stubs; nothing imports it.
TOOL = "codegen"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "derivtrio":
            found |= {f"derivtrio.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: write imports out in full"
            found.add(str(node.module))
    return found


def inner_imports_of(path: Path) -> set[str]:
    return {
        name.removeprefix("derivtrio").lstrip(".").split(".")[0]
        for name in imports_of(path)
        if name.split(".")[0] == "derivtrio" and name != "derivtrio.simulator.__main__"
    }


CLIENT = [path for path in modules() if not name_of(path).startswith((ANNEXE, TOOL))]
ANNEXED = [path for path in modules() if name_of(path).startswith(ANNEXE)]


@pytest.mark.parametrize("path", CLIENT, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    name = name_of(path)
    assert name in ORDER, f"{name}: on which floor does it live?"
    for imported in inner_imports_of(path) - {ANNEXE, name}:
        module = imported if imported in ORDER else ""
        assert ORDER.index(module) < ORDER.index(name), f"{name} imports {imported}"


@pytest.mark.parametrize("path", CLIENT, ids=name_of)
def test_only_people_see_the_simulator(path: Path) -> None:
    if name_of(path) not in FLOORS[-1]:
        assert ANNEXE not in inner_imports_of(path)


@pytest.mark.parametrize("path", ANNEXED, ids=name_of)
def test_the_simulator_imports_nothing_of_the_client_but_data(path: Path) -> None:
    assert inner_imports_of(path) <= {ANNEXE, *FLOORS[0]}


def test_the_tool_stands_on_the_lowest_floor_and_nobody_on_it() -> None:
    for path in modules():
        if name_of(path).startswith(TOOL):
            assert inner_imports_of(path) <= {TOOL, *FLOORS[0]}
        else:
            assert TOOL not in inner_imports_of(path)


@pytest.mark.parametrize("path", [p for p in CLIENT if name_of(p) in SANS_IO], ids=name_of)
def test_the_lower_floors_know_no_io(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports_of(path)}
    assert not outside & {"trio", "trio_websocket", "socket", "asyncio", "wsproto"}


def test_only_the_link_knows_trio_websocket() -> None:
    users = {name_of(path) for path in modules() if "trio_websocket" in imports_of(path)}
    assert users == {"link"}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_functions_are_short_and_modules_tell_one_story(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path.name} does not say what it is about"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
            assert node.end_lineno is not None
            assert first is not None
            assert node.end_lineno - first <= 40, f"{path.name}: {node.name} is too long"
