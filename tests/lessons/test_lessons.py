"""Each lesson is what its page says: real logs, a short program, an exercise that works."""

import ast
import re
import subprocess
import sys
import tokenize
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from pathlib import Path

import pytest
from lessons.consoles import LESSONS, ROOT, Run, output_of, pages, runs
from lessons.spoiled import WRONG

TEN = "javascript python php csharp swift java rust perl c go".split()
ENDINGS = ["answers", "closes-1000", "closes-1008", "dies"]
LESSON_FOLDERS = sorted(page.parent for page in pages())
EXERCISES = sorted(path.parent.name for path in LESSONS.glob("*/exercise.py"))
SOLUTIONS = sorted(path.stem for path in (ROOT / "tests/lessons/solutions").glob("*.py"))

#: The lines of code that a program may have, without blank lines and docstrings.
LONGEST = {"supervisor": 40, "capstone": 40}

every_lesson = pytest.mark.parametrize("folder", LESSON_FOLDERS, ids=lambda path: path.name)


def test_the_ten_are_there() -> None:
    assert set(TEN) <= {folder.name for folder in LESSON_FOLDERS}


@pytest.mark.parametrize("run", [run for page in pages() for run in runs(page)], ids=str)
@pytest.mark.long
def test_the_logs_are_what_the_programs_print(run: Run) -> None:
    assert run.printed() == run.shown


@pytest.mark.parametrize("name", TEN)
def test_each_of_the_ten_has_the_four_endings(name: str) -> None:
    commands = [run.command for run in runs(LESSONS / name / "README.md")]
    expected = [f"python -m examples.lessons.{name} --server {ending}" for ending in ENDINGS]
    assert commands[:4] == expected


@every_lesson
def test_a_lesson_has_all_its_parts(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    for heading in ("## The question", "## In trio", "## Three questions", "## Exercise"):
        assert heading in text, heading
    if folder.name in TEN:
        assert "## The original" in text
    questions = text.split("## Three questions")[1].split("## ")[0]
    assert re.findall(r"^\d\. ", questions, re.MULTILINE) == ["1. ", "2. ", "3. "]
    assert f"python -m pytest examples/lessons/{folder.name}" in text
    assert folder.name in EXERCISES


@every_lesson
def test_a_lecturer_has_an_answer_to_each_question(folder: Path) -> None:
    text = (Path(__file__).parent / "answers.md").read_text(encoding="utf-8")
    (answers,) = re.findall(
        rf"^## {folder.name}\n\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    assert re.findall(r"^\d\. ", answers, re.MULTILINE) == ["1. ", "2. ", "3. "]


@every_lesson
def test_the_program_is_short(folder: Path) -> None:
    assert len(code_lines(folder / "program.py")) <= LONGEST.get(folder.name, 25)


def code_lines(path: Path) -> set[int]:
    """Return the numbers of the lines that have code on them: no docstring, no comment."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            if ast.get_docstring(node) is not None and first.end_lineno is not None:
                told |= set(range(first.lineno, first.end_lineno + 1))
    silent = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER)
    with path.open("rb") as file:
        tokens = [
            token
            for token in tokenize.tokenize(file.readline)
            if token.type not in (*silent, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)
        ]
    lines = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    return lines - told


@pytest.mark.parametrize(
    "page", [LESSONS / "README.md", *pages()], ids=lambda page: page.parent.name
)
def test_the_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert targets
    here = [target for target in targets if "://" not in target]
    assert [target for target in here if not (page.parent / target).exists()] == []


@pytest.mark.parametrize(
    "bad",
    [
        "--url ws://127.0.0.1:9/",
        "--url no-url",
        "--url http://127.0.0.1/",
        "--server silent --limit 0.1",
        "--server binary --limit 0.1",
    ],
)
@pytest.mark.parametrize("name", TEN)
def test_there_is_no_traceback_and_no_silence(name: str, bad: str) -> None:
    printed = output_of(f"python -m examples.lessons.{name} {bad}")
    assert printed.strip()


def failures(report: Path, *options: str, lessons: Iterable[str] = ("",)) -> dict[str, int]:
    """Run the tests of the exercises of *lessons*; return how many of each failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    folders = [f"examples/lessons/{lesson}" for lesson in lessons]
    subprocess.run(
        [*command, f"--junit-xml={report}", *folders],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    found: dict[str, int] = {}
    for case in ET.parse(report).iter("testcase"):
        lesson = case.attrib["classname"].split(".")[2]
        failed = any(child.tag in ("failure", "error") for child in case)
        found[lesson] = found.get(lesson, 0) + failed
    return found


def test_each_exercise_has_a_solution() -> None:
    assert SOLUTIONS == EXERCISES


def test_the_exercises_fail_until_they_are_solved(tmp_path: Path) -> None:
    failed = failures(tmp_path / "report.xml")
    assert [lesson for lesson, times in failed.items() if not times] == []


def test_the_solutions_solve_them(tmp_path: Path) -> None:
    assert failures(tmp_path / "report.xml", "-p", "lessons.solved") == dict.fromkeys(EXERCISES, 0)


def test_a_solution_that_only_looks_right_fails(tmp_path: Path) -> None:
    failed = failures(tmp_path / "report.xml", "-p", "lessons.spoiled", lessons=WRONG)
    assert failed.keys() == WRONG.keys()
    assert [lesson for lesson, times in failed.items() if not times] == []
