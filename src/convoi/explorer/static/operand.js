// The controls for what an operation works on: a sample and a kernel, chosen or typed.

import { element, field, number, parseRows, select } from "./elements.js";

const TYPED = "typed";
const TYPED_SAMPLE = "0 0 0 0 0 0\n0 1 2 3 4 0\n0 5 6 7 8 0\n0 0 0 0 0 0";
const TYPED_KERNELS = { 1: "1 2 3", 2: "1 2 3\n4 5 6\n7 8 9" };

/**
 * Return controls, and a function that gives the fields of a request (or throws what is wrong).
 *
 * @param {object} offered what the server offers.
 * @param {object} first `sample` and `kernel` that are chosen at the beginning.
 * @param {() => void} change called when something has changed.
 */
export function operands(offered, first, change) {
  const state = { sample: first.sample, kernel: first.kernel, sigma: 0.5, size: 3, axis: -1 };
  const typedSample = textarea(TYPED_SAMPLE);
  const typedKernel = textarea(TYPED_KERNELS[2]);
  const box = element("div");
  box.style.display = "contents";

  function rank() {
    if (state.sample !== TYPED) {
      return offered.samples.find(({ name }) => name === state.sample).rank;
    }
    return parseRows(typedSample.value).length > 1 ? 2 : 1;
  }

  function textarea(value) {
    return element("textarea", { spellcheck: "false", oninput: () => update() }, value);
  }

  let lastRank = 2;
  function update(rebuild = false) {
    const before = lastRank;
    try {
      lastRank = rank();
    } catch {
      // What is wrong with the typed text is shown by those who ask for the request.
    }
    if (before !== lastRank) typedKernel.value = TYPED_KERNELS[lastRank];
    if (rebuild || before !== lastRank) build();
    change();
  }

  function set(name, value) {
    state[name] = value;
    update(true);
  }

  function build() {
    const focused = document.activeElement?.id;
    const samples = offered.samples.map(({ name, title }) => [name, title]);
    const kernels = offered.kernels.map((name) => [name, name[0].toUpperCase() + name.slice(1)]);
    const made = [
      control("Input", select([...samples, [TYPED, "Typed by hand"]], state.sample,
        (value) => set("sample", value)), "sample"),
      state.sample === TYPED && control("Values of the input", typedSample, "sample-values", true),
      control("Kernel", select([...kernels, [TYPED, "Typed by hand"]], state.kernel,
        (value) => set("kernel", value)), "kernel"),
      state.kernel === TYPED && control("Values of the kernel", typedKernel, "kernel-values", true),
      state.kernel === "gaussian" && control("Deviation",
        number(state.sigma, 0.1, 1, 0.1, (value) => { state.sigma = value; update(); }), "sigma"),
      state.kernel === "box" && control("Length",
        number(state.size, 1, offered.taps, 1, (value) => { state.size = value; update(); }),
        "size"),
      state.kernel === "sobel" && lastRank === 2 && control("Difference",
        select([["-1", "to the right"], ["0", "downwards"]], String(state.axis),
          (value) => { state.axis = Number(value); update(); }), "axis"),
    ];
    box.replaceChildren(...made.filter(Boolean));
    if (focused) document.getElementById(focused)?.focus();
  }

  function control(label, made, name, wide = false) {
    made.id = `${first.prefix}-${name}`;
    return field(label, made, wide);
  }

  function request() {
    const wanted = {};
    if (state.sample === TYPED) {
      const rows = parseRows(typedSample.value);
      wanted.rank = rows.length > 1 ? 2 : 1;
      wanted.values = wanted.rank === 1 ? rows[0] : rows;
    } else {
      wanted.sample = state.sample;
    }
    if (state.kernel === TYPED) {
      const rows = parseRows(typedKernel.value);
      if (rank() === 1 && rows.length > 1) {
        throw new Error("The input has one row, so the kernel must have one row, too.");
      }
      wanted.kernel = { values: rank() === 1 ? rows[0] : rows };
    } else {
      wanted.kernel = { name: state.kernel };
      if (state.kernel === "gaussian") wanted.kernel.sigma = state.sigma;
      if (state.kernel === "box") wanted.kernel.size = state.size;
      if (state.kernel === "sobel" && rank() === 2) wanted.kernel.axis = state.axis;
    }
    return wanted;
  }

  build();
  return { box, request, rank };
}
