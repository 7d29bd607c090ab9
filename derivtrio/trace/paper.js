"use strict";
// On paper a high picture is cut between rows, so that no row is cut by the end of a page.
(() => {
  const ROWS = 14, NS = "http://www.w3.org/2000/svg";
  const sheet = document.createElement("div");

  function cut() {
    document.getElementById("axis").removeAttribute("transform");
    const { svg } = timeline.parts(), { width, height } = svg.viewBox.baseVal;
    const tops = [...svg.querySelectorAll("#titles text")].map((node) => Number(node.getAttribute("y")) - 16);
    const cuts = [0, ...tops.filter((_, n) => n && n % ROWS === 0 && n < tops.length - ROWS / 2), height];
    if (cuts.length < 4) return;
    for (let n = 1; n < cuts.length; n++) {
      const part = document.createElementNS(NS, "svg"), use = document.createElementNS(NS, "use");
      part.setAttribute("viewBox", `0 ${cuts[n - 1]} ${width} ${cuts[n] - cuts[n - 1]}`);
      use.setAttribute("href", "#picture");
      part.append(use);
      sheet.append(part);
    }
    document.body.classList.add("cut");
    document.getElementById("frame").after(sheet);
  }

  sheet.id = "sheet";
  addEventListener("beforeprint", cut);
  addEventListener("afterprint", () => {
    sheet.replaceChildren();
    sheet.remove();
    document.body.classList.remove("cut");
  });
})();
