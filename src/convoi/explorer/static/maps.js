// Maps of layers, as the server sends them: bytes from the lowest value to the highest.

import { element, short } from "./elements.js";

const SPACE = 3; // between maps, in pixels of the screen
const LARGEST = 48; // width of a map on the screen
const SMALL = 30; // the same where there is little room
const NARROW = 700; // room that is little
const PER_ROW = 64; // values of a layer without positions
const WIDEST_VALUE = 24;

const sample = document.getElementById("sample");
const layers = document.getElementById("layers");
const scratch = document.createElement("canvas");

let panels = []; // of the layers, kept from stroke to stroke
let room = 0;
let last = null;

export function showMaps(result) {
  last = result;
  if (!result.input) {
    panels = [];
    sample.replaceChildren(element("p", { class: "note" }, "An empty sheet."));
    layers.replaceChildren(element("p", { class: "note" }, "They appear when something is drawn."));
    return;
  }
  const [, height, width] = result.input.shape;
  const picture = element("canvas", {
    width, height, role: "img", "aria-label": `The drawing in ${height} × ${width} values`,
    "data-pixels": result.input.pixels,
  });
  // The channels of a drawing are all the same.
  paint(picture, { shape: [1, height, width], pixels: result.input.pixels }, 1, 1, 0);
  sample.replaceChildren(picture);
  if (panels.length !== result.layers.length || room !== layers.clientWidth) {
    room = layers.clientWidth;
    panels = result.layers.map(panelOf);
    layers.replaceChildren(...panels.map(({ panel }) => panel));
  }
  result.layers.forEach((layer, index) => panels[index].update(layer));
}

window.addEventListener("resize", () => {
  if (last?.input && room !== layers.clientWidth) showMaps(last);
});

function panelOf(layer) {
  const [count] = layer.shape;
  const flat = layer.output_shape.length === 1;
  const of = !flat && layer.output_shape[0] > count ? `, the first ${count} shown` : "";
  const shape = layer.output_shape.join(" × ");
  const canvas = element("canvas", { role: "img" });
  const note = element("span");
  const layOut = flat ? rowLayout : mapLayout;
  const arranged = layOut(canvas, layer.shape);
  const panel = element("div", { class: "maps", "data-layer": layer.name },
    element("h3", {}, `${layer.layer} `, note), canvas);
  return {
    panel,
    update(next) {
      const range = `from ${short(next.low)} to ${short(next.high)}`;
      note.textContent = `${shape}${of}, ${range}`;
      canvas.setAttribute("aria-label", `${layer.layer}: ${shape} values ${range}`);
      paint(canvas, arranged.shaped(next), arranged.perRow, arranged.zoom, arranged.space);
    },
  };
}

/** Maps beside one another, as many in a row as have room. */
function mapLayout(canvas, [count, height, width]) {
  const zoom = Math.max(1, Math.floor((room < NARROW ? SMALL : LARGEST) / width));
  const [across, down] = [width * zoom + SPACE, height * zoom + SPACE];
  const perRow = Math.min(count, Math.max(1, Math.floor((room + SPACE) / across)));
  canvas.width = perRow * across - SPACE;
  canvas.height = Math.ceil(count / perRow) * down - SPACE;
  return { perRow, zoom, space: SPACE, shaped: (layer) => layer };
}

/** The values of a layer without positions, each a map of one value. */
function rowLayout(canvas, [, , count]) {
  const perRow = Math.min(count, PER_ROW);
  const zoom = Math.max(4, Math.min(WIDEST_VALUE, Math.floor(room / perRow)));
  canvas.width = perRow * zoom;
  canvas.height = Math.ceil(count / perRow) * zoom;
  const shaped = (layer) => ({ shape: [count, 1, 1], pixels: layer.pixels });
  return { perRow, zoom, space: 0, shaped };
}

function paint(canvas, { shape: [count, height, width], pixels }, perRow, zoom, space) {
  const bytes = Uint8Array.from(atob(pixels), (character) => character.charCodeAt(0))
    .subarray(0, count * height * width);
  // All maps below one another, then each to its place, enlarged.
  scratch.width = width;
  scratch.height = height * count;
  const image = new ImageData(width, height * count);
  // Opaque and grey; processors that run browsers have the lowest byte of a word first.
  const words = new Uint32Array(image.data.buffer);
  bytes.forEach((value, index) => { words[index] = 0xff000000 | (value * 0x010101); });
  scratch.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  for (let map = 0; map < count; map++) {
    const [across, down] = [width * zoom, height * zoom];
    const left = (map % perRow) * (across + space);
    const top = Math.floor(map / perRow) * (down + space);
    context.drawImage(scratch, 0, map * height, width, height, left, top, across, down);
  }
}
