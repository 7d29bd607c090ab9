"""The site: all pages, all public names, no dead link, nothing that a network is needed for."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from colours import contrast, themes
from pages import GUIDE, ROOT

pytest.importorskip("pdoc", reason="no pdoc: pip install '.[docs]'")
pytest.importorskip("markdown2", reason="no markdown2: pip install '.[docs]'")

from examples.site import building, checking, contents, documents, reference

pytestmark = pytest.mark.long

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER: Final = next(filter(None, map(shutil.which, _NAMES)), None)

#: Looks for some words as a reader would, and puts what was found into the page's title.
_SEARCH: Final = """<script>
const faults = [], seen = {};
addEventListener("error", (event) => faults.push(event.message));
addEventListener("securitypolicyviolation", (event) => faults.push(event.blockedURI));
addEventListener("load", () => {
  const field = document.querySelector(".search input");
  field.focus();
  field.dispatchEvent(new Event("focus"));
  document.head.lastChild.addEventListener("load", () => {
    for (const words of ["reconcile", "client.buy", "heartbeat timeout", "zzzz"]) {
      field.value = words;
      field.dispatchEvent(new Event("input"));
      seen[words] = [...document.querySelectorAll(".search li")].map((item) =>
        [item.querySelector("b")?.textContent, item.querySelector("a")?.getAttribute("href")]);
    }
    scrollTo(0, document.documentElement.scrollHeight);
    const sides = [...document.querySelectorAll(".menu, .sections")];
    const tops = sides.map((side) => side.getBoundingClientRect().top);
    document.title = "seen " + JSON.stringify({ seen, faults, tops, down: scrollY });
  });
});
</script></body>"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    building.build(out)
    return out


def text_of(site: Path, place: str) -> str:
    return (site / place).read_text(encoding="utf-8")


def test_nothing_is_wrong_with_it(site: Path) -> None:
    assert checking.faults(site) == []


def test_it_has_every_page_of_the_guide_and_every_lesson(site: Path) -> None:
    pages = {path.stem for path in GUIDE.glob("*.md")} - {"README"}
    lessons = {path.parent.name for path in contents.LESSONS.glob("*/README.md")}
    menu = text_of(site, "index.html")
    assert pages
    assert lessons
    for name in pages:
        assert f'href="examples/guide/{name}.html"' in menu
    for name in lessons:
        assert f'href="examples/lessons/{name}/index.html"' in menu


def test_each_page_has_a_title_of_its_own_and_one_heading(site: Path) -> None:
    titles: dict[str, Path] = {}
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        (title,) = re.findall(r"<title>(.*?)</title>", text)
        assert title not in titles, (path, titles[title])
        titles[title] = path
        assert len(re.findall("<h1[ >]", text)) == 1, path


def test_its_colours_have_the_contrast_that_wcag_asks_for(site: Path) -> None:
    found = themes(text_of(site, "site.css"))
    assert len(found) == 2
    for each in found:
        for front in ("text", "quiet", "link"):
            for back in ("back", "raised", "mark"):
                assert contrast(each[front], each[back]) >= 4.5, (front, back)
        assert contrast(each["strong"], each["mark"]) >= 4.5


@pytest.mark.parametrize(
    "module", ["derivtrio", "derivtrio.recording", "derivtrio.simulator", "derivtrio.trace"]
)
def test_every_public_name_has_an_entry(site: Path, module: str) -> None:
    pages = [group.page for group in contents.REFERENCE if group.module == module]
    text = "".join(text_of(site, f"reference/{page}.html") for page in pages)
    shown = set(re.findall(r'<h2 id="(\w+)">', text))
    names = set(importlib.import_module(module).__all__)
    assert names == shown
    index = text_of(site, "reference/index.html")
    assert all(re.search(rf'href="({"|".join(pages)})\.html#{name}"', index) for name in names)


def test_every_module_with_public_names_is_in_it() -> None:
    public = {
        path.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for path in (ROOT / "derivtrio").rglob("__init__.py")
        if "__all__ = [" in path.read_text(encoding="utf-8")
    }
    assert public <= {group.module for group in contents.REFERENCE}


