"use strict";
// By keyboard: the arrows up and down choose a row, N and P the next and the previous thing in it.
(() => {
  const byId = (id) => document.getElementById(id), frame = byId("frame");
  let svg = null, rows = [], row = -1, thing = null;

  // What can be pointed at, in rows from above, each in the order of time.
  function found() {
    const parts = timeline.parts(), lines = new Map();
    if (parts.svg === svg) return;
    svg = parts.svg;
    const put = (item) => (lines.get(item.top) || lines.set(item.top, []).get(item.top)).push(item);
    const number = (node, name) => Number(node.getAttribute(name));
    for (const node of svg.querySelectorAll("#time rect[data-h]")) {
      const [x, width, top, high] = ["x", "width", "y", "height"].map((name) => number(node, name));
      put({ x, end: x + width, top, high, said: () => node.dataset.h });
    }
    for (const node of svg.querySelectorAll("#time .mark")) {
      const [x, y] = node.getAttribute("d").match(/[\d.]+/g).map(Number);
      put({ x, end: x, top: y - 5, high: 10, said: () => node.dataset.h });
    }
    for (const path of parts.dots) {
      path.places = path.places || timeline.read(path);
      const said = (n) => () => timeline.ofDot(path, n), top = path.y - 5;
      path.places.forEach((x, n) => put({ x, end: x, top, high: 10, said: said(n) }));
    }
    rows = [...lines.keys()].sort((a, b) => a - b).map((top) => lines.get(top).sort((a, b) => a.x - b.x));
    row = -1;
    thing = null;
  }

  // The first thing in the row that ends after the time *x*, or else its last.
  const after = (x) => rows[row].find((item) => item.end >= x) || rows[row].at(-1);

  function choose(next) {
    const { from, to } = timeline.parts(), half = (to - from) / 2;
    thing = next;
    if (thing.end < from || thing.x > to) timeline.show(thing.x - half, thing.x + half);
    mark();
    const box = byId("chosen").getBoundingClientRect();
    if (box.top < 40 || box.bottom > innerHeight - 60) scrollBy(0, box.top - innerHeight / 2);
    // A scroll hides what is told; so it is told after it.
    requestAnimationFrame(() => requestAnimationFrame(() => {
      const at = byId("chosen").getBoundingClientRect();
      if (thing) timeline.tell(thing.said(), Math.max(at.left, 0), at.bottom - 10);
    }));
  }

  function mark() {
    const rect = byId("chosen"), known = thing && timeline.parts().svg === svg;
    if (!known) return rect.setAttribute("width", 0);
    const first = Math.max(timeline.place(thing.x), timeline.place(timeline.parts().from));
    const last = Math.min(timeline.place(thing.end), timeline.place(timeline.parts().to));
    const box = { x: first - 4, y: thing.top - 2, width: Math.max(last - first, 0) + 8, height: thing.high + 4 };
    for (const name in box) rect.setAttribute(name, box[name]);
  }

  function otherRow(step) {
    const x = thing ? Math.max(thing.x, timeline.parts().from) : timeline.parts().from;
    row = Math.max(0, Math.min(rows.length - 1, row + step));
    choose(after(x));
  }

  function other(step) {
    if (row < 0) return otherRow(1);
    const next = rows[row][rows[row].indexOf(thing) + step];
    if (next) choose(next);
  }

  const acts = {
    ArrowDown: () => otherRow(1), ArrowUp: () => otherRow(-1), n: () => other(1), p: () => other(-1),
    Escape: () => { thing = null; mark(); timeline.hide(); },
  };
  frame.addEventListener("keydown", (event) => {
    const act = acts[event.key] || acts[event.key.toLowerCase()];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    found();
    if (rows.length) act();
  });
  frame.addEventListener("blur", acts.Escape);
  timeline.chosen = () => thing && thing.said();
  // A live picture waits while something in it is read.
  const isHeld = timeline.isHeld;
  timeline.isHeld = () => isHeld() || thing !== null;
  frame.addEventListener("drawn", mark);
})();
