// A sheet to draw on, and what each layer of the network makes of the drawing.

import { element, percent, short } from "./elements.js";
import { showMaps } from "./maps.js";
import { computation } from "./server.js";

const SIDE = 560; // of the sheet's bitmap, twice its size on the screen
const PEN = 0.05;
const KEY_STEP = 1 / 24;
const CLOSE = 1 / 128; // points that are closer add nothing
const MOST_POINTS = 1900;
const MOST_BARS = 12;

export function startDraw({ model }) {
  const pad = document.getElementById("pad");
  const answer = document.getElementById("answer");
  const bars = document.getElementById("bars");
  const latency = document.getElementById("latency");
  const ask = computation("recognize", show, document.getElementById("draw-error"), tell);
  const [channels, height, width] = model.input_shape;
  document.getElementById("draw-lead").textContent =
    `The model ${model.name} takes ${channels === 1 ? "" : `${channels} × `}${height} × ${width} ` +
    `values and has ${model.layers} layers with ${model.parameters.toLocaleString("en")} ` +
    `parameters; a prediction takes ${model.multiply_adds.toLocaleString("en")} multiply-adds. ` +
    "It computes anew with every stroke.";
  if (model.hidden_layers) {
    document.getElementById("layers-note").textContent =
      `The last ${model.hidden_layers} layers are not shown.`;
  }

  let strokes = [];
  let pen = { at: [0.5, 0.5], down: false, shown: false };
  let scheduled = false;

  function changed() {
    paint();
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => {
      scheduled = false;
      ask({ strokes });
    });
  }

  function paint() {
    const context = pad.getContext("2d");
    const style = getComputedStyle(pad);
    context.clearRect(0, 0, SIDE, SIDE);
    context.lineWidth = PEN * SIDE;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = style.color;
    for (const stroke of strokes) {
      context.beginPath();
      context.moveTo(stroke[0][0] * SIDE, stroke[0][1] * SIDE);
      for (const [x, y] of stroke) context.lineTo(x * SIDE, y * SIDE);
      context.stroke();
    }
    if (pen.shown) {
      context.lineWidth = 4;
      context.strokeStyle = style.getPropertyValue("--accent");
      context.beginPath();
      context.arc(pen.at[0] * SIDE, pen.at[1] * SIDE, (PEN * SIDE) / 2 + 4, 0, 7);
      context.stroke();
    }
  }

  function add(point, fresh) {
    if (strokes.reduce((count, stroke) => count + stroke.length, 0) >= MOST_POINTS) return;
    const last = strokes.at(-1)?.at(-1);
    const near = last && Math.hypot(point[0] - last[0], point[1] - last[1]) < CLOSE;
    if (fresh) strokes.push([point]);
    else if (!near) strokes.at(-1).push(point);
    else return;
    changed();
  }

  function place(event) {
    const box = pad.getBoundingClientRect();
    const along = (value, begin, size) =>
      Number(Math.max(0, Math.min(1, (value - begin) / size)).toFixed(4));
    return [along(event.clientX, box.left, box.width), along(event.clientY, box.top, box.height)];
  }

  let drawing = false;
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    drawing = true;
    pen = { ...pen, down: false, shown: false };
    add(place(event), true);
  });
  pad.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    for (const each of event.getCoalescedEvents?.() ?? []) add(place(each), false);
    add(place(event), false);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    pad.addEventListener(end, () => { drawing = false; });
  }

  const actions = {
    " ": () => {
      pen.down = !pen.down;
      if (pen.down) add([...pen.at], true);
    },
    Backspace: undo,
    Escape: clear,
  };
  pad.addEventListener("keydown", (event) => {
    const step = {
      ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
    }[event.key];
    if (!step && !(event.key in actions)) return;
    event.preventDefault();
    pen.shown = true;
    if (step) {
      pen.at = pen.at.map((value, i) => Math.max(0, Math.min(1, value + KEY_STEP * step[i])));
      if (pen.down) add([...pen.at], false);
    } else {
      actions[event.key]();
    }
    paint();
  });
  pad.addEventListener("blur", () => {
    pen = { ...pen, down: false, shown: false };
    paint();
  });

  function undo() {
    pen.down = false;
    strokes.pop();
    changed();
  }
  function clear() {
    pen.down = false;
    strokes = [];
    changed();
  }
  document.getElementById("pad-undo").addEventListener("click", undo);
  document.getElementById("pad-clear").addEventListener("click", clear);

  const examples = document.getElementById("examples");
  examples.hidden = !model.examples;
  for (let digit = 0; digit < model.examples; digit++) {
    examples.lastElementChild.append(element("button", {
      type: "button", "aria-label": `Test digit ${digit}`, onclick: () => {
        strokes = [];
        paint();
        ask({ example: digit });
      },
    }, String(digit)));
  }

  let server = 0;
  function tell(milliseconds) {
    if (!server) return;
    latency.textContent = `${milliseconds.toFixed(1)} ms from the stroke to the pictures, ` +
      `${server.toFixed(1)} ms of them in the server`;
    latency.dataset.milliseconds = milliseconds;
  }

  function show(result) {
    server = result.milliseconds;
    showMaps(result);
    const { prediction } = result;
    if (!prediction) {
      answer.replaceChildren("Nothing is drawn yet.");
      bars.replaceChildren();
      latency.textContent = "";
      return;
    }
    if (prediction.values) {
      answer.replaceChildren(element("strong", {}, prediction.values.map(short).join(", ")));
      return;
    }
    const best = Math.max(...prediction.probabilities);
    answer.replaceChildren(
      element("strong", { id: "label" }, prediction.label),
      `with probability ${percent(best)}`,
    );
    bars.replaceChildren(...ranked(prediction.probabilities).map((index) => {
      const share = prediction.probabilities[index];
      const fill = element("div", { class: "fill" });
      fill.style.width = `${100 * share}%`;
      return element("div", { class: share === best ? "bar best" : "bar" },
        element("span", {}, model.labels[index]), element("div", { class: "track" }, fill),
        element("span", { class: "share" }, percent(share)));
    }));
  }

  /** The classes in their order; of many the most probable. */
  function ranked(probabilities) {
    const all = probabilities.map((_, index) => index);
    if (all.length <= MOST_BARS) return all;
    return all.sort((a, b) => probabilities[b] - probabilities[a]).slice(0, MOST_BARS);
  }

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  paint();
  showMaps({ input: null });
}
