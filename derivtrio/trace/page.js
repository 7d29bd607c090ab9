"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const frame = byId("frame"), tip = byId("tip");
  let svg, units, unit, begin, wall, most, left, height, time, axis, grid, texts, titles, dots, bounds, width;
  let from = 0, to = 0, held = null, whole = true;

  // The picture is replaced while it is live; so nothing else holds a part of it.
  function bind() {
    svg = byId("picture");
    const data = svg.dataset;
    unit = Number(data.unit);
    begin = Number(data.begin);
    wall = data.wall ? Number(data.wall) : null;
    units = Math.max(Number(data.units), Number(data.least || 0) / unit);
    most = Number(data.left);
    height = Number(svg.getAttribute("height"));
    [time, axis, grid] = ["time", "axis", "grid"].map(byId);
    texts = [...byId("texts").children].map((node) => ({
      node, x: Number(node.dataset.x), w: Number(node.dataset.w), need: 0,
    }));
    titles = [...byId("titles").children].map((node) => ({ node, text: node.textContent }));
    dots = [...svg.querySelectorAll(".dots")];
    bounds = svg.viewBox.baseVal;
  }

  const room = () => width - left - 10;
  const scale = () => room() / (to - from);
  const place = (x) => left + (x - from) * scale();

  function show(first, last) {
    const span = Math.min(Math.max(last - first, Math.min(20, units)), units * 1.02);
    const middle = (first + last) / 2;
    from = Math.min(Math.max(middle - span / 2, -units * 0.02), units * 1.02 - span);
    to = from + span;
    whole = span >= units;
    draw();
  }

  function draw() {
    const s = scale();
    time.setAttribute("transform", `translate(${left - from * s},0) scale(${s},1)`);
    for (const text of texts) {
      const begin = Math.max(place(text.x), left), end = Math.min(place(text.x + text.w), width);
      text.need = text.need || text.node.getComputedTextLength() + 8;
      const fits = end - begin >= text.need;
      text.node.style.display = fits ? "" : "none";
      if (fits) text.node.setAttribute("x", begin + 4);
    }
    rule();
    frame.dispatchEvent(new Event("drawn"));
    byId("range").textContent = `${said(from, true)} to ${said(to, true)}`;
  }

  // Shows a newer picture: of the same time, or of its new end if the old end was shown.
  function replace(parts) {
    const old = { unit, begin, units };
    for (const id in parts) byId(id).innerHTML = parts[id];
    bind();
    const moved = (x) => (old.begin + x * old.unit - begin) / unit;
    const atEnd = to >= old.units, shift = atEnd ? units - moved(old.units) : 0;
    const first = moved(from) + shift, last = moved(to) + shift;
    if (whole) [from, to] = [0, units];
    else [from, to] = [first, last];
    fitWidth();
  }

  function step() {
    const least = (90 / scale()) * unit;
    const sizes = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
    const large = sizes.find((size) => size >= least);
    if (least > 1) return large || Math.ceil(least / 86400) * 86400;
    const power = 10 ** Math.floor(Math.log10(least));
    return [1, 2, 5, 10, 20, 50, 100].map((n) => n * power).find((size) => size >= Math.max(least, 0.001));
  }

  function rule() {
    const size = step(), lines = [], parts = [];
    const origin = wall === null ? begin : wall, end = origin + Math.min(to, units) * unit;
    for (let n = Math.ceil((origin + Math.max(from, 0) * unit) / size); n * size <= end; n++) {
      const at = (n * size - origin) / unit, x = place(at);
      lines.push(`<line x1="${x}" x2="${x}" y1="20" y2="${height}"/>`);
      parts.push(`<text x="${x + 4}" y="15">${said(at, false, size)}</text>`);
    }
    grid.innerHTML = lines.join("");
    const clock = wall !== null ? "time of day, UTC" : origin + units * unit < 120 ? "time, s" : "time, h:min:s";
    axis.innerHTML = `<rect class="paper" width="${width}" height="22"/><text x="12" y="15">${clock}</text>${parts.join("")}`;
    for (const label of axis.querySelectorAll("text")) {
      if (label.getBBox().x + label.getBBox().width > width) label.remove();
    }
    stick();
  }

  // The axis stays in sight when the picture is higher than the window.
  function stick() {
    const out = -svg.getBoundingClientRect().top;
    axis.setAttribute("transform", `translate(0,${Math.max(0, Math.min(out, height - 40))})`);
  }

  // Where there is little room, titles are shortened.
  function shorten() {
    for (const { node, text } of titles) {
      const room = left - Number(node.getAttribute("x")) - 4;
      node.textContent = text;
      if (node.getComputedTextLength() <= room) continue;
      let end = text.length - 1;
      while (end > 1 && node.getSubStringLength(0, end) > room - 12) end--;
      node.textContent = `${text.slice(0, end)}…`;
    }
  }

  function said(x, exact, size) {
    if (wall !== null) return clock(wall + x * unit, size || ((to - from) * unit) / 100);
    const seconds = begin + Math.max(x, 0) * unit, total = begin + units * unit;
    const digits = exact || size < 1 ? Math.max(0, Math.min(3, Math.ceil(-Math.log10((size || (to - from) * unit / 100))))) : 0;
    if (total < 120) return `${seconds.toFixed(digits)} s`;
    const two = (n) => String(Math.floor(n)).padStart(2, "0");
    const rest = (seconds % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
    const days = Math.floor(seconds / 86400), day = days ? `${days} d ` : "";
    return `${day}${two((seconds % 86400) / 3600)}:${two((seconds % 3600) / 60)}:${rest}`;
  }

  // The time of day in UTC, with as many decimals as a step of this size needs.
  function clock(seconds, size) {
    const digits = size < 1 ? Math.min(3, Math.ceil(-Math.log10(size))) : 0;
    return new Date(seconds * 1000).toISOString().slice(11, digits ? 20 + digits : 19);
  }

  function zoom(factor, at) {
    const span = (to - from) * factor;
    const share = (at - from) / (to - from);
    show(at - span * share, at - span * share + span);
  }

  const atPointer = (event) => {
    const box = svg.getBoundingClientRect();
    return from + ((event.clientX - box.left) * (bounds.width / box.width) - left) / scale();
  };

  function nearestDot(event) {
    const box = svg.getBoundingClientRect(), y = event.clientY - box.top, x = atPointer(event);
    let best = null;
    for (const path of dots) {
      path.places = path.places || read(path);
      if (Math.abs(path.y - y) > 9) continue;
      let low = 0, high = path.places.length - 1;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (path.places[middle] < x) low = middle + 1; else high = middle;
      }
      for (const n of [low - 1, low]) {
        const away = Math.abs(path.places[n] - x) * scale();
        if (away <= 6 && (!best || away <= best.away)) best = { away, path, n };
      }
    }
    return best;
  }

  function read(path) {
    const shape = path.getAttribute("d"), places = [];
    path.y = Number(/^M0 ([\d.]+)/.exec(shape)[1]);
    path.counts = path.dataset.n ? path.dataset.n.split(" ") : null;
    let x = 0;
    for (const match of shape.matchAll(/m(\d+) 0/g)) places.push((x += Number(match[1])));
    return places;
  }

  function ofDot(path, n) {
    const count = path.counts ? path.counts[n] : "1";
    const kind = path.classList.contains("fetched") ? "fetched from the history" : "live";
    return `${path.dataset.title}: ${count} ${kind}, at ${said(path.places[n], true, 0.01)}`;
  }

  function explain(event) {
    const dot = event.target.closest("#frame") && nearestDot(event);
    let text = event.target.dataset.h || "";
    if (dot) text = ofDot(dot.path, dot.n);
    tell(text, event.clientX, event.clientY);
  }

  // Shows *text* near a place of the window, in which it fits.
  function tell(text, x, y) {
    tip.style.display = text ? "block" : "none";
    tip.textContent = text;
    tip.style.left = "0";
    const box = tip.getBoundingClientRect(), room = document.documentElement.clientWidth;
    tip.style.left = `${Math.max(4, Math.min(x + 14, room - box.width - 8))}px`;
    const below = y + 18 + box.height < innerHeight;
    tip.style.top = `${below ? y + 18 : Math.max(4, y - box.height - 12)}px`;
  }

  function fitWidth() {
    width = Math.max(frame.clientWidth, 240);
    left = Math.min(most, Math.round(width * 0.34));
    shorten();
    svg.setAttribute("width", width);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    byId("window").setAttribute("x", left);
    byId("window").setAttribute("width", width - left);
    draw();
  }

  frame.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, from, to, still: true };
    frame.classList.add("moving");
    frame.setPointerCapture(event.pointerId);
  });
  frame.addEventListener("pointermove", (event) => {
    if (!held) return explain(event);
    tip.style.display = "none";
    const moved = (held.x - event.clientX) / scale();
    held.still = held.still && Math.abs(held.x - event.clientX) < 4;
    show(held.from + moved, held.to + moved);
  });
  const release = () => { held = null; frame.classList.remove("moving"); };
  frame.addEventListener("pointerup", (event) => {
    const tapped = held && held.still;
    release();
    if (tapped) explain({ target: document.elementFromPoint(event.clientX, event.clientY), clientX: event.clientX, clientY: event.clientY });
  });
  frame.addEventListener("pointercancel", release);
  // A finger leaves when it is lifted; what it has asked for stays until the next tap.
  const hide = () => { tip.style.display = "none"; };
  frame.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") hide(); });
  addEventListener("scroll", () => { hide(); stick(); });
  document.addEventListener("pointerdown", (event) => { if (!frame.contains(event.target)) hide(); });
  frame.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoom(1.0015 ** event.deltaY, atPointer(event));
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      const moved = event.deltaX / scale();
      show(from + moved, to + moved);
    }
  }, { passive: false });
  frame.addEventListener("dblclick", (event) => zoom(0.25, atPointer(event)));

  const middle = () => (from + to) / 2;
  const acts = {
    "+": () => zoom(0.5, middle()), "-": () => zoom(2, middle()), 0: () => show(0, units),
    ArrowLeft: () => show(from - (to - from) / 5, to - (to - from) / 5),
    ArrowRight: () => show(from + (to - from) / 5, to + (to - from) / 5),
  };
  document.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && acts[event.key]) acts[event.key]();
  });
  byId("in").onclick = acts["+"];
  byId("out").onclick = acts["-"];
  byId("fit").onclick = acts[0];
  byId("why").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const first = Number(button.dataset.from), last = Number(button.dataset.to);
    const margin = Math.max(last - first, 10) * 0.6;
    show(first - margin, last + margin);
  });
  addEventListener("resize", fitWidth);
  bind();
  to = units;
  fitWidth();
  window.timeline = {
    replace, show, tell, hide, read, ofDot, place, isHeld: () => held !== null,
    parts: () => ({ svg, dots, from, to }),
  };
})();
