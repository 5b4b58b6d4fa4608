// The command palette: finds targets, acts and pages by words. It opens them and never acts.
import { setShape } from "./shapes.js";

const MOST = 60;
const FRESH_MS = 5000;
const REST_MS = 500;
const SHAPES = new Set(["up", "degraded", "down", "stale", "paused", "unknown"]);
const dialog = document.getElementById("palette");
const input = document.getElementById("palette-input");
const list = document.getElementById("palette-list");
const counted = document.getElementById("palette-count");
let groups = [];
let asked = 0;
let problem = "";
let chosen = -1;
let rest = null;

export function openPalette() {
  if (dialog.open) { input.select(); return; }
  for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false;
  input.value = "";
  dialog.showModal();
  show();
  void load();
}

async function load() {
  if (groups.length && Date.now() - asked < FRESH_MS) return;
  asked = Date.now();
  try {
    const answer = await fetch(`${dialog.dataset.src}?at=${encodeURIComponent(location.pathname)}`, { redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    groups = (await answer.json()).groups;
    problem = "";
  } catch {
    asked = 0;
    problem = groups.length ? "" : "No answer from the server. Close this and try again.";
  }
  if (dialog.open) show();
}

// Every word must be found. What begins with the query comes before what contains it.
function rank(entry, words) {
  const label = entry.label.toLowerCase();
  const text = `${label} ${entry.note.toLowerCase()}`;
  if (!words.every((word) => text.includes(word))) return -1;
  const query = words.join(" ");
  if (label.startsWith(query)) return 3;
  return words.every((word) => label.includes(word)) ? 2 : 1;
}

function found() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return groups.map(({ title, entries }) => ({ title, entries: entries.filter((entry) => entry.first) }));
  const told = new Set();
  return groups.map(({ title, entries }) => {
    const ranked = entries.filter(({ href }) => !told.has(href) && told.add(href)).map((entry) => ({ entry, at: rank(entry, words) })).filter(({ at }) => at >= 0);
    return { title, entries: ranked.sort((one, other) => other.at - one.at).map(({ entry }) => entry) };
  });
}

function show() {
  const shown = found().filter(({ entries }) => entries.length);
  const all = shown.reduce((sum, { entries }) => sum + entries.length, 0);
  let left = MOST;
  const nodes = shown.map(({ title, entries }) => {
    const some = entries.slice(0, left);
    left -= some.length;
    return some.length ? groupNode(title, some) : null;
  }).filter(Boolean);
  if (!groups.length) nodes.push(line(problem || "Loading…"));
  else if (!all) nodes.push(line(input.value ? "Nothing matches." : "Type the name of a target, a page or an act."));
  else if (all > MOST) nodes.push(line(`${all - MOST} more. Type more to narrow them.`));
  list.replaceChildren(...nodes);
  choose(options().length ? 0 : -1);
  clearTimeout(rest);
  rest = setTimeout(() => { counted.textContent = all === 1 ? "1 found" : `${all} found`; }, REST_MS);
}

function line(text) {
  const node = document.createElement("p");
  node.className = "palette-none";
  node.textContent = text;
  return node;
}

function groupNode(title, entries) {
  const node = document.createElement("div");
  const head = document.createElement("p");
  node.setAttribute("role", "group");
  head.id = `palette-${title.replace(/\W+/g, "-")}`;
  head.className = "palette-title";
  head.textContent = title;
  node.setAttribute("aria-labelledby", head.id);
  node.append(head, ...entries.map((entry) => option(entry)));
  return node;
}

function option(entry) {
  const node = document.createElement("div");
  const label = document.createElement("span");
  const note = document.createElement("span");
  node.setAttribute("role", "option");
  node.setAttribute("aria-selected", "false");
  node.className = "palette-option";
  node.dataset.href = entry.href;
  label.textContent = entry.label;
  note.textContent = entry.note;
  note.className = "palette-note";
  if (SHAPES.has(entry.state)) node.append(shape(entry.state));
  node.append(label, note);
  return node;
}

function shape(state) {
  const node = document.querySelector("#live svg").cloneNode(true);
  node.setAttribute("class", "shape");
  setShape(node, state);
  return node;
}

function options() { return [...list.querySelectorAll("[role=option]")]; }

function choose(index) {
  const all = options();
  all.forEach((node, at) => { node.id = `palette-option-${at}`; node.setAttribute("aria-selected", String(at === index)); });
  chosen = index;
  if (index < 0) { input.removeAttribute("aria-activedescendant"); return; }
  input.setAttribute("aria-activedescendant", all[index].id);
  all[index].scrollIntoView({ block: "nearest" });
}

function go(node, apart) {
  if (!node) return;
  dialog.close();
  if (apart) window.open(node.dataset.href, "_blank", "noopener"); else location.href = node.dataset.href;
}

const STEPS = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
input.addEventListener("input", show);
input.addEventListener("keydown", (event) => {
  const all = options();
  if (event.key in STEPS && all.length) {
    event.preventDefault();
    const step = STEPS[event.key];
    const next = chosen + step;
    if (Math.abs(step) === 1) choose((next + all.length) % all.length);
    else choose(Math.max(0, Math.min(all.length - 1, next)));
  } else if (event.key === "Enter" && !event.isComposing) {
    event.preventDefault();
    go(all[chosen], event.ctrlKey || event.metaKey);
  }
});
list.addEventListener("click", (event) => { go(event.target.closest("[role=option]"), event.ctrlKey || event.metaKey); });
list.addEventListener("pointermove", (event) => {
  const node = event.target.closest("[role=option]");
  const at = node ? options().indexOf(node) : -1;
  if (at >= 0 && at !== chosen) choose(at);
});
// The next key is the page's at once, not only after the next frame.
dialog.addEventListener("close", () => input.blur());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
