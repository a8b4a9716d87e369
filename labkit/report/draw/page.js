"use strict";
// Filter and search the findings, move through them by keyboard, and show all about the segment under the pointer or focus.
(() => {
  const findings = [...document.querySelectorAll("article[data-severity]")];
  const search = document.querySelector("#search");
  const boxes = [...document.querySelectorAll("input[data-shows]")];
  const count = document.querySelector("#count");
  const inspector = document.querySelector("#inspector");
  const texts = new Map(findings.map((each) => [each, each.textContent.toLowerCase()]));
  const rows = [...document.querySelectorAll("tbody[data-searched] tr")];
  for (const row of rows) texts.set(row, row.textContent.toLowerCase());

  const visible = () => findings.filter((each) => !each.hidden);

  function filter() {
    const words = (search ? search.value : "").toLowerCase().split(/\s+/).filter(Boolean);
    const shown = new Set(boxes.filter((box) => box.checked).map((box) => box.dataset.shows));
    const matches = (each) => words.every((word) => texts.get(each).includes(word));
    for (const each of findings) each.hidden = !shown.has(each.dataset.severity) || !matches(each);
    for (const row of rows) row.hidden = !matches(row);
    for (const fold of words.length ? document.querySelectorAll("details.rows") : []) fold.open = Boolean(fold.querySelector("tbody tr:not([hidden])"));
    if (count) count.textContent = `${findings.length ? visible().length : rows.filter((row) => !row.hidden).length} / ${findings.length || rows.length}`;
  }

  function move(step) {
    const list = visible();
    if (!list.length) return;
    const at = list.indexOf(document.activeElement.closest("article[data-severity]"));
    const next = list[Math.min(Math.max(at < 0 ? (step > 0 ? 0 : list.length - 1) : at + step, 0), list.length - 1)];
    next.focus();
    next.scrollIntoView({ block: "start" });
  }

  function inspect(segment) {
    const title = segment && segment.querySelector("title");
    inspector.hidden = !title;
    inspector.textContent = title ? title.textContent : "";
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=search]");
    if (event.key === "Escape") {
      if (typing && search) { search.value = ""; filter(); search.blur(); }
      inspect(null);
    } else if (typing || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    } else if (event.key === "/" && search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "j" || event.key === "k") {
      move(event.key === "j" ? 1 : -1);
    } else if (event.key === "e") {
      const folds = [...document.querySelectorAll("details.fold")];
      const open = folds.some((fold) => !fold.open);
      for (const fold of folds) fold.open = open;
    }
  });
  for (const type of ["focusin", "pointerover"]) {
    document.addEventListener(type, (event) => {
      const segment = event.target.closest && event.target.closest("svg .segment");
      if (segment) inspect(segment);
    });
  }
  if (search) search.addEventListener("input", filter);
  for (const box of boxes) box.addEventListener("change", filter);
  window.addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details")) fold.open = true;
  });
  if (inspector) filter();
})();
