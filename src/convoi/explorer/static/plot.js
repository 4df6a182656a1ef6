// Arrays of one axis as stems.

import { drawn, long, short } from "./elements.js";

const WIDTH = 400;
const HEIGHT = 150;
const LEFT = 48;
const EDGE = 8;

/**
 * Return a plot of values.
 *
 * @param {number[]} values
 * @param {object} options `label` for those who do not see it, `begin` the position of the first
 *   value, `outside(index)` and `changed(index)` tell which values look different, `scale` the
 *   lowest and highest value.
 */
export function plot(values, { label, begin = 0, outside, changed, scale }) {
  const [low, high] = scale ?? range(values);
  const step = (WIDTH - LEFT - EDGE) / values.length;
  const x = (index) => LEFT + (index + 0.5) * step;
  const y = (value) => EDGE + ((high - value) / (high - low)) * (HEIGHT - 2 * EDGE - 14);
  const made = drawn("svg", {
    class: "plot", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label,
  });
  const band = drawn("g");
  const marks = drawn("g");
  const ends = { x1: LEFT, x2: WIDTH - EDGE, y1: y(0), y2: y(0) };
  made.append(band, drawn("line", { class: "axis", ...ends }));
  for (const value of new Set([low, 0, high])) {
    if (value !== 0 && Math.abs(y(value) - y(0)) < 12) continue;
    made.append(text(LEFT - 6, y(value) + 4, short(value), "end"));
  }
  made.points = values.map((value, index) => {
    const classes = [
      value < 0 ? "below" : "",
      outside?.(index) ? "outside" : "",
      changed?.(index) ? "changed" : "",
    ].join(" ");
    const stem = drawn("line", {
      class: `stem ${classes}`, x1: x(index), x2: x(index), y1: y(0), y2: y(value),
    });
    const point = drawn("circle", {
      class: classes, cx: x(index), cy: y(value), r: Math.min(4, step / 2), "data-value": value,
      "data-index": index + begin,
    }, drawn("title", {}, `${index + begin}: ${long(value)}`));
    made.append(stem, point);
    return point;
  });
  const every = Math.ceil(values.length / 8);
  for (let index = 0; index < values.length; index += every) {
    made.append(text(x(index), HEIGHT - 4, short(index + begin), "middle"));
  }
  made.append(marks);

  made.indexAt = (event) => {
    const box = made.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * WIDTH;
    return Math.max(0, Math.min(values.length - 1, Math.floor((place - LEFT) / step)));
  };
  /** Show a band under these values. */
  made.showWindow = (indices) => {
    band.replaceChildren(...indices.map((index) => drawn("rect", {
      class: "window", x: LEFT + index * step, width: step, y: 0, height: HEIGHT - 16,
    })));
  };
  made.showPointed = (index) => {
    marks.replaceChildren(drawn("circle", {
      class: "pointed", fill: "none", cx: x(index), cy: y(values[index]), r: 7,
    }));
  };
  return made;
}

/** Lowest and highest value, zero among them. */
export function range(...arrays) {
  const all = arrays.flat();
  const low = Math.min(0, ...all);
  const high = Math.max(0, ...all);
  return low === high ? [0, 1] : [low, high];
}

function text(x, y, content, anchor) {
  return drawn("text", { x, y, "text-anchor": anchor }, content);
}
