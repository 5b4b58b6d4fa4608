// What the overview shows, in which order and groups: it stands in the address, and back undoes it. The same rule as
// dashboard/queries/arrangement.py.
import { setText } from "./time.js";

const TYPING_MS = 300;
const NAMES = ["state", "env", "location", "tag", "q", "group", "sort"];
const FILTERS = ["state", "env", "location", "tag", "q"];
const TOLD = ["down", "degraded", "stale"];
const form = document.getElementById("view");
const chips = document.getElementById("chips");

export let view = read();
let changed = () => {};
let typing = null;

function read() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.map((name) => [name, shown(name, (query.get(name) ?? "").trim())]));
}

// As the server does: a value that does not exist counts as none.
function shown(name, value) {
  if (name === "state") return chips?.querySelector(`[data-state="${CSS.escape(value)}"]`) ? value : "";
  const control = form?.elements[name];
  if (name === "q" || !control) return value;
  return [...control.options].some((option) => option.value === value) ? value : "";
}

function address(wanted) {
  const query = new URLSearchParams(NAMES.filter((name) => wanted[name]).map((name) => [name, wanted[name]]));
  return query.size ? `/?${query}` : "/";
}

// Called with the names of what changed whenever a person changes the view.
export function onChange(handler) { changed = handler; }

function choose(changes, how) {
  const names = Object.keys(changes).filter((name) => changes[name] !== view[name]);
  view = { ...view, ...changes };
  if (how === "push" && names.length) history.pushState(null, "", address(view));
  show();
  if (names.length) changed(names);
}

function show() {
  for (const link of chips.querySelectorAll("a")) {
    if (link.dataset.state === view.state) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    link.href = address({ ...view, state: link.dataset.state });
  }
  for (const name of ["env", "location", "tag", "group", "sort", "q"]) {
    const control = form.elements[name];
    if (control.value.trim() !== view[name]) control.value = view[name];
  }
  document.querySelector("#no-match a").href = address(cleared());
}

function cleared() { return { ...view, ...Object.fromEntries(FILTERS.map((name) => [name, ""])) }; }
function plain(event) { return !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey && event.button === 0; }

function settleAddress() {
  clearTimeout(typing);
  typing = null;
  if (address(view) !== location.pathname + location.search) history.replaceState(null, "", address(view));
}

export function start() {
  chips.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || !plain(event)) return;
    event.preventDefault();
    choose({ state: link.dataset.state }, "push");
  });
  document.querySelector("#no-match a").addEventListener("click", (event) => {
    if (!plain(event)) return;
    event.preventDefault();
    choose(cleared(), "push");
    form.elements.q.focus();
  });
  form.addEventListener("change", (event) => {
    if (event.target.name !== "q") choose({ [event.target.name]: event.target.value }, "push");
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); settleAddress(); });
  form.elements.q.addEventListener("input", () => {
    choose({ q: form.elements.q.value.trim() }, "later");
    clearTimeout(typing);
    typing = setTimeout(settleAddress, TYPING_MS);
  });
  form.elements.q.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !form.elements.q.value) form.elements.q.blur();
  });
  document.addEventListener("command:search", (event) => { event.preventDefault(); form.elements.q.focus(); form.elements.q.select(); });
  window.addEventListener("popstate", () => { clearTimeout(typing); choose(read(), "as it is"); });
  show();
}

export function matches(row) {
  if ((view.state && row.state !== view.state) || (view.env && row.environment !== view.env)) return false;
  if ((view.location && !row.locations.includes(view.location)) || (view.tag && !row.tags.includes(view.tag))) return false;
  if (!view.q) return true;
  const text = [row.name, row.slug, row.environment_name, ...row.tags, ...row.locations].join(" ").toLowerCase();
  return view.q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

// Given worst first.
export function sorted(rows) {
  const by = {
    name: (a, b) => compare(a.name.toLowerCase(), b.name.toLowerCase()),
    ready: (a, b) => b.p95_us - a.p95_us,
    change: (a, b) => compare(b.change_at, a.change_at),
  }[view.sort];
  return by ? [...rows].sort(by) : rows;
}

function compare(a, b) { return a < b ? -1 : a > b ? 1 : 0; }

export function keysOf(row) {
  if (view.group === "tag") return row.tags.length ? row.tags : [""];
  if (view.group === "location") return [row.locations.join(",")];
  return [view.group === "environment" ? row.environment : ""];
}

export function labelOf(key) {
  if (!key) return `No ${view.group}`;
  if (view.group === "environment") return nameOf("env", key);
  if (view.group !== "location") return key;
  const names = key.split(",").map((each) => nameOf("location", each));
  return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0];
}

function nameOf(name, value) {
  return [...form.elements[name].options].find((option) => option.value === value)?.text ?? value;
}

// "12 targets, 1 down"
export function summary(states) {
  const told = TOLD.map((state) => [states.filter((each) => each === state).length, state]).filter(([number]) => number);
  return [`${states.length} target${states.length === 1 ? "" : "s"}`, ...told.map(([number, state]) => `${number} ${state}`)].join(", ");
}

export function showCounts(counts, all) {
  for (const chip of chips.querySelectorAll(".chip")) {
    const state = chip.dataset.state;
    setText(chip.querySelector("b"), String(state ? counts[state] : all));
    // The last two come and go: nothing stands after them that could move.
    if (state === "unknown" || state === "paused") chip.hidden = !counts[state] && view.state !== state;
  }
}
