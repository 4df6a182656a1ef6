// Layers as drawings: units and the connections between them.

import { drawn, element, field, number, select } from "./elements.js";
import { computation } from "./server.js";

const TITLES = {
  dense: ["Dense", "Every output sees every input, by weights of its own."],
  local: ["Locally connected", "Every output sees a few neighbours, by weights of its own."],
  tiled: ["Tiled", "A few kernels take turns along the outputs."],
  convolutional: ["Convolutional", "All outputs share one kernel."],
};
const WIDTH = 520;
const HEIGHT = 190;
const [TOP, BOTTOM] = [46, 144];
const RADIUS = 10;

export function startConnections() {
  const state = { inputs: 8, taps: 3, stride: 1, padding: "same", tile: 2 };
  const error = document.getElementById("connections-error");
  const form = document.getElementById("connections-controls");
  const box = document.getElementById("connections-layers");
  const table = document.querySelector("#connections-table tbody");
  const ask = computation("connect", show, error);
  const control = (label, name, least, most) =>
    field(label, number(state[name], least, most, 1, (value) => set(name, value)));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.append(
    control("Inputs", "inputs", 2, 16),
    control("Taps of a kernel", "taps", 1, 5),
    control("Stride", "stride", 1, 3),
    field("Padding", select([["same", "same"], ["valid", "valid"]], state.padding,
      (value) => set("padding", value))),
    control("Kernels of the tiled layer", "tile", 1, 16),
  );

  let result = null;
  let chosen = 2;

  function set(name, value) {
    state[name] = value;
    ask(state);
  }

  function show(answer) {
    result = answer;
    chosen = Math.min(chosen, answer.layers[0].outputs - 1);
    render();
    table.replaceChildren(...answer.layers.map((layer) => element("tr", { "data-kind": layer.kind },
      element("th", { scope: "row" }, TITLES[layer.kind][0]),
      ...["connections", "weights", "biases", "parameters"].map(
        (name) => element("td", { "data-figure": name }, layer[name].toLocaleString("en")),
      ))));
  }

  function render() {
    const focused = document.activeElement?.closest?.(".layer")?.dataset.kind;
    box.replaceChildren(...result.layers.map(panelOf));
    if (focused) box.querySelector(`[data-kind="${focused}"] svg`)?.focus();
  }

  function panelOf(layer) {
    const [title, text] = TITLES[layer.kind];
    return element("div", { class: "panel layer", "data-kind": layer.kind },
      element("h2", {}, title),
      element("p", { class: "note" }, text),
      picture(layer),
      element("p", { class: "note" }, caption(layer)));
  }

  function caption(layer) {
    const own = layer.edges.filter(([, o]) => o === chosen);
    const weights = new Set(own.map(([, , weight]) => weight));
    const shared = layer.edges.filter(([, , weight]) => weights.has(weight)).length - own.length;
    const sharing = shared ? `with ${shared} others` : "with no other";
    return `The ${own.length} connections of output ${chosen} share their weights ${sharing}.`;
  }

  function picture(layer) {
    const x = (index, count) => ((index + 0.5) / count) * WIDTH;
    const own = new Set(layer.edges.filter(([, o]) => o === chosen).map(([, , weight]) => weight));
    const rank = ([, o, weight]) => (o === chosen ? 2 : own.has(weight) ? 1 : 0);
    const names = ["", "shared", "own"];
    const lines = [...layer.edges].sort((a, b) => rank(a) - rank(b)).map((edge) => drawn("line", {
      class: names[rank(edge)],
      x1: x(edge[0], result.inputs), y1: BOTTOM, x2: x(edge[1], layer.outputs), y2: TOP,
    }));
    const seen = new Set(layer.edges.filter(([, o]) => o === chosen).map(([i]) => i));
    const units = [
      ...Array.from({ length: result.inputs }, (_, i) => drawn("circle", {
        class: seen.has(i) ? "on" : "", cx: x(i, result.inputs), cy: BOTTOM, r: RADIUS,
      })),
      ...Array.from({ length: layer.outputs }, (_, o) => drawn("circle", {
        class: o === chosen ? "unit on" : "unit", cx: x(o, layer.outputs), cy: TOP, r: RADIUS,
        onpointerdown: () => choose(o),
      })),
    ];
    const label = `${TITLES[layer.kind][0]} layer of ${result.inputs} inputs and ` +
      `${layer.outputs} outputs: ${layer.connections} connections, ${layer.weights} weights. ` +
      "Arrow keys choose an output.";
    return drawn("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, tabindex: "0",
      onkeydown: (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        choose(Math.max(0, Math.min(layer.outputs - 1, chosen + step)));
      },
    }, drawn("text", { x: 0, y: 18 }, "outputs"), drawn("text", { x: 0, y: HEIGHT - 6 }, "inputs"),
    ...lines, ...units);
  }

  function choose(output) {
    chosen = output;
    render();
  }

  ask(state);
}
