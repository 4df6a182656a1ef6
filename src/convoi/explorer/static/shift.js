// An input and the shifted input, and what becomes of both.

import { element, field, long, percent, select, slider } from "./elements.js";
import { grid, largest } from "./grid.js";
import { operands } from "./operand.js";
import { plot, range } from "./plot.js";
import { computation } from "./server.js";

const STAGES = [
  ["inputs", "Input", "input"],
  ["outputs", "Outputs", "outputs"],
  ["pooled", "Pooled", "pooled"],
];
const FARTHEST = 6;
const SECONDS = 0.5; // between two steps of the animation
const SAME = 1e-5; // of the largest value; as the server counts

export function startShift(offered) {
  const state = { right: 1, down: 0, surroundings: "wrap", pool: 4, windows: "overlapping" };
  const error = document.getElementById("shift-error");
  const form = document.getElementById("shift-controls");
  const rows = document.getElementById("shift-rows");
  const statement = document.getElementById("shift-statement");
  const ask = computation("shift", show, error);
  const chosen = operands(
    offered, { prefix: "shift", sample: "digit-3", kernel: "laplacian" }, refresh,
  );
  const steps = (label, name) =>
    slider(label, state[name], -FARTHEST, FARTHEST, (value) => set(name, value));
  const [right, down] = [steps("To the right", "right"), steps("Down", "down")];
  const pools = Array.from({ length: offered.pool }, (_, i) => [String(i + 1), String(i + 1)]);
  const play = element(
    "button", { type: "button", "aria-pressed": "false", onclick: toggle }, "Play",
  );
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  form.addEventListener("submit", (event) => event.preventDefault());
  form.append(
    chosen.box, right, down,
    field("What comes in", select([["wrap", "the other end"], ["constant", "zeros"]],
      state.surroundings, (value) => set("surroundings", value))),
    field("Pooled over", select(pools, String(state.pool), (value) => set("pool", Number(value)))),
    field("Windows", select([["overlapping", "overlapping"], ["apart", "side by side"]],
      state.windows, (value) => set("windows", value))),
    play,
  );

  let timer = null;
  function toggle() {
    timer = timer === null ? setInterval(step, 1000 * SECONDS) : stopped();
    play.setAttribute("aria-pressed", String(timer !== null));
    play.textContent = timer === null ? "Play" : "Pause";
  }
  function stopped() {
    clearInterval(timer);
    return null;
  }
  function step() {
    const next = state.right >= FARTHEST ? -FARTHEST : state.right + 1;
    right.set(next);
    set("right", next);
  }
  // Whoever asks for less motion moves the slider, in steps of their own.
  const respect = () => {
    play.hidden = still.matches;
    if (still.matches && timer !== null) toggle();
  };
  still.addEventListener("change", respect);
  respect();

  function set(name, value) {
    state[name] = value;
    refresh();
  }

  function refresh() {
    try {
      const flat = chosen.rank() === 1;
      down.hidden = flat;
      const { down: below, ...rest } = state;
      ask({ ...chosen.request(), ...rest, ...(flat ? {} : { down: below }) });
    } catch (problem) {
      error.textContent = problem.message;
      error.hidden = false;
    }
  }

  function show(answer) {
    const flat = !Array.isArray(answer.inputs[0][0]);
    rows.replaceChildren(...[0, 1].map((which) => element("div", { class: "shift-row" },
      ...STAGES.map(([name, title, figure]) => element("div", {
        class: "panel", "data-stage": name, "data-which": which ? "shifted" : "original",
      },
      element("h2", {}, which ? `${title} after the shift` : title),
      element("div", { class: "view" }, picture(answer[name], which, title, flat)),
      element("p", { class: "share" }, which
        ? `${percent(answer.changed[figure])} of the values changed`
        : `largest value ${long(Math.max(...answer[name][0].flat()))}`))))));
    statement.replaceChildren(...words(answer));
    rows.dataset.right = state.right;
  }

  function picture(pair, which, title, flat) {
    const label = `${title}${which ? " after the shift" : ""}`;
    const all = pair.flat(3).map(Math.abs);
    const least = SAME * Math.max(...all);
    if (flat) {
      const changed = (i) => which && Math.abs(pair[1][i] - pair[0][i]) > least;
      return plot(pair[which], { label, scale: range(...pair), changed });
    }
    const made = grid(pair[which], { label, scale: largest(...pair) });
    if (which) {
      made.cells.forEach((line, r) => line.forEach((cell, c) => {
        cell.classList.toggle("changed", Math.abs(pair[1][r][c] - pair[0][r][c]) > least);
      }));
    }
    return made;
  }

  function words({ difference, largest: peaks, changed }) {
    const strong = (text, name) => element("strong", { "data-figure": name }, text);
    const inside = difference.interior === null
      ? ["No output is far enough from the border to be compared. "]
      : ["Away from the border, the outputs of the shifted input differ from the shifted outputs ",
        "by ", strong(long(difference.interior), "interior"), " at most"];
    const border = difference.interior === null ? [] : [
      "; at the border by ", strong(long(difference.everywhere), "everywhere"), ". "];
    return [
      ...inside, ...border,
      strong(percent(changed.outputs), "outputs"), " of the outputs changed, ",
      strong(percent(changed.pooled), "pooled"), " of the pooled ones; the largest of all was ",
      strong(long(peaks[0])), " and is ", strong(long(peaks[1])), ".",
    ];
  }

  refresh();
}
