// Convolution and correlation side by side, with the products behind each output.

import { element, field, long, number, select, short } from "./elements.js";
import { grid, largest, pointing } from "./grid.js";
import { operands } from "./operand.js";
import { plot, range } from "./plot.js";
import { computation } from "./server.js";

const KINDS = ["convolution", "correlation"];
const FUNCTIONS = { convolution: "convoi.convolve", correlation: "convoi.correlate" };
const MANY_TAPS = 25; // from which on the products are shown without their factors

export function startOperator(offered) {
  const state = { mode: "same", boundary: "constant", fill_value: 0, stride: 1, dilation: 1 };
  const error = document.getElementById("operator-error");
  const status = document.getElementById("operator-status");
  const form = document.getElementById("operator-controls");
  const inputView = document.getElementById("input-view");
  const panel = (kind, part) => document.querySelector(`#${kind} .${part}`);
  const ask = computation("operate", show, error);
  const chosen = operands(
    offered, { prefix: "operator", sample: "digit-3", kernel: "sobel" }, refresh,
  );
  const fill = field(
    "Value outside", number(0, -99, 99, "any", (value) => set("fill_value", value)),
  );
  form.addEventListener("submit", (event) => event.preventDefault());
  form.append(
    chosen.box,
    field("Mode", select(offered.modes.map((name) => [name, name]), state.mode,
      (value) => set("mode", value))),
    field("Boundary", select(offered.boundaries.map((name) => [name, name]), state.boundary,
      (value) => { fill.hidden = value !== "constant"; set("boundary", value); })),
    fill,
    field("Stride", number(1, 1, offered.step, 1, (value) => set("stride", value))),
    field("Dilation", number(1, 1, offered.step, 1, (value) => set("dilation", value))),
  );

  let result = null; // the arrays of the answer, all with two axes
  let pointed = [0, 0];
  let views = null;

  function set(name, value) {
    state[name] = value;
    refresh();
  }

  function refresh() {
    try {
      ask({ ...chosen.request(), ...state });
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    }
  }

  function show(answer) {
    const first = result === null || result.flat !== !Array.isArray(answer.input[0]);
    result = withTwoAxes(answer);
    const [rows, columns] = size(result.convolution.output);
    if (first) {
      pointed = result.flat
        ? [0, highest(result.convolution.output[0])]
        : [rows >> 1, columns >> 1];
    }
    pointed = [Math.min(pointed[0], rows - 1), Math.min(pointed[1], columns - 1)];
    views = { input: showInput() };
    const scale = largest(result.convolution.output, result.correlation.output);
    const ends = range(result.convolution.output.flat(), result.correlation.output.flat());
    for (const kind of KINDS) views[kind] = showResult(kind, scale, ends);
    point(...pointed, false);
  }

  function showInput() {
    const { extended, input, begin, flat } = result;
    const [rows, columns] = size(input);
    const outside = (row, column) =>
      row + begin[0] < 0 || row + begin[0] >= rows || column + begin[1] < 0 ||
      column + begin[1] >= columns;
    const around = extended.length * extended[0].length > rows * columns;
    document.getElementById("input-note").textContent =
      (flat ? `${columns} samples` : `${rows} × ${columns}`) +
      (around ? `, and around it what boundary “${state.boundary}” takes it to be` : "");
    const made = flat
      ? plot(extended[0], {
        label: `Input, ${columns} samples`, begin: begin[1], outside: (index) => outside(0, index),
      })
      : grid(extended, {
        label: `Input, ${rows} rows and ${columns} columns`, scale: largest(extended), outside,
      });
    inputView.replaceChildren(made);
    return made;
  }

  function showResult(kind, scale, ends) {
    const { taps, output } = result[kind];
    const [rows, columns] = size(output);
    const shape = result.flat ? `${columns} outputs` : `${rows} × ${columns} outputs`;
    panel(kind, "shape").textContent = shape;
    panel(kind, "taps").replaceChildren(
      grid(taps, { label: `Kernel of the ${kind}`, scale: largest(taps), className: "small" }),
    );
    let made;
    if (result.flat) {
      made = plot(output[0], { label: `${kind}, ${shape}`, scale: ends });
      pointAlong(made, columns);
    } else {
      made = grid(output, { label: `${kind}, ${shape}`, scale, name: kind });
      pointing(made, () => pointed, point);
    }
    panel(kind, "output").replaceChildren(made);
    return made;
  }

  function pointAlong(made, columns) {
    made.setAttribute("tabindex", "0");
    made.addEventListener("pointermove", (event) => point(0, made.indexAt(event)));
    made.addEventListener("pointerdown", (event) => point(0, made.indexAt(event)));
    made.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, Home: -columns, End: columns }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      point(0, Math.max(0, Math.min(columns - 1, pointed[1] + step)));
    });
  }

  /** Show the window and the products of an output. */
  function point(row, column, announced = true) {
    const window = windowOf(row, column);
    if (result.flat) {
      views.input.showWindow(window.map(({ column: at }) => at));
      for (const kind of KINDS) views[kind].showPointed(column);
    } else {
      for (const marked of inputView.querySelectorAll(".window")) marked.classList.remove("window");
      for (const at of window) views.input.cells[at.row][at.column].classList.add("window");
      for (const kind of KINDS) {
        const [before, now] = [pointed, [row, column]];
        views[kind].cells[before[0]]?.[before[1]]?.classList.remove("pointed");
        views[kind].cells[now[0]][now[1]].classList.add("pointed");
        views[kind].setAttribute("aria-activedescendant", `${kind}-${row}-${column}`);
      }
    }
    pointed = [row, column];
    for (const kind of KINDS) showProducts(kind, window);
    if (announced) {
      const place = result.flat ? `Output ${column}` : `Output row ${row}, column ${column}`;
      const values = KINDS.map((kind) => `${kind} ${long(result[kind].output[row][column])}`);
      status.textContent = `${place}: ${values.join(", ")}`;
    }
  }

  /** The elements of the extended input that an output is a sum over, in the order of the taps. */
  function windowOf(row, column) {
    const { begin, low, stride, dilation, extended } = result;
    const [rows, columns] = size(result.convolution.taps);
    const along = (o, t, axis) => o * stride[axis] + t * dilation[axis] - low[axis] - begin[axis];
    const window = [];
    for (let t = 0; t < rows; t++) {
      for (let u = 0; u < columns; u++) {
        const at = { row: along(row, t, 0), column: along(column, u, 1) };
        window.push({ ...at, tap: [t, u], value: extended[at.row][at.column] });
      }
    }
    return window;
  }

  function showProducts(kind, window) {
    const { taps, output } = result[kind];
    const value = output[pointed[0]][pointed[1]];
    const products = taps.map((row) => row.map(() => 0));
    let sum = 0;
    let size = 0;
    for (const { tap: [t, u], value: x } of window) {
      products[t][u] = taps[t][u] * x;
      sum += products[t][u];
      size += Math.abs(products[t][u]);
    }
    const columns = taps[0].length;
    const many = window.length > MANY_TAPS;
    const write = (t, u) => {
      const x = window[t * columns + u].value;
      const product = element("b", {}, short(products[t][u]));
      if (many) return product;
      const both = document.createDocumentFragment();
      both.append(product, element("small", {}, `${short(x)} · ${short(taps[t][u])}`));
      return both;
    };
    const equal = Math.abs(sum - value) <= 1e-9 * (size + 1);
    const place = result.flat ? `output ${pointed[1]}` : `row ${pointed[0]}, column ${pointed[1]}`;
    panel(kind, "products").replaceChildren(
      element("p", { class: "note" }, `Input · kernel at ${place}`),
      element("div", { class: "view" }, grid(products, {
        label: `Products at ${place}`, scale: largest(products), write,
        className: many ? "many" : "",
      })),
      element("p", { class: "sum" }, "Sum ",
        element("strong", { "data-value": sum }, long(sum)), " ",
        element("span", { class: equal ? "check" : "check wrong" },
          equal ? `= ${FUNCTIONS[kind]}` : `differs from ${FUNCTIONS[kind]}: ${long(value)}`)),
    );
  }

  refresh();
}

/** Give the arrays of an answer two axes, the first of length 1 where there was one. */
function withTwoAxes(answer) {
  const flat = !Array.isArray(answer.input[0]);
  const rows = (array) => (flat ? [array] : array);
  const axes = (values, other) => (flat ? [other, ...values] : values);
  const both = (value, other) => (flat ? [other, value] : [value, value]);
  return {
    flat,
    input: rows(answer.input),
    extended: rows(answer.extended),
    begin: axes(answer.begin, 0),
    low: axes(answer.low, 0),
    stride: both(answer.stride, 1),
    dilation: both(answer.dilation, 1),
    ...Object.fromEntries(KINDS.map((kind) => [
      kind, { taps: rows(answer[kind].taps), output: rows(answer[kind].output) },
    ])),
  };
}

function size(array) {
  return [array.length, array[0].length];
}

function highest(values) {
  const sizes = values.map(Math.abs);
  return sizes.indexOf(Math.max(...sizes));
}
