"""The pictures in the pages are of today's code, and say what is to be seen in them."""

import json
import re
import xml.etree.ElementTree as ET
from html import escape, unescape
from pathlib import Path

import pytest
from chromium import browse, needs_browser
from lessons.consoles import pages

from examples.pictures.__main__ import LESSONS as OF_LESSONS
from examples.pictures.__main__ import PICTURES, ROOT, stale
from tests.chaos import inside

#: In pixels: about how wide a letter of a label is in a wide font, how high it is, the room that
#: a label covers around it, how long the head of an arrow is, and how high above its tip.
_WIDE, _HIGH, _HALO, _HEAD, _HEAD_HIGH = 7.2, 8.0, 2.0, 9.0, 5.5

FILES = {file for file, _ in PICTURES.values() if file.endswith(".svg")}
GUIDE = sorted((ROOT / "examples" / "guide").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *GUIDE, *pages()]


def shown(text: str) -> list[tuple[str, str]]:
    return re.findall(r"!\[([^\]]*)\]\(([^)]+\.svg)\)", text)


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.long
def test_no_picture_is_stale(name: str, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--plain"):
        pytest.skip("the pictures are of the fast way")
    assert stale(name) is None


def test_each_lesson_has_a_picture() -> None:
    assert set(OF_LESSONS) == {page.parent.name for page in pages()}
    for page in pages():
        ((alt, file),) = shown(page.read_text(encoding="utf-8"))
        assert file == "picture.svg"
        assert len(alt.split()) >= 10, f"{page}: what is to be seen?"


def test_every_picture_in_a_page_is_made_by_the_command() -> None:
    named = {
        str((page.parent / file).resolve().relative_to(ROOT))
        for page in PAGES
        for _, file in shown(page.read_text(encoding="utf-8"))
    }
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "examples").rglob("*.svg")}
    assert named == there == FILES


@pytest.mark.parametrize("file", sorted(FILES))
def test_a_picture_is_complete_and_loads_nothing(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    root = ET.fromstring(text)
    told = {each.tag.rpartition("}")[2]: each.text for each in root if each.text}
    assert len(told["title"].split()) >= 3
    assert len(told["desc"].split()) >= 15
    assert root.get("aria-labelledby") == "title text"
    assert not re.search(r"<script|href|url\(|@import|TODO", text)
    assert "prefers-color-scheme: dark" in text
    assert root.get("width") == "800"
    assert len(text) < 20_000


@pytest.mark.parametrize("name", ["calls", "java", "php", "rust"])
def test_no_label_covers_the_head_of_an_arrow(name: str) -> None:
    text = (ROOT / PICTURES[name][0]).read_text(encoding="utf-8")
    drawn = list(ET.fromstring(text).iter())
    heads = [
        tuple(map(float, re.findall(r"[\d.]+", each.get("d", ""))[:2]))
        for each in drawn
        if each.get("class", "").startswith("head") and "headin" not in each.get("class", "")
    ]
    labels = [each for each in drawn if "flying" in each.get("class", "")]
    assert len(labels) == len(heads) > 0
    for label in labels:
        x, y = float(label.get("x", "")), float(label.get("y", ""))
        half = _WIDE * len(label.text or "") / 2 + _HALO
        for tip_x, tip_y in heads:
            beside = abs(x - tip_x) > half + _HEAD
            apart = not -_HIGH - _HALO < tip_y - y < _HALO + _HEAD_HIGH
            assert beside or apart, (label.text, tip_x, tip_y)


def test_a_stale_picture_is_named_with_what_renews_it(monkeypatch: pytest.MonkeyPatch) -> None:
    file, _ = PICTURES["go"]
    monkeypatch.setitem(PICTURES, "go", (file, lambda: "another"))
    assert stale("go") == f"{file} is stale: python -m examples.pictures go"


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "time"])  # ten seconds
def test_a_picture_does_not_depend_on_the_order_of_tasks_in_a_turn(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if request.config.getoption("--plain"):
        pytest.skip("the pictures are of the fast way")
    seed_scheduler = inside.seed_scheduler
    monkeypatch.setattr(inside, "seed_scheduler", lambda seed: seed_scheduler(seed + 1))
    assert stale(name) is None


#: Shows each picture in a frame of its own, and puts what overlaps or is cut off into the title.
_MEASURE = """<script>addEventListener("load", () => {
  const seen = [];
  let texts = 0;
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, svg = page.querySelector("svg").getBoundingClientRect();
    const boxes = [...page.querySelectorAll("svg > text, svg g text")].map((text) =>
      [text.textContent, text.getBoundingClientRect()]);
    texts += boxes.length;
    const say = (...told) => seen.push([frame.title, ...told]);
    boxes.forEach(([said, one], n) => {
      if (one.left < 0 || one.right > svg.right || one.bottom > svg.bottom) say(said, "cut off");
      for (const [other, two] of boxes.slice(n + 1)) {
        const wide = Math.min(one.right, two.right) - Math.max(one.left, two.left);
        const high = Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top);
        if (wide > 1 && high > 3) say(said, other);
      }
    });
  }
  document.title = "seen " + JSON.stringify({ texts, seen });
});</script>"""


@needs_browser
@pytest.mark.long
def test_no_text_in_a_picture_overlaps_another_or_is_cut_off(tmp_path: Path) -> None:
    frames = [
        f'<iframe title="{file}" width="800" height="900" style="border:0"'
        f' srcdoc="{escape((ROOT / file).read_text(encoding="utf-8"))}"></iframe>'
        for file in sorted(FILES)
    ]
    path = tmp_path / "pictures.html"
    path.write_text(f"<title></title>{''.join(frames)}{_MEASURE}", encoding="utf-8")
    (title,) = re.findall(r"<title>seen (.*?)</title>", browse(path, "--dump-dom"))
    found = json.loads(unescape(title))
    assert found["texts"] > 15 * len(FILES)
    assert found["seen"] == []
