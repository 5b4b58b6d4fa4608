// One cursor for all charts: a line in every plot, moved by the pointer and by the slider in the range bar.
// Dragging zooms; a click, Enter, or "List probes" lists the probes of a column.
import { setText } from "./time.js";
import { charts, chartOf } from "./charts.js";
import { Columns, lay, place } from "./charts_columns.js";
import { instant, onSpan, zoom, zoomAround } from "./charts_span.js";
import { areaAt, offer, offerTimes, withdraw } from "./charts_area.js";
import { open } from "./target_opened.js";

const FEWEST = 4; // columns of a zoom
const STILL_PX = 5; // a press that moves less is a click
const FINGER = matchMedia("(pointer: coarse)").matches;
const IDLE = `Drag over a chart to zoom, ${FINGER ? "tap a column twice" : "click a column"} for its probes.`;

const slider = document.getElementById("time-cursor");
const says = document.getElementById("cursor-says");
const list = document.getElementById("cursor-list");
let columns = null;
let at = null; // UTC in ms, so that the cursor stays with its moment while the window slides
let anchor = null; // the other end of what Shift and the arrows select

onSpan((span) => {
  columns = new Columns(span.cursor);
  slider.max = String(columns.count - 1);
  if (at === null) slider.value = slider.max;
  if (at !== null && columns.of(at) === null) forget(); else paint();
});
zoomAround(() => at);

function forget() {
  at = null;
  slider.value = slider.max;
  paint();
}

function move(column) {
  at = columns.utc(column);
  paint();
}

function paint() {
  const column = at === null ? null : columns.of(at);
  charts.toggleAttribute("data-cursor", column !== null);
  const text = columns.says[column ?? Number(slider.value)] ?? "";
  if (column !== null) {
    slider.value = String(column);
    lay(".plot-cursor", { cursor: columns.middle(column) });
  }
  slider.setAttribute("aria-valuetext", text);
  setText(says, column === null ? IDLE : text);
  list.hidden = column === null;
}

// A column of the finest step, or of the chart that was clicked where its own are wider.
function listProbes(column, step, from) {
  const wide = Math.max(step, columns.step);
  const start = Math.floor(columns.utc(column) / wide) * wide;
  open({ bucket: `${instant(start)}..${instant(start + wide)}` }, from);
}

function select(first, last) {
  const [from, to] = [Math.min(first, last), Math.max(first, last) + 1];
  charts.toggleAttribute("data-selecting", true);
  lay(".plot-area", { from: columns.begins(from), to: columns.begins(to) });
  return [from, to];
}

function unselect() {
  charts.removeAttribute("data-selecting");
  anchor = null;
}

// The slider, by keyboard
slider.addEventListener("input", () => { unselect(); withdraw(); move(Number(slider.value)); });
slider.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
  if (event.key === "Enter") { move(Number(slider.value)); listProbes(Number(slider.value), 0, slider); }
  if (!event.shiftKey || !by) return;
  event.preventDefault();
  const column = Number(slider.value);
  anchor ??= column;
  const next = Math.min(Math.max(column + by, 0), columns.count - 1);
  move(next);
  const [from, to] = select(anchor, next);
  offerTimes(columns, from, to);
});
list.addEventListener("click", () => listProbes(columns.of(at), 0, list));

// Pointers
let press = null;
function plotOf(event) {
  const plot = event.target.closest?.(".plot-box[data-time] .plot");
  return plot && columns ? plot : null;
}

charts.addEventListener("pointerdown", (event) => {
  const plot = plotOf(event);
  if (!plot || event.button !== 0 || !event.isPrimary) return;
  press = { plot, chart: chartOf(plot), from: place(plot, event), x: event.clientX, y: event.clientY, dragging: false, was: at };
});
// A finger that goes up or down scrolls the page: Plotly would keep every touch for itself.
charts.addEventListener("touchstart", (event) => { if (plotOf(event)) event.stopPropagation(); }, { capture: true, passive: true });
// While a button is down Plotly lays a sheet over the whole page: what happens then is heard at the document.
document.addEventListener("pointermove", (event) => {
  const plot = press?.plot ?? plotOf(event);
  if (!plot) return;
  const here = place(plot, event);
  if (press && !press.dragging && Math.hypot(event.clientX - press.x, event.clientY - press.y) > STILL_PX) {
    press.dragging = true;
    withdraw();
  }
  if (!press?.dragging) { if (event.pointerType === "mouse") move(columns.at(here.x)); return; }
  select(columns.at(press.from.x), columns.at(here.x));
  if (press.chart.key === "heat") areaAt(columns, press.chart, press.from, here);
});
document.addEventListener("pointerup", (event) => {
  const done = press;
  press = null;
  if (!done) return;
  const here = place(done.plot, event);
  if (!done.dragging) { unselect(); clicked(done, here, event); return; }
  const [from, to] = select(columns.at(done.from.x), columns.at(here.x));
  if (done.chart.key === "heat") { offer(columns, areaAt(columns, done.chart, done.from, here)); return; }
  unselect();
  if (to - from >= FEWEST) zoom(columns.utc(from), columns.utc(to));
  else setText(says, `A zoom takes at least ${FEWEST} columns.`);
});
document.addEventListener("pointercancel", () => { if (press) { press = null; unselect(); } });

// With a finger the first tap shows a column and the second lists it: there is no hovering.
function clicked({ plot, chart, was }, here, event) {
  const column = columns.at(here.x);
  withdraw();
  move(column);
  const again = was !== null && columns.of(was) === column;
  if (event.pointerType === "mouse" || again) listProbes(column, chart.step * 1000, plot);
}

document.addEventListener("charts-unselect", unselect);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !(charts.hasAttribute("data-selecting") || document.activeElement === slider)) return;
  event.preventDefault();
  press = null;
  unselect();
  withdraw();
  forget();
}, { capture: true });
