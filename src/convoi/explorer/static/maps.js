// Maps of layers, as the server sends them: bytes from the lowest value to the highest.

import { element, short } from "./elements.js";

const SPACE = 1; // pixels between maps
const LARGEST = 48; // width of a map on the screen
const WIDEST = 1120; // of all maps in a row

const sample = document.getElementById("sample");
const layers = document.getElementById("layers");

export function showMaps(result, model) {
  if (!result.input) {
    sample.replaceChildren(element("p", { class: "note" }, "An empty sheet."));
    layers.replaceChildren(element("p", { class: "note" }, "They appear when something is drawn."));
    return;
  }
  const [, height, width] = result.input.shape;
  const picture = element("canvas", {
    width, height, role: "img", "aria-label": `The drawing in ${height} × ${width} values`,
    "data-pixels": result.input.pixels,
  });
  paint(picture, { ...result.input, shape: [1, height, width] }, 1);
  sample.replaceChildren(picture);
  layers.replaceChildren(...result.layers.map((layer) => panelOf(layer)));
  layers.dataset.count = model.layers;
}

function panelOf(layer) {
  const [count, height, width] = layer.shape;
  const of = layer.output_shape.length === 3 && layer.output_shape[0] > count
    ? `, the first ${count} shown` : "";
  const shape = layer.output_shape.join(" × ");
  const canvas = element("canvas", {
    role: "img",
    "aria-label": `${layer.layer}: ${shape} values from ${short(layer.low)} to ${short(layer.high)}`,
  });
  const flat = layer.output_shape.length === 1;
  if (flat) paintRow(canvas, layer, width);
  else paintMaps(canvas, layer, height, width);
  return element("div", { class: "maps", "data-layer": layer.name },
    element("h3", {}, `${layer.layer} `,
      element("span", {}, `${shape}${of}, from ${short(layer.low)} to ${short(layer.high)}`)),
    canvas);
}

/** Maps beside one another, as many in a row as have room. */
function paintMaps(canvas, layer, height, width) {
  const [count] = layer.shape;
  const zoom = Math.max(1, Math.floor(LARGEST / width));
  const room = Math.min(WIDEST, layers.clientWidth || WIDEST);
  const perRow = Math.min(count, Math.max(1, Math.floor(room / ((width + SPACE) * zoom))));
  canvas.width = perRow * (width + SPACE) - SPACE;
  canvas.height = Math.ceil(count / perRow) * (height + SPACE) - SPACE;
  canvas.style.width = `${canvas.width * zoom}px`;
  paint(canvas, layer, perRow);
}

/** The values of a layer without positions, in rows. */
function paintRow(canvas, layer, count) {
  const perRow = Math.min(count, 64);
  const zoom = Math.max(2, Math.min(24, Math.floor(Math.min(WIDEST, layers.clientWidth) / perRow)));
  canvas.width = perRow;
  canvas.height = Math.ceil(count / perRow);
  canvas.style.width = `${perRow * zoom}px`;
  const bytes = decoded(layer.pixels);
  const image = new ImageData(canvas.width, canvas.height);
  bytes.forEach((value, index) => setPixel(image, index, value));
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function paint(canvas, { shape: [count, height, width], pixels }, perRow) {
  const bytes = decoded(pixels);
  const image = new ImageData(canvas.width, canvas.height);
  for (let map = 0; map < count; map++) {
    const left = (map % perRow) * (width + SPACE);
    const top = Math.floor(map / perRow) * (height + SPACE);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        setPixel(image, (top + y) * canvas.width + left + x, bytes[(map * height + y) * width + x]);
      }
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function setPixel(image, index, value) {
  image.data.set([value, value, value, 255], 4 * index);
}

function decoded(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
