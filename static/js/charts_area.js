// A selected area of the heatmap, or stretch of time: zoom to it, or ask what is different about its probes.
import { setText } from "./time.js";
import { charts } from "./charts.js";
import { lay } from "./charts_columns.js";
import { instant, zoom } from "./charts_span.js";
import { open } from "./target_opened.js";

const FEWEST = 4; // columns of a zoom
const bar = document.getElementById("pick");
const text = document.getElementById("pick-says");
const ready = document.getElementById("pick-ready");
const drawn = ready.querySelector("[data-drawn]");
let area = null;

const clock = (says) => says.slice(0, says.indexOf(","));
const words = (ms) => (ms >= 1000 ? `${+(ms / 1000).toFixed(1)}\u00a0s` : `${ms.toFixed(ms < 10 ? 1 : 0)}\u00a0ms`);

// Between two places of the heatmap: whole columns of its own, whole rows, and the probes counted in them.
export function areaAt(columns, chart, a, b) {
  const step = chart.step * 1000;
  const [first, last] = [Math.min(a.x, b.x), Math.max(a.x, b.x)].map((share) => Math.floor(columns.utc(columns.at(share)) / step));
  const edges = chart.figure.layout.meta.edges_ms;
  const [low, high] = chart.figure.layout.yaxis.range;
  const row = (share) => {
    const ms = 10 ** (low + share * (high - low));
    return ms >= edges.at(-1) ? edges.length - 1 : Math.max(edges.findLastIndex((edge) => edge <= ms), 0);
  };
  const [bottom, top] = [Math.min(a.y, b.y), Math.max(a.y, b.y)].map(row);
  const share = (index) => (index >= edges.length ? 1 : (Math.log10(edges[index]) - low) / (high - low));
  lay("#chart-heat .plot-area", { bottom: share(bottom), top: share(top + 1) });
  charts.toggleAttribute("data-area", true);
  const origin = Math.floor(columns.first / step);
  return { from: first * step, to: (last + 1) * step, ...latencies(edges, bottom, top), probes: counted(chart, first - origin, last - origin, bottom, top) };
}

// As the address has them, and in words. Nothing faster than the lowest row is left out.
function latencies(edges, bottom, top) {
  const never = edges.length - 1;
  if (bottom === never) return { ready: "never", words: "never" };
  if (bottom === 0 && top === never) return { ready: "", words: "" };
  const low = bottom === 0 ? 0 : edges[bottom];
  const high = top === never ? "never" : edges[top + 1];
  return { ready: `${low}..${high}`, words: `${low ? words(low) : "0"} to ${high === "never" ? "never" : words(high)}` };
}

function counted(chart, first, last, bottom, top) {
  const rows = [...chart.figure.data[0].customdata, chart.figure.data[1].customdata[0]];
  return rows.slice(bottom, top + 1).reduce((sum, row) => sum + row.slice(first, last + 1).reduce((all, n) => all + (n ?? 0), 0), 0);
}

export function offer(columns, next) {
  area = { ...next, columns };
  const says = columns.says[columns.of(Math.max(area.from, columns.first))] ?? "";
  const end = columns.of(area.to);
  setText(text, `${clock(says)} to ${end === null ? "the end" : clock(columns.says[end])}: ${area.probes} ${area.probes === 1 ? "probe" : "probes"}`);
  setText(drawn, area.words);
  drawn.value = area.ready;
  drawn.hidden = !area.words;
  ready.value = area.ready;
  bar.hidden = false;
}

// Of a stretch of time alone, as Shift and the arrows select it: whatever became of its probes.
export function offerTimes(columns, from, to) {
  area = { from: columns.utc(from), to: columns.utc(to), columns };
  const last = to < columns.count ? clock(columns.says[to]) : "the end";
  setText(text, `${clock(columns.says[from])} to ${last}`);
  drawn.hidden = true;
  ready.value = "";
  bar.hidden = false;
}

export function withdraw() {
  area = null;
  bar.hidden = true;
  charts.removeAttribute("data-area");
}

function clear() {
  withdraw();
  document.dispatchEvent(new Event("charts-unselect"));
}

document.getElementById("pick-compare").addEventListener("click", (event) => {
  if (!area) return;
  open({ picked: `${instant(area.from)}..${instant(area.to)}`, ready: ready.value }, event.currentTarget);
});
document.getElementById("pick-zoom").addEventListener("click", () => {
  if (!area) return;
  const { from, columns } = area;
  const to = Math.max(area.to, from + FEWEST * columns.step);
  clear();
  zoom(from, to);
});
document.getElementById("pick-clear").addEventListener("click", clear);
