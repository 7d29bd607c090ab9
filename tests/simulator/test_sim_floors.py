"""The simulator's folders: each is a floor, and imports point downwards only."""

import ast
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import derivtrio

PACKAGE = Path(derivtrio.__file__).parent
ANNEXE = PACKAGE / "simulator"

#: The folders, lowest first. A module imports from its own folder and from those before it.
FOLDERS = (
    "network",
    "protocol",
    "dialects",
    "market",
    "contracts",
    "accounts",
    "faults",
    "sessions",
    "calls",
    "server",
)

#: The client's modules of plain data, which the simulator may use.
SHARED = {"api.codec", "errors", "events", "logs", "models", "redaction", "settings", "wording"}

#: The folders in which nothing waits: everything there is computed from its arguments.
PURE = ("protocol", "dialects", "market", "contracts", "calls")

MODULES = sorted(path for path in ANNEXE.glob("*/*.py") if path.stem != "__init__")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ANNEXE).with_suffix("").parts)


def is_module(name: str) -> bool:
    path = PACKAGE.parent / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or path.is_dir()


def imports_of(path: Path) -> set[str]:
    """Return the modules that are imported, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.name}: write imports out in full"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in below if is_module(name)} or {str(node.module)}
    return found


def inner_imports_of(path: Path) -> set[str]:
    prefix = "derivtrio.simulator."
    return {name.removeprefix(prefix) for name in imports_of(path) if name.startswith(prefix)}


def classes_of(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def test_every_module_is_in_a_folder() -> None:
    assert [path.name for path in ANNEXE.glob("*.py")] == ["__init__.py"]
    assert {path.parent.name for path in ANNEXE.glob("*/__init__.py")} == set(FOLDERS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_downwards(path: Path) -> None:
    floor = FOLDERS.index(path.parent.name)
    for imported in inner_imports_of(path):
        folder = imported.split(".")[0]
        assert FOLDERS.index(folder) <= floor, f"{name_of(path)} imports {imported}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_module_of_a_folder_imports_itself_in_a_circle(folder: str) -> None:
    graph = {name_of(path): inner_imports_of(path) for path in (ANNEXE / folder).glob("*.py")}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {error.args[1]}")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_of_the_client_only_plain_data_is_imported(path: Path) -> None:
    outside = {name for name in imports_of(path) if name.startswith("derivtrio")}
    for name in outside:
        module = name.removeprefix("derivtrio.")
        allowed = module in SHARED or module.split(".")[0] == "simulator"
        assert allowed, f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("folder", PURE)
def test_nothing_waits_in_the_pure_folders(folder: str) -> None:
    for path in (ANNEXE / folder).glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not imports_of(path) & {"trio", "wsproto", "h11", "socket"}
        assert not any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(tree))


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_says_what_lives_there_and_has_no_code_of_its_own(folder: str) -> None:
    (statement,) = ast.parse((ANNEXE / folder / "__init__.py").read_text()).body
    assert isinstance(statement, ast.Expr)
    assert "Begin with" in ast.unparse(statement)


def test_the_map_names_every_folder_in_order() -> None:
    map_of_it = ast.get_docstring(ast.parse((ANNEXE / "__init__.py").read_text())) or ""
    places = [map_of_it.find(f"`{folder}`") for folder in FOLDERS]
    assert -1 not in places
    assert places == sorted(places, reverse=True)


def test_no_class_has_the_name_of_another_in_the_whole_package() -> None:
    here = Counter(name for path in ANNEXE.rglob("*.py") for name in classes_of(path))
    client = [path for path in PACKAGE.rglob("*.py") if ANNEXE not in path.parents]
    theirs = {name for path in client for name in classes_of(path)}
    assert [name for name, times in here.items() if times > 1] == []
    assert here.keys() & theirs == set()
