"""The textbook page: the reconnect loop and the nursery of one connection stand on one screen."""

import ast
from pathlib import Path

from derivtrio.supervision import supervisor

SOURCE = Path(supervisor.__file__).read_text(encoding="utf-8")
SCREEN = 70


def test_loop_and_nursery_fit_on_one_screen() -> None:
    (page,) = (node for node in ast.parse(SOURCE).body if isinstance(node, ast.ClassDef))
    spans = {
        node.name: (node.lineno, node.end_lineno)
        for node in page.body
        if isinstance(node, ast.AsyncFunctionDef)
    }
    assert list(spans) == ["reconnect", "run_connection", "run_tasks"]
    first, last = spans["reconnect"][0], spans["run_tasks"][1]
    assert last is not None
    assert last - first < SCREEN


def test_what_the_supervisor_does_for_streams_lives_elsewhere() -> None:
    names = {node.id for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Name)}
    assert "Upstream" not in names
