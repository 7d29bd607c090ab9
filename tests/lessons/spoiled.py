"""A pytest plugin that puts wrong solutions in the place of exercises: `-p lessons.spoiled`."""

import sys
from pathlib import Path
from types import ModuleType

#: What a student may well write, as changes of the solution: what stands there, and what instead.
WRONG: dict[str, list[tuple[str, str]]] = {
    "c": [("next(self._number)", "id(task)")],
    "calls": [(" | derivtrio.ServerBusy()", "")],
    "go": [("finally:", "except trio.Cancelled:")],
    "java": [("code in (1000, 1001)", "code != 1008")],
    "javascript": [("on_close(code)\n", "on_close(code)\n                return\n")],
    "perl": [
        ("import derivtrio", "from contextlib import suppress\n\nimport derivtrio, trio"),
        (
            "        yield client",
            "        with suppress(trio.Cancelled):\n            yield client",
        ),
    ],
    "supervisor": [("            if trio.current", "        if trio.current")],
    "swift": [
        ("    async with (", "    began = trio.current_time()\n    async with ("),
        ("move_on_after(seconds)", "move_on_at(began + seconds)"),
    ],
    "time": [("max(turn, int(passed // seconds))", "int(passed // seconds)")],
}


def pytest_configure() -> None:
    for lesson, changes in WRONG.items():
        path = Path(__file__).parent / "solutions" / f"{lesson}.py"
        source = path.read_text(encoding="utf-8")
        for right, wrong in changes:
            assert source.count(right) == 1, right
            source = source.replace(right, wrong)
        name = f"examples.lessons.{lesson}.exercise"
        sys.modules[name] = ModuleType(name)
        exec(compile(source, str(path), "exec"), sys.modules[name].__dict__)
