// SPDX-License-Identifier: Apache-2.0
// Adds what the page can do without: tooltips, sorting, zoom, and one unit marked everywhere at once.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // --- tooltips: an SVG title becomes one, so that no second, slower one of the browser shows
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  for (const title of all("svg title")) {
    const owner = title.parentElement;
    owner.dataset.tip = title.textContent;
    if (!owner.hasAttribute("aria-label")) owner.setAttribute("aria-label", title.textContent);
    title.remove();
  }
  const place = (x, y) => {
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, document.documentElement.clientWidth - width - 4))}px`;
    tip.style.top = `${y + 18 + height > window.innerHeight ? Math.max(4, y - height - 10) : y + 18}px`;
  };
  const show = (owner, x, y) => {
    tip.hidden = !owner;
    if (!owner) return;
    tip.textContent = owner.dataset.tip;
    place(x, y);
  };
  document.addEventListener("pointermove", (e) => show(e.target.closest("[data-tip]"), e.clientX, e.clientY));
  document.addEventListener("pointerleave", () => show(null));
  document.addEventListener("scroll", () => show(null), true);
  document.addEventListener("focusin", (e) => {
    const owner = e.target.closest("[data-tip]");
    const box = owner && owner.getBoundingClientRect();
    show(owner, box ? box.left : 0, box ? box.bottom - 10 : 0);
  });
  document.addEventListener("keydown", (e) => e.key === "Escape" && show(null));

  // --- one unit, marked wherever it is drawn
  const mark = (target, on) => {
    const owner = target instanceof Element && target.closest("[data-unit]");
    if (owner) for (const e of all(`[data-unit="${owner.dataset.unit}"]`)) e.classList.toggle("lit", on);
  };
  document.addEventListener("pointerover", (e) => mark(e.target, true));
  document.addEventListener("pointerout", (e) => mark(e.target, false));

  // --- sorting
  const value = (row, column) => {
    const cell = row.cells[column];
    const number = Number(cell.dataset.sort ?? NaN);
    return Number.isNaN(number) ? cell.textContent.trim() : number;
  };
  for (const table of all("table.sortable")) {
    all("thead th", table).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") !== "descending";
        for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].filter((row) => !row.classList.contains("total"));
        const total = [...body.rows].filter((row) => row.classList.contains("total"));
        rows.sort((a, b) => {
          const [x, y] = [value(a, column), value(b, column)];
          const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
          return down ? -order : order;
        });
        body.append(...rows, ...total);
      });
    });
  }

  // --- zoom of the timing diagram
  const gantt = document.querySelector(".gantt");
  for (const box of all(".zoom")) {
    box.hidden = !gantt;
    const buttons = all("button", box);
    const zoom = (pressed) => {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button === pressed));
      gantt.style.width = pressed.dataset.zoom === "1" ? "" : `calc(${100 * pressed.dataset.zoom}%)`;
    };
    for (const button of buttons) button.addEventListener("click", () => zoom(button));
    if (gantt && buttons.length) zoom(buttons[0]);
  }
})();
