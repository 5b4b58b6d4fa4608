// The target page: charts drawn one per frame and only where they are seen; story, flags and probes kept up to date.
import { listen } from "./live.js";
import { setText } from "./time.js";
import { setShape } from "./shapes.js";
import { enhance } from "./acts.js";
import { colour, draw, forgetColours } from "./plots.js";
import { refreshResidents } from "./residents.js";

const REFRESH_MS = { "15m": 2000, "1h": 10000, "6h": 30000, "24h": 60000, "7d": 120000, "30d": 120000 };
const charts = document.getElementById("charts");
let data = JSON.parse(document.getElementById("chart-data").textContent);
let range = charts.dataset.range;
let fetched = Date.now();
let refreshing = null;

// Drawing
const seen = new Set();
const stale = new Set();
let drawing = false;
const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const key = entry.target.dataset.chart;
    if (entry.isIntersecting) { seen.add(key); want(key, false); } else seen.delete(key);
  }
}, { rootMargin: "200px" });
const drawn = new Map();

function want(key, force) {
  if (!force && drawn.get(key) === data[key]) return;
  stale.add(key);
  if (!drawing) { drawing = true; requestAnimationFrame(drawNext); }
}

function drawNext() {
  const key = [...stale].find((each) => seen.has(each));
  if (!key || !window.Plotly) { drawing = false; return; }
  stale.delete(key);
  drawn.set(key, data[key]);
  const figure = document.getElementById(`chart-${key}`);
  draw(figure.querySelector(".plot"), data[key].figure);
  words(figure, data[key]);
  requestAnimationFrame(drawNext);
}

function words(figure, chart) {
  setText(figure.querySelector("[data-hint]"), chart.hint);
  setText(figure.querySelector("[data-lede]"), chart.lede);
  legend(figure.querySelector("[data-legend]"), chart.legend);
  if (!figure.querySelector(".twin").hidden) table(figure);
}

const SVG = "http://www.w3.org/2000/svg";
function legend(list, entries) {
  list.replaceChildren(...entries.map(([name, spec]) => {
    const [token, pattern] = spec.split(" ");
    const item = document.createElement("li");
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", "0 0 10 10");
    const box = document.createElementNS(SVG, "rect");
    const hollow = pattern === "hollow";
    for (const [key, value] of Object.entries({ x: 0.5, y: 0.5, width: 9, height: 9, fill: hollow || pattern ? "none" : colour(token), stroke: colour(token) })) box.setAttribute(key, value);
    svg.append(box);
    if (pattern && !hollow) {
      const line = document.createElementNS(SVG, "path");
      line.setAttribute("d", pattern === "x" ? "M1 1l8 8M9 1l-8 8" : pattern === "\\" ? "M1 1l8 8" : "M9 1l-8 8");
      line.setAttribute("stroke", colour(token));
      svg.append(line);
    }
    item.append(svg, name);
    return item;
  }));
}

// Table twins
async function table(figure) {
  const chart = data[figure.dataset.chart];
  const answer = await fetch(`${charts.dataset.src}?range=${range}&table=${chart.key}`);
  if (!answer.ok) return;
  const { columns, rows } = (await answer.json()).table;
  const built = document.createElement("table");
  built.className = "table";
  const caption = built.createCaption();
  caption.className = "visually-hidden";
  caption.textContent = `${chart.title}: ${chart.lede}`;
  const head = built.createTHead().insertRow();
  columns.forEach((name, index) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    if (index) cell.className = "num";
    head.append(cell);
  });
  const body = built.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((text, index) => {
      const cell = line.insertCell();
      cell.textContent = text;
      if (index) cell.className = "num";
    });
  }
  if (!rows.length) body.insertRow().insertCell().textContent = chart.lede;
  figure.querySelector(".twin").replaceChildren(built);
}
charts.addEventListener("click", (event) => {
  const button = event.target.closest("[data-table]");
  if (!button) return;
  const figure = button.closest("figure");
  const twin = figure.querySelector(".twin");
  twin.hidden = !twin.hidden;
  button.setAttribute("aria-expanded", String(!twin.hidden));
  setText(button, twin.hidden ? "Show as table" : "Hide table");
  if (!twin.hidden) table(figure);
});

