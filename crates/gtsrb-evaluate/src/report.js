"use strict";
// Sorts and filters the table of classes, shows the mistakes of one cell of the matrix, and what
// the points of the map are. The page says everything else without it too.
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

// Which way an arrow key goes: right and down.
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function explore(box, select, sprite, tile, said) {
  const { points, paths, classes, side, columns } = JSON.parse(box.dataset.map);
  const svg = box.querySelector("svg");
  const ring = document.createElementNS(svg.namespaceURI, "circle");
  ring.setAttribute("class", "ring");
  ring.setAttribute("r", "7");
  let current = -1;
  const name = (label) => `${label} ${classes[label]}`;
  const chosen = ([, , label, predicted]) => select.value === "" ||
    (select.value === "mistakes" ? label !== predicted : label === Number(select.value));
  const best = (cost) => {
    let [found, least] = [-1, Infinity];
    points.forEach((point, index) => {
      const price = chosen(point) ? cost(point[0], point[1], index) : Infinity;
      if (price < least) [found, least] = [index, price];
    });
    return [found, least];
  };
  const show = (index) => {
    if (index < 0 || index === current) return;
    current = index;
    const [x, y, label, predicted, sure] = points[index];
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    svg.append(ring);
    const [left, top] = [index % columns * side, Math.floor(index / columns) * side];
    tile.getContext("2d").drawImage(sprite, left, top, side, side, 0, 0, tile.width, tile.height);
    const is = make("p", `is ${name(label)}`);
    const seen = make("p", label === predicted ? `recognised (${sure} %)`
      : `taken for ${name(predicted)} (${sure} %)`);
    seen.className = label === predicted ? "truth" : "guess";
    const path = make("p", paths[index]);
    path.className = "soft";
    said.replaceChildren(is, seen, path);
  };
  const hover = (event) => {
    const at = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM().inverse());
    const [found, distance] = best((x, y) => Math.hypot(x - at.x, y - at.y));
    if (distance < 20) show(found);
  };
  svg.addEventListener("pointermove", hover);
  svg.addEventListener("pointerdown", hover);
  box.addEventListener("keydown", (event) => {
    const way = WAYS[event.key];
    if (!way) return;
    event.preventDefault();
    const from = current < 0 || !chosen(points[current]) ? undefined : points[current];
    show(best((x, y, index) => {
      if (!from) return index;
      const [right, down] = [x - from[0], y - from[1]];
      const ahead = right * way[0] + down * way[1];
      return ahead > 0 && Math.hypot(right, down) < 2 * ahead ? ahead : Infinity;
    })[0]);
  });
  select.addEventListener("change", () => {
    svg.querySelectorAll("[data-marks]").forEach((marks) => {
      const faded = select.value !== "" && marks.dataset.marks !== select.value;
      marks.classList.toggle("faded", faded);
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
if (by("map-box")) {
  explore(by("map-box"), by("map-shown"), by("map-sprite"), by("map-tile"), by("map-said"));
}
