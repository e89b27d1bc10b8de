"use strict";
// Shows one dashboard at a time, as the address says (#nodes, #prompt/TRACE), and sorts tables.
(() => {
  const boards = [...document.querySelectorAll(".board")];

  const show = () => {
    const [name, trace] = decodeURIComponent(location.hash.slice(1)).split("/");
    const of = boards.filter((board) => board.dataset.board === name);
    const chosen = of.find((board) => board.dataset.trace === trace) ?? of[0] ?? boards[0];
    for (const board of boards) board.hidden = board !== chosen;
    for (const tab of document.querySelectorAll("[data-tab]")) {
      const current = tab.dataset.tab === chosen.dataset.board;
      if (current) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
      if (current) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    for (const select of chosen.querySelectorAll(".traces")) select.value = chosen.dataset.trace;
    document.title = `${chosen.querySelector("h1").textContent} · DDColor`;
    scrollTo(0, 0);
  };
  addEventListener("hashchange", show);
  show();

  addEventListener("change", ({ target }) => {
    if (target.matches(".traces")) location.hash = `prompt/${target.value}`;
  });

  const compare = (column, descending) => (one, other) => {
    const [a, b] = [one, other].map((row) => row.cells[column].dataset.sort);
    const order = a !== "" && b !== "" && !isNaN(a) && !isNaN(b) ? a - b : a.localeCompare(b);
    return descending ? -order : order;
  };
  for (const head of document.querySelectorAll(".sortable th")) {
    head.tabIndex = 0;
    const sort = () => {
      const body = head.closest("table").tBodies[0];
      const descending = head.getAttribute("aria-sort") !== "descending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      body.append(...[...body.rows].sort(compare(head.cellIndex, descending)));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  }
})();
