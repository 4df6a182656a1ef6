// Arrays of two axes as cells with numbers.

import { element, long, short } from "./elements.js";

export function largest(...arrays) {
  return Math.max(...arrays.flat(2).map(Math.abs), 1e-12);
}

/**
 * Return a grid of numbers.
 *
 * @param {number[][]} values
 * @param {object} options `label` for those who do not see it, `scale` the value of full colour,
 *   `outside(row, column)` tells which cells are not part of the array itself, `name` of the cells
 *   for ids, `className`.
 */
export function grid(values, { label, scale, outside, name, className = "", write }) {
  const made = element("div", { class: `grid ${className}`, role: "grid", "aria-label": label });
  made.style.setProperty("--columns", values[0].length);
  made.cells = values.map((row, r) => {
    const line = element("div", { class: "row", role: "row" });
    const cells = row.map((value, c) => {
      const made = cell(value, scale, write?.(r, c));
      if (name) made.id = `${name}-${r}-${c}`;
      if (outside?.(r, c)) made.classList.add("outside");
      made.dataset.row = r;
      made.dataset.column = c;
      return made;
    });
    line.append(...cells);
    made.append(line);
    return cells;
  });
  return made;
}

function cell(value, scale, content) {
  const tint = Math.min(Math.abs(value) / scale, 1);
  const text = short(value);
  const made = element(
    "div",
    { class: "cell", role: "gridcell", title: long(value), "data-value": value },
    content ?? text,
  );
  made.style.setProperty("--v", tint.toFixed(3));
  made.classList.toggle("negative", value < 0);
  made.classList.toggle("long", !content && text.length > 4);
  return made;
}

/** Let a pointer or the arrow keys choose a cell; `choose(row, column)` is called. */
export function pointing(made, current, choose) {
  made.tabIndex = 0;
  const rows = made.cells.length;
  const columns = made.cells[0].length;
  const choosePointed = (event) => {
    const target = event.target.closest(".cell");
    if (target) choose(Number(target.dataset.row), Number(target.dataset.column));
  };
  made.addEventListener("pointerdown", choosePointed);
  made.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") choosePointed(event);
  });
  made.addEventListener("keydown", (event) => {
    const [row, column] = current();
    const next = moved(event.key, row, column, rows, columns);
    if (!next) return;
    event.preventDefault();
    choose(...next);
  });
}

export function moved(key, row, column, rows, columns) {
  const steps = {
    ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    Home: [0, -column], End: [0, columns],
  };
  if (!(key in steps)) return null;
  const within = (value, count) => Math.max(0, Math.min(count - 1, value));
  return [within(row + steps[key][0], rows), within(column + steps[key][1], columns)];
}