@pytest.mark.parametrize(
    ("before", "status", "said"),
    [
        ("", 0, "index.html: 1"),
        ("sys.modules['markdown2'] = None", 1, "needs markdown2: pip install '.[docs]'"),
    ],
)
def test_the_command(tmp_path: Path, before: str, status: int, said: str) -> None:
    run = "runpy.run_module('examples.site', run_name='__main__', alter_sys=True)"
    code = f"import runpy, sys\n{before}\nsys.argv = ['site', '--out', {str(tmp_path)!r}]\n{run}"
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == status, ended.stderr
    assert said in ended.stdout + ended.stderr


def test_a_name_without_a_docstring_ends_the_build() -> None:
    with pytest.raises(reference.Undocumented, match=r"Client\.buy has no docstring"):
        reference.required("  ", "Client.buy")


def test_the_sections_of_docstrings_are_shown_as_such(site: Path) -> None:
    text = text_of(site, "reference/client.html")
    assert '<p class="aside"><strong>Cancellation:</strong>' in text
    assert '<p class="section">Raises</p>' in text
    assert '<a href="errors.html#OutcomeUnknown"><strong>OutcomeUnknown:</strong></a>' in text
    assert not re.search(r"<h[456]|\*Cancellation\*|Raises:", text)


def test_names_in_the_guide_lead_to_the_reference(site: Path) -> None:
    text = text_of(site, "examples/guide/streams.html")
    assert '<a href="../../reference/client.html#Client.ticks">' in text
    assert '<a href="../../reference/events.html#Gap">' in text


@pytest.mark.parametrize(
    ("link", "there"),
    [
        ('href="streams.md#gaps"', 'href="streams.html#gaps"'),
        ('href="README.md"', 'href="index.html"'),
        ('href="../lessons/go/README.md"', 'href="../lessons/go/index.html"'),
        ('href="../../derivtrio/errors.py"', 'href="../../derivtrio/errors.py.html"'),
        ('href=".."', 'href="../index.html"'),
        ('src="../a.svg"', 'src="../a.svg"'),
        ('href="../a.svg"', 'href="../a.svg"'),
        ('href="#here"', 'href="#here"'),
        ('href="https://trio.readthedocs.io"', 'href="https://trio.readthedocs.io"'),
    ],
)
def test_links_are_those_of_the_repository_but_for_their_endings(link: str, there: str) -> None:
    wanted: list[Path] = []
    assert documents.relinked(f"<a {link}>", GUIDE / "calls.md", wanted.append) == f"<a {there}>"
    assert len(wanted) == (link.count("#here") + link.count("https") == 0)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="gone.html">', "leads to gone.html, which does not exist"),
        ('<a href="#gone">', "leads to #gone, which has no such heading"),
        ('<img src="https://example.org/x.png">', "loads https://example.org/x.png"),
        ('<script src="gone.js"></script>', "loads gone.js"),
    ],
)
def test_what_is_wrong_is_found(tmp_path: Path, body: str, fault: str) -> None:
    (tmp_path / "a.html").write_text(f'<h1 id="here">A</h1><a href="#here">{body}')
    (found,) = checking.faults(tmp_path)
    assert fault in found


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")
def test_the_search_works_in_a_browser_without_a_network(site: Path) -> None:
    assert BROWSER is not None
    policy = "default-src 'none'; style-src 'self' file:; script-src 'unsafe-inline' file:"
    text = text_of(site, "examples/guide/calls.html").replace("</body>", _SEARCH)
    text = text.replace(
        "<head>",
        f'<head><meta http-equiv="Content-Security-Policy" content="{policy}; img-src data:">',
    )
    page = site / "examples" / "guide" / "searched.html"
    page.write_text(text, encoding="utf-8")
    try:
        seen: Any = _dumped(page)
    finally:
        page.unlink()
    assert seen["faults"] == []
    assert seen["down"] > 1000
    assert seen["tops"][0] == seen["tops"][1] > 0, "the menu stays beside a long page"
    found = seen["seen"]
    assert found["reconcile"][0] == [
        "Client.reconcile",
        "../../reference/client.html#Client.reconcile",
    ]
    assert found["client.buy"][0][0] == "Client.buy"
    assert "Settings" in {title for title, _ in found["heartbeat timeout"]}
    assert found["zzzz"] == [[None, None]]


def _dumped(page: Path) -> Any:
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1300,900",
        "--virtual-time-budget=20000",
        "--dump-dom",
        page.as_uri(),
    ]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"<title>seen (.*?)</title>", shown, re.DOTALL)
    assert found, shown[-2000:]
    return json.loads(found[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
