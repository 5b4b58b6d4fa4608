// The overview in place: values change where they are, rows change place only when nobody is pointing at them.
import { listen } from "./live.js";
import { clock, setAgo, setText } from "./time.js";
import { setRibbon, setShape, sparkPath } from "./shapes.js";

const IDLE_MS = 5000;
const list = document.getElementById("targets");
const stories = document.getElementById("stories");
const banners = document.getElementById("banners");
let pointed = 0;
let order = null;
let storiesHtml = null;
let filter = { state: list?.dataset.state ?? "", env: list?.dataset.env ?? "" };

const rows = () => [...list.children];
const rowOf = new Map(list ? rows().map((row) => [row.dataset.slug, row]) : []);

listen("overview", ({ data }) => {
  // Between the first target and none the whole page differs: there is nothing on it that could be lost.
  if (!list || !data.order.length) { if (Boolean(list) !== Boolean(data.order.length)) location.reload(); return; }
  dropGone(new Set(data.order));
  for (const [slug, row] of Object.entries(data.rows)) if (rowOf.has(slug)) patch(rowOf.get(slug), row);
  if (data.order.some((slug) => !rowOf.has(slug))) fetchNew();
  patchChips(data.counts, data.order.length);
  order = data.order;
  storiesHtml = data.stories;
  settle();
});

function patch(node, row) {
  const flipped = node.dataset.state !== row.state;
  if (flipped) {
    node.dataset.state = row.state;
    setShape(node.querySelector(".t-state .shape"), row.state);
    const state = node.querySelector(".state");
    state.className = `state state--${row.state}`;
    state.textContent = row.word;
  }
  const [since, changed, result] = node.querySelectorAll("time.ago");
  since.dataset.prefix = row.state === "up" ? "for " : "";
  setAgo(since, row.since);
  setAgo(changed, row.change_at);
  setAgo(result, row.result_at);
  const note = node.querySelector(".t-note");
  setText(note, row.note);
  note.title = row.note;
  for (const field of node.querySelectorAll("[data-f]")) setText(field, row[field.dataset.f]);
  node.querySelector("[data-bounds]").title = row.delivery_bounds && `95 %: ${row.delivery_bounds} of events arrive`;
  setRibbon(node.querySelector(".ribbon"), row.ribbon, row.ribbon_label);
  node.querySelector(".spark-line").setAttribute("d", sparkPath(row.spark));
  node.querySelector(".spark-objective").setAttribute("d", `M0 ${row.spark_objective}h76`);
  if (flipped) mark(node);
}

function mark(node) {
  node.classList.remove("changed");
  requestAnimationFrame(() => node.classList.add("changed"));
}

function patchChips(counts, all) {
  for (const chip of document.querySelectorAll("#chips .chip")) {
    const state = chip.dataset.state;
    setText(chip.querySelector("b"), String(state ? counts[state] : all));
    // The last two come and go: nothing stands after them that could move.
    if (state === "unknown" || state === "paused") chip.hidden = !counts[state] && filter.state !== state;
  }
}

// What would move things waits until nobody points, has focus or has scrolled; a pill offers to do it now.
function settle() {
  const moved = order ? misplaced() : 0;
  const news = storiesHtml !== null && stories.dataset.html !== storiesHtml;
  if (news && sameShape(storiesHtml)) showStories();
  if (!moved && !(news && stories.dataset.html !== storiesHtml)) { pill(""); return; }
  if (idle()) apply(); else pill(moved ? `${moved} changed place. Sort now` : "The story changed. Show it");
}

function idle() {
  const busy = document.activeElement && document.activeElement !== document.body && document.getElementById("main").contains(document.activeElement);
  if (list.matches(":hover") || stories.matches(":hover")) pointed = Date.now();
  return !busy && window.scrollY < 8 && Date.now() - pointed > IDLE_MS;
}

function misplaced() {
  const shown = order.filter((slug) => rowOf.has(slug) && matches(rowOf.get(slug)));
  const current = rows().filter((row) => !row.hidden).map((row) => row.dataset.slug);
  if (shown.length === current.length && shown.every((slug, index) => slug === current[index])) return 0;
  return shown.filter((slug, index) => slug !== current[index]).length || 1;
}

function apply() {
  showStories();
  applyFilter();
  const wanted = order?.filter((slug) => rowOf.has(slug)) ?? rows().map((row) => row.dataset.slug);
  wanted.forEach((slug, index) => {
    const node = rowOf.get(slug);
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
  pill("");
}

function showStories() {
  if (storiesHtml === null) return;
  // Replacing a story under a pointer or focus would take the button away from it.
  if (stories.contains(document.activeElement) || stories.matches(":hover")) return;
  stories.innerHTML = storiesHtml;
  stories.dataset.html = storiesHtml;
}

function shapeOf(node) { return [...node.children].map((child) => child.className).join("|"); }
function sameShape(html) {
  const draft = document.createElement("div");
  draft.innerHTML = html;
  return shapeOf(draft) === shapeOf(stories);
}

function pill(text) {
  let node = document.getElementById("sort-now");
  if (!text) { node?.remove(); return; }
  if (!node) {
    node = document.createElement("button");
    node.type = "button";
    node.id = "sort-now";
    node.className = "pill";
    node.addEventListener("click", () => { document.activeElement?.blur(); apply(); });
    banners.append(node);
  }
  setText(node, text);
}

function dropGone(kept) {
  for (const [slug, row] of rowOf) {
    if (kept.has(slug)) continue;
    row.remove();
    rowOf.delete(slug);
  }
}

// A new target's row comes from the page as the server renders it now, and goes to the end: nothing moves for it.
let fetching = false;
async function fetchNew() {
  if (fetching) return;
  fetching = true;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const row of page.querySelectorAll("#targets > .target")) if (!rowOf.has(row.dataset.slug)) add(document.adoptNode(row));
  } catch {
    // No server: the next update tries again.
  } finally {
    fetching = false;
  }
  applyFilter();
  settle();
}

