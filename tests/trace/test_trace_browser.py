"""The page in a real browser: it zooms, it explains, and nothing fails in its script."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from chromium import Tab, browse, needs_browser, open_tab
from colours import contrast, mixed, themes

import derivtrio
from derivtrio.simulator import open_simulator
from derivtrio.trace import serve, timeline
from derivtrio.trace.page import style

pytestmark = pytest.mark.long

#: Runs before the page's script; what goes wrong is counted.
_BEFORE: Final = """<script>
const faults = [];
addEventListener("error", (event) => faults.push(event.message));
addEventListener("securitypolicyviolation", (event) => faults.push(event.violatedDirective));
</script></head>"""

#: Runs after it: points, zooms, and puts what it saw into the page.
_AFTER: Final = """<script>
const seen = { faults };
const picture = document.getElementById("picture"), tip = document.getElementById("tip");
const scale = () => document.getElementById("time").transform.baseVal.consolidate().matrix.a;
function point(target, x, y) {
  const there = { bubbles: true, clientX: x, clientY: y };
  target.dispatchEvent(new PointerEvent("pointermove", there));
  return tip.style.display === "block" ? tip.textContent : "";
}
const band = document.querySelector("rect.outage"), box = band.getBoundingClientRect();
seen.outage = point(band, box.x + box.width / 2, box.y + 4);
const dots = document.querySelector(".dots.fetched").getBoundingClientRect();
seen.dot = point(picture, dots.right, dots.y + dots.height / 2);
const before = scale();
document.getElementById("in").click();
seen.zoomed = scale() / before;
const wheel = { ctrlKey: true, deltaY: -400, clientX: 600, clientY: 100 };
Object.assign(wheel, { cancelable: true, bubbles: true });
picture.dispatchEvent(new WheelEvent("wheel", wheel));
seen.wheel = scale() / before;
document.querySelector("#why button").click();
const shown = document.querySelector("rect.outage").getBoundingClientRect();
seen.share = shown.width / picture.getBoundingClientRect().width;
document.getElementById("fit").click();
seen.fit = scale() / before;
seen.axis = document.querySelectorAll("#axis text").length;
const frame = document.getElementById("frame");
const inside = frame.getBoundingClientRect();
seen.outside = [...document.querySelectorAll("#picture text")].map((text) =>
  [text.textContent, text.getBoundingClientRect()]).filter(([, box]) =>
  box.width && (box.left < inside.left || box.right > inside.right)).map(([text]) => text);
