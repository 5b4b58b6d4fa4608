// The fleet page: words and figures change where they stand; the window's figures and the chart are asked for.
// The topic `fleet` carries what dashboard/queries/fleet_page.py `live` says.
import { listen } from "./live.js";
import { setAgo, setText } from "./time.js";
import { setShape } from "./shapes.js";
import { colour, draw, forgetColours } from "./plots.js";

const REFRESH_MS = { "1h": 10000, "6h": 30000, "24h": 60000, "7d": 120000, "30d": 120000 };
const story = document.getElementById("story");
const figure = document.getElementById("chart-delay");
const tables = [...document.querySelectorAll("[data-rows]")];

listen("fleet", ({ data }) => {
  if (story.innerHTML.trim() !== data.story.trim()) story.innerHTML = data.story;
  let reload = false;
  for (const table of tables) reload = patch(table, data.rows[table.dataset.rows]) || reload;
  if (reload) scheduleReload();
});

// Returns whether rows came or went: those are asked for as the server draws them.
function patch(table, told) {
  const rows = [...table.querySelectorAll("[data-row]")];
  for (const row of rows) if (told[row.dataset.row]) fill(row, told[row.dataset.row]);
  return rows.length !== Object.keys(told).length || rows.some((row) => !told[row.dataset.row]);
}

function fill(row, values) {
  for (const cell of row.querySelectorAll("[data-cell]")) setText(cell, values[cell.dataset.cell] ?? "");
  row.toggleAttribute("data-noted", Boolean(values.offset_noted));
  const shape = row.querySelector(".shape");
  if (shape && values.shape && !shape.classList.contains(`shape--${values.shape}`)) setShape(shape, values.shape);
  const since = row.querySelector("time.ago");
  if (since && since.getAttribute("datetime") !== (values.since || null)) setAgo(since, values.since);
}

// Nothing moves under a finger: tables are made anew when none is pointed at or has focus.
let reloading = null;
function scheduleReload() { reloading ??= setInterval(reloadTables, 1000); }
async function reloadTables() {
  if (tables.some((table) => table.matches(":hover, :focus-within"))) return;
  clearInterval(reloading);
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const table of tables) {
      const fresh = page.querySelector(`[data-rows="${table.dataset.rows}"]`);
      if (fresh) table.innerHTML = fresh.innerHTML;
    }
  } catch {
    // The Live indicator says that we are offline; what is drawn stays.
  } finally {
    reloading = null;
  }
}

// The window's figures and the chart
let shown = figure && JSON.parse(document.getElementById("chart-data").textContent);
let visible = false;

function paint() {
  if (!visible || !window.Plotly) return;
  draw(figure.querySelector(".plot"), shown.figure);
  legend();
}

function legend() {
  figure.querySelector("[data-legend]").replaceChildren(...shown.legend.map(([name, spec]) => {
    const [token, pattern] = spec.split(" ");
    const item = document.createElement("li");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const box = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    svg.setAttribute("viewBox", "0 0 10 10");
    for (const [key, value] of Object.entries({ x: 0.5, y: 0.5, width: 9, height: 9, fill: pattern ? "none" : colour(token), stroke: colour(token) })) box.setAttribute(key, value);
    svg.append(box);
    item.append(svg, name);
    return item;
  }));
}

function twin(table) {
  const body = figure.querySelector(".twin tbody");
  body.replaceChildren(...table.rows.map((texts) => {
    const row = document.createElement("tr");
    texts.forEach((text, index) => {
      const cell = row.insertCell();
      cell.textContent = text;
      if (index) cell.className = "num";
    });
    return row;
  }));
}

async function refresh() {
  if (document.visibilityState !== "visible") return;
  try {
    const open = !figure.querySelector(".twin").hidden;
    const answer = await fetch(figure.dataset.src + (open ? "&table=1" : ""));
    if (!answer.ok) return;
    const { figures, chart, table } = await answer.json();
    if (table) twin(table);
    for (const row of document.querySelectorAll('[data-rows="places"] [data-row]')) {
      for (const cell of row.querySelectorAll("[data-figure]")) setText(cell, figures[row.dataset.row]?.[cell.dataset.figure] ?? "");
    }
    if (JSON.stringify(chart) === JSON.stringify(shown)) return;
    shown = chart;
    setText(figure.querySelector("[data-hint]"), shown.hint);
    setText(figure.querySelector("[data-lede]"), shown.lede);
    paint();
  } catch {
    // The Live indicator says that we are offline; what is drawn stays.
  }
}

if (figure) {
  new IntersectionObserver(([entry]) => { visible = entry.isIntersecting; requestAnimationFrame(paint); }, { rootMargin: "200px" }).observe(figure);
  document.addEventListener("themechange", () => { forgetColours(); paint(); });
  const button = figure.querySelector("[data-table]");
  const flip = () => {
    const open = figure.querySelector(".twin").toggleAttribute("hidden") === false;
    button.setAttribute("aria-expanded", String(open));
    setText(button, open ? "Hide table" : "Show as table");
    if (open) refresh();
  };
  button.addEventListener("click", flip);
  document.addEventListener("command:table", flip);
  setInterval(refresh, REFRESH_MS[figure.dataset.range]);
}
