// The explorer: each section is a module of its own.

import { startConnections } from "./connections.js";
import { startDraw } from "./draw.js";
import { startOperator } from "./operator.js";
import { choices } from "./server.js";
import { startShift } from "./shift.js";

try {
  const offered = await choices();
  startOperator(offered);
  startConnections();
  startShift(offered);
  startDraw(offered);
} catch (error) {
  const trouble = document.getElementById("trouble");
  trouble.textContent = `The explorer could not start: ${error.message}`;
  trouble.hidden = false;
}
