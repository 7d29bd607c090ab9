"""The ways through the source do not grow. See `tests.ways` for what is counted."""

import ast
import re

import pytest
from ways import ASKED, PACKAGE, WALKS, is_asked, walked, walked_in_order

#: The plain way: how many stations each way passes at most, how many of them no way before it does,
#: and how often it changes files.
MOST = {
    "a tick": (9, 9, 34),
    "a call and its reply": (9, 4, 80),
    "a reconnect with one stream": (27, 15, 580),
    "a purchase whose reply is lost": (18, 4, 162),
}

#: And the fast way; only the stations.
MOST_FAST = {
    "a tick": 10,
    "a call and its reply": 13,
    "a reconnect with one stream": 31,
    "a purchase whose reply is lost": 22,
}

#: What may be asked of trio without waiting.
QUESTIONS = {
    "trio.lowlevel",
    "trio.lowlevel.TrioToken",
    "trio.lowlevel.current_task",
    "trio.lowlevel.current_trio_token",
}


def test_a_way_passes_no_more_stations_than_it_did() -> None:
    for way in walked_in_order(fast=False):
        stations, new, changes = MOST[way.title]
        assert len(way.stations) <= stations, way
        assert len(way.new_stations) <= new, way
        assert way.changes <= changes, way


@pytest.mark.parametrize("title", MOST)
def test_contributing_tells_how_many_stations_a_way_has(title: str) -> None:
    page = PACKAGE.with_name("CONTRIBUTING.md").read_text(encoding="utf-8")
    stations, new, _ = MOST[title]
    assert re.search(rf"^\| {title}.* \| {stations} \| {new} \|$", page, re.MULTILINE)


@pytest.mark.parametrize("title", WALKS)
def test_nor_does_the_fast_way(title: str) -> None:
    way = walked(title)
    assert len(way.stations) <= MOST_FAST[title], way


def test_the_fast_way_is_only_in_its_corners() -> None:
    """The plain way passes nothing of what is there for speed."""
    for title in WALKS:
        files = walked(title, fast=False).files
        assert not [file for file in files if "fast" in file]


@pytest.mark.parametrize("name", ASKED)
def test_what_is_only_asked_answers_at_once(name: str) -> None:
    """Nothing in these files waits, so none of them can be a station."""
    files = [
        path for path in PACKAGE.rglob("*.py") if is_asked(path.relative_to(PACKAGE).as_posix())
    ]
    mine = [path for path in files if path == PACKAGE / name or PACKAGE / name in path.parents]
    assert mine
    for path in mine:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        assert not [node for node in nodes if isinstance(node, ast.Await | ast.AsyncFor)], path
        imports = [
            each.name for node in nodes if isinstance(node, ast.Import) for each in node.names
        ]
        attributes = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
        asked = {each for each in attributes if each.startswith("trio.")}
        assert "trio" not in imports or asked <= QUESTIONS, path
