"""CONTRIBUTING.md leads to the right file: its places exist, and its drawing is of today's
tasks."""

import ast
import re
from pathlib import Path

import pytest

import derivtrio
from derivtrio.connection import websocket
from derivtrio.trace.layout import JOBS
from tests.drawing import drawing

PACKAGE = Path(derivtrio.__file__).parent
ROOT = PACKAGE.parent
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


PLACES = re.findall(r"`([\w/]+\.py)`: `([\w.]+)`", section("Where is it?"))


def definitions(path: Path) -> set[str]:
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            functions = ast.FunctionDef | ast.AsyncFunctionDef
            found |= {
                f"{node.name}.{each.name}" for each in node.body if isinstance(each, functions)
            }
    return found


def test_there_are_ten_questions_at_least() -> None:
    rows = [line for line in section("Where is it?").splitlines() if line.startswith("| ")]
    assert len(rows) - 1 >= 10
    assert len(PLACES) >= len(rows) - 1


@pytest.mark.parametrize(("file", "name"), PLACES, ids=lambda text: text)
def test_the_named_place_exists(file: str, name: str) -> None:
    assert name in definitions(PACKAGE / file)


def test_the_first_hour_names_what_there_is() -> None:
    text, file, seen = section("The first hour"), "", 0
    for word in re.findall(r"`([\w/.]+)`", text):
        if word.endswith(".py"):
            file = word
        else:
            assert word in definitions(PACKAGE / file), f"{word} is not in {file}"
            seen += 1
    assert seen > 10


def test_every_file_and_folder_that_is_named_exists() -> None:
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", PAGE)) | set(
        re.findall(r"`((?:tests|examples)/[\w/.]+)`", PAGE)
    )
    missing = [name for name in named if not any((top / name).exists() for top in (PACKAGE, ROOT))]
    assert missing == []


def test_the_tree_has_every_folder() -> None:
    tree = section("The tree")
    folders = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}
    top = {path.relative_to(PACKAGE).parts[0] for path in folders}
    assert [name for name in sorted(top) if f"  {name}/" not in tree] == []


def test_the_drawing_is_of_a_run_of_today() -> None:
    shown = re.findall(r"<!-- drawing -->\n```\n(.*?)\n?```", PAGE, re.DOTALL)
    assert shown == [drawing()]


#: The folders whose tasks serve each client.
ENGINE = ("concurrency", "connection", "calls", "streams", "supervision")


def tasks_in(path: Path) -> set[str]:
    """Return the names of the tasks that a module starts, without the client's label."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    variables = {id(call.args[0]) for call in calls if ast.unparse(call.func) == "ContextVar"}
    texts = [
        node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in variables
    ]
    return {str(text) for text in texts if re.fullmatch(r"derivtrio\.[a-z-]+", str(text))}


def test_each_task_of_a_client_is_in_the_drawing_or_in_the_table() -> None:
    files = [path for folder in ENGINE for path in (PACKAGE / folder).rglob("*.py")]
    started = {name for path in [*files, PACKAGE / "assembly.py"] for name in tasks_in(path)}
    assert len(started) > 10
    told = set(re.findall(r"derivtrio\.[a-z-]+", section("The tasks")))
    assert started - told == set(), "tell of these tasks in CONTRIBUTING.md, The tasks"
    assert told - started == set(), "CONTRIBUTING.md, The tasks, tells of tasks that are gone"


def test_the_picture_of_a_run_explains_each_of_these_tasks() -> None:
    """All but the one around the connections, which is the client itself."""
    told = set(re.findall(r"derivtrio\.([a-z-]+)", section("The tasks"))) - {"reconnect"}
    assert told - JOBS.keys() == set(), "say in trace/layout.py what these tasks do"
    assert JOBS.keys() - told == set(), "trace/layout.py explains tasks that are gone"


def test_each_hazard_is_told_where_it_is_contained_and_has_a_test() -> None:
    page = (ROOT / "tests" / "connection" / "test_hazards.py").read_text(encoding="utf-8")
    tested = {int(number) for number in re.findall(r"def test_h(\d+)_", page)}
    assert tested == set(range(1, 14))  # H1 to H13, as CONTRIBUTING.md has it
    assert {int(number) for number in re.findall(r"\bH(\d+)", websocket.__doc__ or "")} == tested


def test_the_commands_name_modules_that_exist() -> None:
    for module in re.findall(r"python -m ((?:tests|derivtrio)[\w.]*)", PAGE):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
