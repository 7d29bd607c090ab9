"use strict";
(() => {
  const state = document.getElementById("live");
  const PAUSE = 3000;
  let source = null;

  function say(kind, text) {
    state.className = kind;
    state.textContent = text;
  }

  function follow() {
    if (source) source.close();
    source = document.hidden ? null : new EventSource("feed");
    if (!source) return;
    source.onopen = () => say("on", "live");
    source.onmessage = (event) => {
      if (!timeline.isHeld()) timeline.replace(JSON.parse(event.data));
    };
    source.onerror = () => {
      say("off", "the program does not answer; this is what it said last");
      if (source.readyState === EventSource.CLOSED) setTimeout(follow, PAUSE);
    };
  }

  // A page that nobody looks at costs the program nothing.
  document.addEventListener("visibilitychange", follow);
  follow();
})();
