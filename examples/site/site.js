"use strict";
const field = document.querySelector(".search input"), list = document.querySelector(".search ol");
const up = document.body.dataset.up, menu = document.querySelector(".menu");
let asked = false;

if (matchMedia("(max-width: 50rem)").matches) menu.open = false;
document.querySelector(".menu [aria-current]")?.scrollIntoView({ block: "nearest" });

/* The index is a script, because a page that was opened as a file may not fetch. */
function load() {
  if (asked) return;
  asked = true;
  const script = document.createElement("script");
  script.src = up + "search.js";
  script.onload = show;
  document.head.append(script);
}

/* How well an entry fits: its title counts more than its text; 0 if a word is missing. */
function score(entry, words) {
  let sum = 0;
  for (const word of words) {
    const title = entry.title.toLowerCase(), at = title.indexOf(word);
    if (title === word || title.endsWith("." + word)) sum += 100;
    else if (at === 0) sum += 40;
    else if (at > 0) sum += 20;
    else if (entry.page.toLowerCase().includes(word)) sum += 8;
    else if (entry.text.toLowerCase().includes(word)) sum += 2;
    else return 0;
  }
  return sum;
}

function excerpt(text, word) {
  const at = Math.max(0, text.toLowerCase().indexOf(word) - 40);
  return (at ? "… " : "") + text.slice(at, at + 130) + (text.length > at + 130 ? " …" : "");
}

function show() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  list.replaceChildren();
  list.hidden = !words.length || !window.searchIndex;
  if (list.hidden) return;
  const found = window.searchIndex.map((entry) => [score(entry, words), entry])
    .filter(([points]) => points).sort((one, other) => other[0] - one[0]).slice(0, 20);
  for (const [, entry] of found) {
    const item = document.createElement("li"), link = document.createElement("a");
    const title = document.createElement("b"), more = document.createElement("small");
    link.href = up + entry.url;
    title.textContent = entry.title;
    more.textContent = (entry.page === entry.title ? "" : entry.page + ": ") + excerpt(entry.text, words[0]);
    link.append(title, more);
    item.append(link);
    list.append(item);
  }
  if (!found.length) {
    const item = document.createElement("li");
    item.className = "none";
    item.textContent = "Nothing found.";
    list.append(item);
  }
}

function move(event) {
  if (event.key === "Escape") { field.value = ""; show(); return field.blur(); }
  const links = [...list.querySelectorAll("a")], here = links.indexOf(document.activeElement);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) { event.preventDefault(); (links[here + step] ?? field).focus(); }
  if (event.key === "Enter" && here < 0 && links.length) links[0].click();
}

field.addEventListener("focus", load);
field.addEventListener("input", () => { load(); show(); });
document.querySelector(".search").addEventListener("keydown", move);
list.addEventListener("click", () => { list.hidden = true; });
document.addEventListener("click", (event) => { if (!event.target.closest(".search")) list.hidden = true; });
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== field) { event.preventDefault(); field.focus(); }
});