function add(row) {
  rowOf.set(row.dataset.slug, row);
  list.append(row);
  mark(row);
}

// Filters
function matches(row) {
  return (!filter.state || row.dataset.state === filter.state) && (!filter.env || row.dataset.env === filter.env);
}
function applyFilter() {
  for (const row of rows()) row.hidden = !matches(row);
  document.getElementById("no-match").hidden = rows().some((row) => !row.hidden);
}
function readFilter() {
  const query = new URLSearchParams(location.search);
  filter = { state: query.get("state") ?? "", env: query.get("env") ?? "" };
}
function showFilter() {
  for (const [key, nav] of [["state", "chips"], ["env", "environments"]]) {
    for (const link of document.querySelectorAll(`#${nav} a`)) {
      if (link.dataset[key] === filter[key]) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
      link.href = addressOf({ ...filter, [key]: link.dataset[key] });
    }
  }
  applyFilter();
}
function addressOf(wanted) {
  const query = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value));
  return query.size ? `/?${query}` : "/";
}
for (const nav of ["chips", "environments"]) {
  document.getElementById(nav)?.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    const key = nav === "chips" ? "state" : "env";
    filter = { ...filter, [key]: link.dataset[key] };
    history.pushState(null, "", addressOf(filter));
    showFilter();
  });
}
window.addEventListener("popstate", () => { readFilter(); showFilter(); });

// One tooltip for all ribbons
const tooltip = document.getElementById("tooltip");
const LETTERS = { u: "Up", g: "Slow", d: "Failed", m: "Missed, by us", s: "Stale", p: "Paused", z: "Not probed yet" };
const slots = new Map();
list?.addEventListener("pointermove", (event) => {
  pointed = Date.now();
  const row = event.target.closest(".target");
  const ribbon = row?.querySelector(".ribbon");
  const box = ribbon?.getBoundingClientRect();
  const inside = box && event.clientX >= box.left && event.clientX < box.right && event.clientY >= box.top - 6 && event.clientY <= box.bottom + 6;
  if (!inside || event.pointerType === "touch") { tooltip.hidden = true; return; }
  const index = Math.min(59, Math.floor((event.clientX - box.left) / box.width * 60));
  const letter = ribbon.dataset.letters[index];
  remember(row.dataset.slug);
  const slot = slotAt(row, index);
  tooltip.textContent = slot ? describe(slot, letter) : LETTERS[letter];
  tooltip.hidden = false;
  tooltip.style.left = `${Math.max(8, Math.min(event.clientX - 60, innerWidth - 240))}px`;
  tooltip.style.top = `${box.bottom + 8}px`;
});
list?.addEventListener("pointerleave", () => { tooltip.hidden = true; });

async function remember(slug) {
  const known = slots.get(slug);
  if (known && Date.now() - known.at < 3000) return;
  slots.set(slug, { at: Date.now(), rows: known?.rows ?? [] });
  const answer = await fetch(`/targets/${slug}/slots.json`);
  if (answer.ok) slots.set(slug, { at: Date.now(), rows: bySlot((await answer.json()).slots) });
}
function bySlot(found) {
  const groups = new Map();
  for (const row of found) groups.set(row.slot, [...(groups.get(row.slot) ?? []), row]);
  return [...groups.values()];
}
function slotAt(row, index) {
  const known = slots.get(row.dataset.slug)?.rows ?? [];
  return known[known.length - 60 + index];
}
function describe(group, letter) {
  const lines = [`${clock(group[0].slot / 1000)}  ${LETTERS[letter]}`];
  for (const row of group) {
    const where = group.length > 1 ? `${row.loc}: ` : "";
    const ready = row.race_us === null ? (row.letter === "d" ? "never ready" : "") : `ready ${latency(row.race_us)}`;
    const served = row.strategy ? `${row.strategy}, r${row.revision ?? "?"}` : "";
    lines.push(where + [row.kind, ready, row.expected ? `${row.delivered} of ${row.expected} events` : "", served].filter(Boolean).join("\n"));
  }
  return lines.join("\n");
}
function latency(us) { return us < 999500 ? `${Math.round(us / 1000)}\u00a0ms` : `${(us / 1e6).toFixed(1)}\u00a0s`; }

if (list) { stories.dataset.html = stories.innerHTML; setInterval(settle, 2000); }
