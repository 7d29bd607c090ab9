"""What the pages name exists: methods of the client, public names, each other."""

import re
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest
import trio
import trio.testing
from pages import GUIDE, PAGES, Page, read

import derivtrio

PAGE = read(GUIDE / "migrating.md")


def named(page: Page, prefix: str) -> set[str]:
    """Return the names after *prefix* in the code between backticks."""
    quoted = " ".join(re.findall(r"`([^`\n]+)`", page.text))
    return set(re.findall(rf"(?<![\w./]){prefix}\.([a-z_A-Z]\w*)", quoted))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_methods_and_names_exist(page: Page) -> None:
    known = set(dir(derivtrio)) | {"recording", "simulator", "trace", "api", "db", "service"}
    assert named(page, "client") - set(dir(derivtrio.Client)) == set()
    assert named(page, "derivtrio") - known == set()
    assert named(page, "trio") - set(dir(trio)) == set()


def neighbours(page: Page) -> dict[str, str]:
    """Return where the third line of a page of the guide leads: `before`, `next`."""
    return dict(re.findall(r"(before|next): \[[^]]*\]\(([^)]*)\)", page.text.splitlines()[2]))


def test_the_pages_of_the_guide_are_a_chain() -> None:
    pages = {Path(page.name).name: neighbours(page) for page in PAGES if page.name.count("/") == 2}
    del pages["README.md"]
    for name, around in pages.items():
        assert "next" not in around or pages[around["next"]]["before"] == name
        assert "before" not in around or pages[around["before"]]["next"] == name
    assert len([name for name, around in pages.items() if len(around) == 1]) == 2  # its ends


def test_the_table_says_something() -> None:
    assert len(named(PAGE, "client")) > 6
    assert len(named(PAGE, "trio")) > 6


@pytest.mark.parametrize(("module", "name"), [(trio, "to_thread.run_sync"), (trio, "fail_after")])
def test_deeper_names_exist(module: ModuleType, name: str) -> None:
    assert name in PAGE.text
    assert callable(attrgetter(name)(module))
