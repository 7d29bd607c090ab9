"""What the README says is so, beyond what `test_guide` tests of every page."""

import importlib.metadata
import re

from pages import GUIDE, README, ROOT

import derivtrio

COMMANDS = README.commands()


def test_it_is_short() -> None:
    assert len(README.text.splitlines()) <= 200


def test_the_first_ten_lines_are_ten() -> None:
    first, *_ = README.blocks("python")
    assert len([line for line in first.text.splitlines() if line.strip()]) == 10


def test_there_is_one_line_for_the_demo_and_one_for_the_tests() -> None:
    demo = [line for line in COMMANDS if line.endswith("derivtrio demo") and "venv" in line]
    tests = [line for line in COMMANDS if re.match(r"python3 -m venv .* -m pytest", line)]
    assert (len(demo), len(tests)) == (1, 1)
    assert "'.[cli]'" in demo[0]
    assert "'.[dev]'" in tests[0]


def test_ci_takes_the_test_command_from_here() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (pattern,) = re.findall(r"grep -E '(.*)' README\.md", script)
    found = [line for line in README.text.splitlines() if re.search(pattern, line)]
    assert found == [line for line in COMMANDS if "pytest" in line]


def test_the_promises_are_all_there() -> None:
    rows = re.findall(r"^\| (G\d\d) \| .+ \| (.+) \|$", README.text, re.MULTILINE)
    assert [number for number, _ in rows] == [f"G{n:02}" for n in range(1, 19)]
    assert all("yes" in now.lower() or "not yet" in now for _, now in rows)


def test_it_leads_to_every_page_and_every_example() -> None:
    guide = {f"examples/guide/{path.name}" for path in GUIDE.glob("*.md")}
    programs = {path.name for path in GUIDE.parent.glob("*.py")} - {"__init__.py"}
    examples = {f"examples/{name}" for name in programs}
    assert guide - {"examples/guide/README.md"} | examples <= {*README.links()}


def test_the_version_is_that_of_the_installed_package() -> None:
    assert derivtrio.__version__ == importlib.metadata.version("derivtrio")
    assert "__version__" in dir(derivtrio)