const press = (key) => frame.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
const found = new Set();
for (let row = 0; row < 40; row++) {
  press("ArrowDown");
  for (let n = 0; n < 60; n++) press("p");
  found.add(timeline.chosen());
  for (let n = 0; n < 60; n++) found.add((press("n"), timeline.chosen()));
}
seen.found = [...found];
seen.explained = [...document.querySelectorAll("#time [data-h]")].map((node) => node.dataset.h);
document.title = "seen " + JSON.stringify(seen);
</script></body>"""


async def record(path: Path) -> None:
    """Write the page of a client that goes through an outage."""
    async with open_simulator(port=None) as sim:
        with timeline(path):
            async with (
                derivtrio.open_client(endpoint=sim.endpoint) as client,
                client.ticks("1HZ100V") as ticks,
            ):
                for number in range(20):
                    await anext(ticks)
                    if number == 8:
                        sim.faults.drop()
                        sim.faults.refuse(4)


@needs_browser
async def test_in_a_browser_the_page_explains_and_zooms_without_an_error(
    autojump_clock: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run.html"
    await record(path)
    page = path.read_text(encoding="utf-8")
    page = page.replace("</head>", _BEFORE).replace("</body>", _AFTER)
    path.write_text(page, encoding="utf-8")
    (title,) = re.findall(r"<title>seen (.*?)</title>", browse(path, "--dump-dom"))
    seen = json.loads(title)
    assert seen["faults"] == []
    assert seen["outage"].startswith("Connection 1 broke after ")
    assert re.match(r"1HZ100V: \d+ fetched from the history, at ", seen["dot"])
    assert seen["zoomed"] == pytest.approx(2, rel=0.01)
    assert seen["wheel"] > 2.5
    assert 0.2 < seen["share"] < 0.8
    assert seen["fit"] == pytest.approx(1, rel=0.05)
    assert seen["axis"] >= 4
    assert seen["outside"] == []
    assert set(seen["explained"]) <= set(seen["found"])
    assert any("fetched from the history, at" in text for text in seen["found"])


@needs_browser
async def test_a_live_page_fills_follows_and_says_when_the_program_has_gone(
    tmp_path: Path,
) -> None:
    async with open_tab(tmp_path) as tab:
        async with open_simulator() as sim:
            with timeline(last=600) as shown:
                async with derivtrio.open_client(endpoint=sim.url) as client:
                    async with trio.open_nursery() as nursery:
                        url = await nursery.start(partial(serve, shown, port=0))
                        await tab.do("Page.navigate", url=url)
                        await tab.wait_for("document.getElementById('live')?.className === 'on'")
                        await client.call({"ticks_history": "R_100", "end": "latest"})
                        await tab.wait_for("document.querySelector('#frame rect.call') !== null")
                        assert await tab.value("document.querySelectorAll('#axis text').length") > 2
                        await follows(tab)
                        light, dark = await tab.picture(), await tab.picture(dark=True)
                        assert light != dark
                        await fits_a_phone(tab)
                        assert tab.faults == []
                        nursery.cancel_scope.cancel()
        await tab.wait_for("document.getElementById('live').className === 'off'")
        assert await tab.value("document.querySelector('#frame rect.call') !== null")


async def follows(tab: Tab) -> None:
    """Check that a zoomed picture goes on showing the same time when a newer one comes."""
    await tab.value("document.getElementById('in').click()")
    shown = "document.getElementById('range').textContent"
    zoomed = await tab.value(shown)
    await tab.value("window.old = document.getElementById('picture')")
    await tab.wait_for("document.getElementById('picture') !== window.old")
    assert await tab.value(shown) == zoomed
    await tab.value("document.getElementById('fit').click()")


async def fits_a_phone(tab: Tab) -> None:
    """Check that nothing is cut off at the side, and that no title reaches into the picture."""
    screen = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    await tab.do("Emulation.setDeviceMetricsOverride", **screen)
    await tab.wait_for("document.getElementById('picture').getBoundingClientRect().width < 400")
    assert await tab.value("document.documentElement.scrollWidth") <= screen["width"]
    ends = (
        "[...document.querySelectorAll('#titles text')].map(t => t.getBBox().x + t.getBBox().width)"
    )
    left = await tab.value("Number(document.getElementById('window').getAttribute('x'))")
    assert max(await tab.value(ends)) <= left
    assert left < screen["width"] / 2
    await tab.do("Emulation.clearDeviceMetricsOverride")


@needs_browser
async def test_it_is_printed_across_one_sheet(autojump_clock: Any, tmp_path: Path) -> None:
    path, printed = tmp_path / "run.html", tmp_path / "run.pdf"
    await record(path)
    browse(path, f"--print-to-pdf={printed}", "--no-pdf-header-footer")
    sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed.read_bytes())
    ((width, height),) = sizes
    assert float(width) > float(height)


def test_its_colours_have_the_contrast_that_wcag_asks_for() -> None:
    assert len(themes(style())) == 3
    for each in themes(style()):
        paper, band = each["paper"], mixed(each["outage"], each["paper"], 0.11)
        connection = mixed(each["frame"], paper, 0.09)
        texts = [("ink", paper), ("ink", each["panel"]), ("soft", paper), ("soft", each["panel"])]
        texts += [("outage", band), ("ink", each["backoff"]), ("frame", connection)]
        texts += [("on", each[name]) for name in ("ready", "restoring", "call", "failed")]
        for name, back in texts:
            assert contrast(each[name], back) >= 4.5, (name, back)
        assert contrast("#10141a", each["connecting"]) >= 4.5
        shapes = "ready connecting restoring backoff live fetched call failed task frame outage"
        for name in shapes.split():
            assert contrast(each[name], paper) >= 3, name
