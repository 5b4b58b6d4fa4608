// One stretch of time for all charts. It lives in the address: a preset follows the present, from and to stay.
import { now, setText } from "./time.js";
import { charts, show } from "./charts.js";

const REFRESH_MS = { "15m": 2000, "1h": 10000, "6h": 30000, "24h": 60000, "7d": 120000, "30d": 120000 };
const RETRY_MS = 2000;
const SLOW_MS = 300;
const SHORTEST_MS = 20000;
const LONGEST_MS = 30 * 86400000;

const bar = document.getElementById("range-bar");
const links = [...document.querySelectorAll("#ranges a")];
const keys = links.map((link) => link.dataset.range);
let told = JSON.parse(document.getElementById("chart-span").textContent);
const first = asked(told);
let wanted = first;
let live = told.key || "15m"; // the preset that "Go live" returns to
let fetched = Date.now();
let running = null;
let scheduled = null;
const watchers = new Set();

// {key} or {from, to}, as the address has it.
function asked({ key, from, to }) { return key ? { key } : { from, to }; }
function written({ key, from, to }) { return key ? `range=${key}` : `from=${from}&to=${to}`; }
export function instant(ms) { return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, ""); }
function read(text) { return Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z")); }

export function query() { return written(wanted); }
export function span() { return told; }
// Called with the span after each change of what is shown.
export function onSpan(watcher) { watchers.add(watcher); watcher(told); }

function choose(next, push) {
  if (written(next) === written(wanted)) return;
  wanted = next;
  if (next.key) live = next.key;
  if (push) {
    const url = new URL(location.href);
    for (const name of ["range", "from", "to"]) url.searchParams.delete(name);
    for (const [name, value] of new URLSearchParams(written(next))) url.searchParams.set(name, value);
    history.pushState({ live }, "", url);
  }
  mark();
  clearTimeout(scheduled);
  scheduled = null;
  refresh();
}

function mark() {
  for (const link of links) {
    if (link.dataset.range === wanted.key) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
  }
  bar.dataset.follows = String(Boolean(wanted.key));
  setText(document.getElementById("go-live"), wanted.key ? "Pause" : "Go live");
}

async function refresh() {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  const slow = setTimeout(() => bar.setAttribute("data-loading", ""), SLOW_MS);
  document.dispatchEvent(new CustomEvent("span-asked", { detail: query() }));
  try {
    const answer = await fetch(`${charts.dataset.src}?${query()}`, { signal: mine.signal });
    if (!answer.ok) return;
    const fresh = await answer.json();
    if (running !== mine) return;
    told = fresh.span;
    setText(document.getElementById("range-label"), told.key ? "" : told.label);
    show(fresh.charts);
    for (const watcher of watchers) watcher(told);
  } catch {
    // The Live indicator says that we are offline; what is drawn stays, and what was asked for is asked again.
    if (running === mine && written(asked(told)) !== query()) setTimeout(() => { if (running === null) refresh(); }, RETRY_MS);
  } finally {
    clearTimeout(slow);
    if (running === mine) { running = null; fetched = Date.now(); bar.removeAttribute("data-loading"); }
  }
}

// At most one per REFRESH_MS, and always one after the last thing told. What is fixed does not change.
export function changed() {
  if (scheduled || !wanted.key) return;
  scheduled = setTimeout(() => {
    scheduled = null;
    if (running) changed(); else refresh();
  }, Math.max(0, fetched + REFRESH_MS[wanted.key] - Date.now()));
}

export function zoom(from, to) { choose({ from: instant(from), to: instant(to) }, true); }
export function goLive() { choose({ key: live }, true); }
export function pause() { if (wanted.key) choose({ from: told.from, to: told.to }, true); else goLive(); }

export function zoomOut() {
  if (wanted.key) { step(1); return; }
  const [from, to] = [read(wanted.from), read(wanted.to)];
  const length = 2 * (to - from);
  if (length > LONGEST_MS) { choose({ key: keys.at(-1) }, true); return; }
  const end = Math.min((from + to) / 2 + length / 2, Math.max(now(), to));
  zoom(end - length, end);
}

// Half as long, around the cursor or the middle; of presets the next shorter one.
let centre = () => null;
export function zoomAround(ask) { centre = ask; }
function zoomIn() {
  if (wanted.key) { step(-1); return; }
  const [from, to] = [read(wanted.from), read(wanted.to)];
  const length = Math.max((to - from) / 2, SHORTEST_MS);
  if (length >= to - from) return;
  const start = Math.min(Math.max((centre() ?? (from + to) / 2) - length / 2, from), to - length);
  zoom(start, start + length);
}

function step(by) {
  const next = keys[keys.indexOf(wanted.key) + by];
  if (next) choose({ key: next }, true);
}

document.getElementById("ranges").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  choose({ key: link.dataset.range }, true);
});
document.getElementById("go-live").addEventListener("click", pause);
document.getElementById("zoom-out").addEventListener("click", zoomOut);
document.addEventListener("command:range-shorter", zoomIn);
document.addEventListener("command:range-longer", zoomOut);
document.addEventListener("command:zoom-out", zoomOut);
document.addEventListener("command:pause", pause);
addEventListener("popstate", () => {
  const url = new URLSearchParams(location.search);
  const key = url.get("range");
  const next = url.has("from") ? { from: url.get("from"), to: url.get("to") } : keys.includes(key) ? { key } : first;
  choose(next, false);
  live = next.key ?? history.state?.live ?? live;
});
mark();
