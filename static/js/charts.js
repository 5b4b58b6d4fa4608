// The charts of a page: drawn one per frame and only where they are seen, with their words and legends.
import { setText } from "./time.js";
import { colour, draw, forgetColours } from "./plots.js";

export const charts = document.getElementById("charts");
const data = {};
const seen = new Set();
const stale = new Set();
const drawn = new Map();
const watchers = new Set();
let drawing = false;

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const key = entry.target.dataset.chart;
    if (entry.isIntersecting) { seen.add(key); want(key, false); } else seen.delete(key);
  }
}, { rootMargin: "200px" });

export function chartOf(node) { return data[node.closest("figure").dataset.chart]; }
export function figureOf(key) { return document.getElementById(`chart-${key}`); }
// Called with (figure, chart) after each change of a chart's words, whether or not it is in view.
export function onWords(watcher) { watchers.add(watcher); }

// Draws what differs from what is there. Old data stays until its successor is drawn.
export function show(fresh) {
  for (const [key, chart] of Object.entries(fresh)) {
    if (JSON.stringify(chart) === JSON.stringify(data[key])) continue;
    data[key] = chart;
    const figure = figureOf(key);
    if (!figure) continue;
    words(figure, chart);
    // The cursor belongs to charts over time alone.
    figure.querySelector(".plot-box").toggleAttribute("data-time", chart.figure.layout.xaxis?.type === "date");
    observer.observe(figure);
    want(key, false);
  }
}

function want(key, force) {
  if (!data[key] || (!force && drawn.get(key) === data[key])) return;
  stale.add(key);
  if (!drawing) { drawing = true; requestAnimationFrame(drawNext); }
}

function drawNext() {
  const key = [...stale].find((each) => seen.has(each));
  if (!key || !window.Plotly) { drawing = false; return; }
  stale.delete(key);
  drawn.set(key, data[key]);
  draw(figureOf(key).querySelector(".plot"), data[key].figure);
  requestAnimationFrame(drawNext);
}

function words(figure, chart) {
  setText(figure.querySelector("[data-hint]"), chart.hint);
  setText(figure.querySelector("[data-lede]"), chart.lede);
  legend(figure.querySelector("[data-legend]"), chart.legend);
  for (const watcher of watchers) watcher(figure, chart);
}

const SVG = "http://www.w3.org/2000/svg";
const PATTERNS = { x: "M1 1l8 8M9 1l-8 8", "\\": "M1 1l8 8" };
function legend(list, entries) {
  list.replaceChildren(...entries.map(([name, spec]) => {
    const [token, pattern] = spec.split(" ");
    const item = document.createElement("li");
    item.append(key(token, pattern), name);
    return item;
  }));
}

function key(token, pattern) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 10 10");
  const box = { x: 0.5, y: 0.5, width: 9, height: 9, fill: pattern ? "none" : colour(token), stroke: colour(token) };
  svg.append(shape("rect", box));
  if (pattern && pattern !== "hollow") svg.append(shape("path", { d: PATTERNS[pattern] ?? "M9 1l-8 8", stroke: colour(token) }));
  return svg;
}

function shape(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value);
  return node;
}

document.addEventListener("themechange", () => {
  forgetColours();
  for (const each of Object.keys(data)) {
    if (figureOf(each)) legend(figureOf(each).querySelector("[data-legend]"), data[each].legend);
    want(each, true);
  }
});
