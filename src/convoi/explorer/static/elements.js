// Making elements, and the words for numbers.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value);
  made.append(...children);
  return made;
}

export function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(made, name, value);
  made.append(...children);
  return made;
}

function setAttribute(made, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
  else made.setAttribute(name, value === true ? "" : value);
}

/** A number in few characters: up to three digits. */
export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e5) return value.toExponential(0).replace("e+", "e").replace("-", "−");
  if (value !== 0 && size < 0.005) return value.toExponential(0).replaceAll("-", "−");
  const decimals = size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return String(Number(value.toFixed(decimals))).replace("-", "−");
}

/** A number to read: up to six digits. */
export function long(value) {
  return String(Number(value.toPrecision(6))).replace("-", "−");
}

export function percent(share) {
  return `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %`;
}

let fields = 0;

/** A labelled control; `change` is called with its value. */
export function field(label, control, wide = false) {
  control.id ||= `field-${++fields}`;
  return element(
    "label",
    { class: wide ? "field wide" : "field", for: control.id },
    element("span", {}, label),
    control,
  );
}

export function select(options, value, change) {
  const control = element("select", { onchange: () => change(control.value) });
  for (const [name, title] of options) {
    control.append(element("option", { value: name, selected: name === value }, title));
  }
  return control;
}

export function number(value, least, most, step, change) {
  const control = element("input", { type: "number", value, min: least, max: most, step });
  control.addEventListener("input", () => {
    if (control.value !== "" && control.validity.valid) change(control.valueAsNumber);
  });
  return control;
}

/** A slider with its value beside the label. */
export function slider(label, value, least, most, change) {
  const shown = element("output", {}, short(value));
  const control = element("input", { type: "range", value, min: least, max: most, step: 1 });
  control.addEventListener("input", () => {
    shown.textContent = short(control.valueAsNumber);
    change(control.valueAsNumber);
  });
  const made = field(label, control);
  made.firstChild.append(" ", shown);
  made.set = (next) => {
    control.value = next;
    shown.textContent = short(next);
  };
  return made;
}

/** Numbers typed in rows: one line for each row, or semicolons between rows. */
export function parseRows(text) {
  const rows = text
    .replaceAll("−", "-")
    .split(/[\n;]/)
    .map((line) => line.trim())
    .filter(Boolean)
    .map((line) => line.split(/[\s,]+/).filter(Boolean).map(Number));
  if (!rows.length) throw new Error("Type at least one number.");
  if (rows.some((row) => row.some((value) => !Number.isFinite(value)))) {
    throw new Error("Only numbers can be typed, with blanks between them and a line for each row.");
  }
  if (rows.some((row) => row.length !== rows[0].length)) {
    throw new Error("All rows must have the same number of values.");
  }
  return rows;
}
