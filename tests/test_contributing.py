"""CONTRIBUTING.md leads to the right file: its places exist, and its drawing is of today's
tasks."""

import ast
import re
from pathlib import Path

import pytest

import derivtrio
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


def test_the_commands_name_modules_that_exist() -> None:
    for module in re.findall(r"python -m ((?:tests|derivtrio)[\w.]*)", PAGE):
        path = ROOT.joinpath(*module.split("."))
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
