"use strict";
// Sorts and filters the table of classes, and shows the mistakes of one cell of the matrix. The
// page says everything without it too.
const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim();
    const number = parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(number) || heads[column].className === "name" ? text : number;
  };
  const compare = (a, b) =>
    typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
  heads.forEach((head, column) => {
    const button = make("button", head.textContent);
    button.type = "button";
    button.addEventListener("click", () => {
      const down = head.ariaSort === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.ariaSort = down ? "descending" : "ascending";
      const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column)));
      body.append(...(down ? rows.reverse() : rows));
    });
    head.replaceChildren(button);
  });
}

function filterable(table, input, said) {
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    const rows = [...table.tBodies[0].rows];
    rows.forEach((row) => { row.hidden = !row.textContent.toLowerCase().includes(wanted); });
    said.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  });
}

function cells(select, figures, said) {
  const show = () => {
    figures.forEach((figure) => {
      figure.hidden = select.value !== "" && figure.dataset.cell !== select.value;
    });
    said.textContent = `${figures.filter((figure) => !figure.hidden).length} shown`;
  };
  select.addEventListener("change", show);
  document.querySelectorAll("#confusion [data-cell]").forEach((cell) => {
    if (![...select.options].some((option) => option.value === cell.dataset.cell)) return;
    cell.classList.add("open");
    cell.addEventListener("click", () => {
      select.value = cell.dataset.cell;
      show();
      document.getElementById("mistakes").scrollIntoView();
      select.focus({ preventScroll: true });
    });
  });
}

const by = (id) => document.getElementById(id);
document.querySelectorAll(".controls").forEach((controls) => { controls.hidden = false; });
sortable(by("class-table"));
filterable(by("class-table"), by("class-filter"), by("class-said"));
if (by("cell")) {
  cells(by("cell"), [...document.querySelectorAll("#mistakes figure")], by("cell-said"));
}