// Data
async function refresh() {
  if (refreshing) return;
  const asked = range;
  refreshing = fetch(`${charts.dataset.src}?range=${asked}`);
  refreshResidents(asked);
  try {
    const answer = await refreshing;
    if (!answer.ok) return;
    const fresh = (await answer.json()).charts;
    if (asked !== range) return;
    for (const [key, chart] of Object.entries(fresh)) {
      if (JSON.stringify(chart) !== JSON.stringify(data[key])) { data[key] = chart; want(key, false); }
    }
    document.getElementById("no-probe")?.remove();
  } catch {
    // The Live indicator says that we are offline; what is drawn stays.
  } finally {
    fetched = Date.now();
    refreshing = null;
    if (asked !== range) refresh();
  }
}

// At most one per REFRESH_MS, and always one after the last thing told.
let scheduled = null;
function scheduleRefresh() {
  if (scheduled) return;
  scheduled = setTimeout(() => { scheduled = null; refresh(); }, Math.max(0, fetched + REFRESH_MS[range] - Date.now()));
}

function chooseRange(next) {
  range = next;
  clearTimeout(scheduled);
  scheduled = null;
  charts.dataset.range = next;
  for (const link of document.querySelectorAll("#ranges a")) {
    if (link.dataset.range === next) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
  }
  refresh();
}
document.getElementById("ranges").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  const url = new URL(location.href);
  url.searchParams.set("range", link.dataset.range);
  history.pushState(null, "", url);
  chooseRange(link.dataset.range);
});

// The opened probe
const opened = document.getElementById("probe");
let opener = null;
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.probe-link");
  if (link && !event.metaKey && !event.ctrlKey && !event.shiftKey) opener = link;
  if (event.target.closest("[data-close]")) { event.preventDefault(); closeProbe(true); }
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && opened.firstElementChild) closeProbe(true); });
document.addEventListener("htmx:after:swap", () => {
  if (!opener || !opened.firstElementChild) return;
  const url = new URL(location.href);
  url.searchParams.set("probe", new URL(opener.href).searchParams.get("probe"));
  history.pushState(null, "", url);
  mark(url.searchParams.get("probe"));
  opened.querySelector("h2")?.focus({ preventScroll: true });
});
function closeProbe(push) {
  opened.replaceChildren();
  mark(null);
  if (push) {
    const url = new URL(location.href);
    url.searchParams.delete("probe");
    history.pushState(null, "", url);
    opener?.focus();
  }
}
function mark(identity) {
  for (const link of document.querySelectorAll("a.probe-link")) {
    const row = link.closest("tr, li");
    if (identity && new URL(link.href).searchParams.get("probe") === identity) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
  }
}
window.addEventListener("popstate", () => {
  const query = new URLSearchParams(location.search);
  const next = query.get("range") ?? "15m";
  if (next !== range) chooseRange(next);
  const probe = query.get("probe");
  if (!probe) closeProbe(false);
  else window.htmx?.ajax("GET", `${location.pathname}?probe=${encodeURIComponent(probe)}`, { target: "#probe", swap: "innerHTML" });
});

// Live
const fragments = { story: "story", flags: "governing", changes: "changes", real: "real-connections", last_probes: "last-probes" };
let waiting = null;
listen("target", ({ data: told }) => {
  setShape(document.getElementById("state-shape"), told.state);
  setText(document.getElementById("state-word"), told.word);
  document.getElementById("state-help").dataset.help = `state:${told.state}`;
  waiting = told;
  place();
  document.dispatchEvent(new CustomEvent("target-told", { detail: told }));
  scheduleRefresh();
});
// A part that is pointed at or has focus is replaced later: nothing moves under a finger.
function place() {
  if (!waiting) return;
  for (const [key, id] of Object.entries(fragments)) {
    const node = document.getElementById(id);
    if (node.dataset.html === waiting[key] || node.contains(document.activeElement) || node.matches(":hover")) continue;
    node.innerHTML = waiting[key];
    node.dataset.html = waiting[key];
    window.htmx?.process(node);
    enhance(node);
  }
}
setInterval(place, 1000);

document.addEventListener("themechange", () => { forgetColours(); for (const key of Object.keys(data)) want(key, true); });
for (const figure of charts.querySelectorAll("figure")) { words(figure, data[figure.dataset.chart]); observer.observe(figure); }
