"""The house: one folder is one floor, and imports point downwards only."""

import ast
import re
from pathlib import Path

import pytest

import derivtrio

PACKAGE = Path(derivtrio.__file__).parent

#: Public data, which every floor may import.
DATA = ("wording", "logs", "redaction", "events", "models", "errors", "settings")

#: The folders, lowest first. A module imports from folders further up in this list, and from its
#: own.
FLOORS = (
    "api",
    "policy",
    "concurrency",
    "connection",
    "calls",
    "streams",
    "supervision",
    "trading",
)

#: Modules that lead to where their names live now. Nothing here imports them.
OLD_NAMES = ("published", "shortcodes")

#: On top of all floors: what users import, and what people run.
ROOF = (
    "client",
    "assembly",
    "signals",
    "__init__",
    "web",
    "recording",
    "trace",
    "cli",
    "__main__",
    *OLD_NAMES,
)

#: A floor of its own, which the client's floors do not see; `codegen` is a tool that nothing
#: imports.
ANNEXE, TOOL = "simulator", "codegen"

#: Decisions, without I/O.
SANS_IO = ("api", "policy")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def parts_of(path: Path) -> tuple[str, ...]:
    return path.relative_to(PACKAGE).with_suffix("").parts


def name_of(path: Path) -> str:
    return ".".join(parts_of(path))


def imported_by(path: Path) -> set[str]:
    """Return the modules that *path* imports, in full."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: write imports out in full"
            module = str(node.module)
            below = {f"{module}.{alias.name}" for alias in node.names}
            inner = {name for name in below if module.startswith("derivtrio") and is_module(name)}
            found |= inner or {module}
    return found


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def inner_imports_of(path: Path) -> set[tuple[str, ...]]:
    names = (name.split(".") for name in imported_by(path))
    return {tuple(name[1:]) for name in names if name[0] == "derivtrio"}


def folder_name(folder: Path) -> str:
    return folder.relative_to(PACKAGE).as_posix()


def floor_of(parts: tuple[str, ...]) -> int:
    """Return how high a module stands."""
    head = parts[0] if parts else "__init__"
    if head in DATA:
        return -len(DATA) + DATA.index(head)
    if head in FLOORS:
        return FLOORS.index(head)
    assert head in ROOF, f"{head}: on which floor does it live?"
    return len(FLOORS) + ROOF.index(head)


CLIENT = [path for path in modules() if parts_of(path)[0] not in (ANNEXE, TOOL)]
ANNEXED = [path for path in modules() if parts_of(path)[0] == ANNEXE]


@pytest.mark.parametrize("path", CLIENT, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    parts = parts_of(path)
    for imported in inner_imports_of(path):
        if imported and imported[0] == ANNEXE:
            continue
        higher = floor_of(imported) > floor_of(parts)
        assert not higher, (
            f"{name_of(path)} imports {'.'.join(imported)}, which is on a higher floor: hand"
            " in what it needs, or move it (FLOORS has the order)"
        )


@pytest.mark.parametrize("floor", [*FLOORS, "recording", "trace", "cli"])
def test_within_a_folder_nothing_imports_in_a_circle(floor: str) -> None:
    graph = {
        parts_of(path): {each for each in inner_imports_of(path) if each[:1] == (floor,)}
        for path in CLIENT
        if parts_of(path)[0] == floor
    }
    graph = {
        parts[:-1] if parts[-1] == "__init__" else parts: edges for parts, edges in graph.items()
    }
    while leaves := {parts for parts, edges in graph.items() if not edges & graph.keys() - {parts}}:
        graph = {parts: edges for parts, edges in graph.items() if parts not in leaves}
    assert not graph, f"in a circle: {', '.join('.'.join(parts) for parts in graph)}"


@pytest.mark.parametrize("path", CLIENT, ids=name_of)
def test_only_people_see_the_simulator(path: Path) -> None:
    if parts_of(path)[0] not in ("cli", "__main__"):
        found = [each for each in inner_imports_of(path) if each[:1] == (ANNEXE,)]
        assert not found, f"{name_of(path)} imports the simulator, which is for tests and demos"


@pytest.mark.parametrize("path", ANNEXED, ids=name_of)
def test_the_simulator_imports_nothing_of_the_client_but_data(path: Path) -> None:
    for imported in inner_imports_of(path):
        assert imported[0] in {ANNEXE, *DATA} or imported == ("api", "codec")


def test_the_tool_stands_on_the_data_and_nobody_on_it() -> None:
    for path in modules():
        heads = {each[0] for each in inner_imports_of(path) if each}
        if parts_of(path)[0] == TOOL:
            assert heads <= {TOOL, *DATA}
        else:
            assert TOOL not in heads


@pytest.mark.parametrize(
    "path", [path for path in CLIENT if parts_of(path)[0] in (*DATA, *SANS_IO)], ids=name_of
)
def test_decisions_know_no_io(path: Path) -> None:
    outside = {name.split(".")[0] for name in imported_by(path)}
    found = outside & {"trio", "trio_websocket", "socket", "asyncio", "wsproto"}
    assert not found, f"{name_of(path)} only decides: it returns what to do, and imports no {found}"


def test_only_one_module_knows_trio_websocket() -> None:
    users = {name_of(path) for path in modules() if "trio_websocket" in imported_by(path)}
    assert users == {"connection.websocket"}


@pytest.mark.parametrize(
    "folder", sorted({path.parent for path in modules()} - {PACKAGE}), ids=folder_name
)
def test_each_folder_says_what_lives_there_and_where_to_begin(folder: Path) -> None:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())) or ""
    names = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    assert re.search("Begin with|To follow", text) or folder.name in ("api", "fast")
    missing = [name for name in sorted(names) if f"`{name}`" not in text]
    where = f"{folder_name(folder)}/__init__.py"
    assert missing == [], f"tell what is in {', '.join(missing)}, in the docstring of {where}"


#: Names of classes and literal types that exist more than once in the package, and why.
SHARED_NAMES = {
    "Binary": "a binary option in the simulator, a binary message in the client",
    **dict.fromkeys(
        "Action Budgets Call Candle Connection Group Limits Order Session Status Stream Tick"
        " Transaction Window".split(),
        "the simulator's side of what the client has, too: it must not import the client's",
    ),
}


def test_a_name_of_a_class_means_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if (name := defined_by(node)) is not None:
                places.setdefault(name, []).append(name_of(path))
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in twice.items() if name not in SHARED_NAMES} == {}
    for name, found in twice.items():
        in_client = [place for place in found if place.split(".")[0] not in (ANNEXE, TOOL)]
        assert len(in_client) <= 1, f"{name}: {in_client}"


def defined_by(node: ast.AST) -> str | None:
    """Return the name of the class or the literal type that *node* defines, if it does."""
    match node:
        case ast.ClassDef(name=name):
            return name
        case ast.Assign(
            targets=[ast.Name(id=name)], value=ast.Subscript(value=ast.Name(id="Literal"))
        ):
            return name
    return None


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
