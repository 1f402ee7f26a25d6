"use strict";

for (const place of document.querySelectorAll("[data-figure]")) {
  const figure = JSON.parse(document.getElementById(place.dataset.figure).textContent);
  Plotly.newPlot(place, figure.data, figure.layout, {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  });
}

// Numbers by their value, texts by the alphabet; what has no value stays below, either way.
function compare(a, b, ascending) {
  const [x, y] = [a.dataset.order, b.dataset.order];
  if (x === undefined || y === undefined) {
    if (x !== y) return x === undefined ? 1 : -1;
    const order = a.textContent.localeCompare(b.textContent, undefined, { numeric: true });
    return ascending ? order : -order;
  }
  return ascending ? x - y : y - x;
}

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const ascending = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = [...body.rows];
      rows.sort((a, b) => compare(a.cells[column], b.cells[column], ascending));
      body.append(...rows);
    });
  });
}
