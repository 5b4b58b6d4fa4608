// The overview's rows: what is known of each target, and the elements that show it. By tag a target has several.
import { setAgo, setText } from "./time.js";
import { setRibbon, setShape, sparkPath } from "./shapes.js";
import { keysOf, labelOf, matches, sorted, summary, view } from "./overview_view.js";

const list = document.getElementById("targets");
const known = new Map();
const elements = new Map();
let order = [];

const splitWords = (text) => (text ? text.split(",") : []);

// What the page itself says: enough to filter and to group. Figures to sort by come with the first update.
function readRow(node) {
  const { slug, env, state, locations, tags } = node.dataset;
  const [since, changed, result] = node.querySelectorAll("time.ago");
  return {
    slug, state, environment: env, name: node.querySelector("a").textContent,
    environment_name: node.querySelector(".env").textContent.trim(), locations: splitWords(locations), tags: splitWords(tags),
    since: since.dateTime, change_at: changed.dateTime, result_at: result.dateTime, p95_us: -1,
  };
}

export function start() {
  let group = "";
  for (const node of list.children) {
    if (node.matches(".group")) { group = node.dataset.group; continue; }
    const slug = node.dataset.slug;
    if (!known.has(slug)) { known.set(slug, readRow(node)); order.push(slug); elements.set(slug, new Map()); }
    elements.get(slug).set(group, node);
  }
  drawSparks(all(), 0);
}

export function has(slug) { return known.has(slug); }
function all() { return [...list.querySelectorAll(":scope > .target")]; }

// What a window shows at once, then the others whenever there is time: 500 lines in one go would be felt.
const AT_ONCE = 25;
function drawSparks(nodes, from) {
  for (const node of nodes.slice(from, from + AT_ONCE)) drawSpark(node, node.querySelector(".spark").dataset.letters);
  if (from + AT_ONCE < nodes.length) (window.requestIdleCallback ?? setTimeout)(() => drawSparks(nodes, from + AT_ONCE));
}

function drawSpark(node, letters) {
  const spark = node.querySelector(".spark");
  const line = spark.querySelector(".spark-line");
  if (spark.dataset.letters === letters && line.hasAttribute("d")) return;
  spark.dataset.letters = letters;
  line.setAttribute("d", sparkPath(letters));
}

// A row that the server has rendered since: at the end, where it moves nothing.
export function add(node) {
  list.append(node);
  known.set(node.dataset.slug, readRow(node));
  order.push(node.dataset.slug);
  elements.set(node.dataset.slug, new Map([[keysOf(known.get(node.dataset.slug))[0], node]]));
  drawSpark(node, node.querySelector(".spark").dataset.letters);
  mark(node);
}

export function setOrder(slugs) {
  order = slugs;
  const kept = new Set(slugs);
  for (const slug of [...known.keys()]) {
    if (kept.has(slug)) continue;
    for (const node of elements.get(slug).values()) node.remove();
    known.delete(slug);
    elements.delete(slug);
  }
}

// An update's fields of one target: only those that changed, or all.
export function patch(slug, told) {
  const row = known.get(slug);
  const fields = Object.fromEntries(Object.entries(told).filter(([name, value]) => row[name] !== value));
  const flipped = "state" in fields && fields.state !== row.state;
  Object.assign(row, fields);
  for (const node of elements.get(slug).values()) {
    patchNode(node, fields, row);
    if (flipped) mark(node);
  }
}

function patchNode(node, fields, row) {
  if ("state" in fields && node.dataset.state !== fields.state) {
    node.dataset.state = fields.state;
    setShape(node.querySelector(".t-state .shape"), fields.state);
    const state = node.querySelector(".state");
    state.className = `state state--${fields.state}`;
    state.textContent = row.word;
  }
  const [since, changed, result] = node.querySelectorAll("time.ago");
  if ("state" in fields || "since" in fields) { since.dataset.prefix = row.state === "up" ? "for " : ""; setAgo(since, row.since); }
  if ("change_at" in fields) setAgo(changed, fields.change_at);
  if ("result_at" in fields) setAgo(result, fields.result_at);
  if ("name" in fields) setText(node.querySelector("a"), fields.name);
  if ("note" in fields) {
    const note = node.querySelector(".t-note");
    setText(note, fields.note);
    note.title = fields.note;
  }
  for (const field of node.querySelectorAll("[data-f]")) if (field.dataset.f in fields) setText(field, fields[field.dataset.f]);
  if ("delivery_bounds" in fields) node.querySelector("[data-bounds]").title = fields.delivery_bounds && `95 %: ${fields.delivery_bounds} of events arrive`;
  if ("ribbon" in fields) setRibbon(node.querySelector(".ribbon"), fields.ribbon, row.ribbon_label);
  if ("spark" in fields) drawSpark(node, fields.spark);
  if ("spark_objective" in fields) node.querySelector(".spark-objective").setAttribute("d", `M0 ${fields.spark_objective}h76`);
}

function mark(node) {
  node.classList.remove("changed");
  requestAnimationFrame(() => node.classList.add("changed"));
}

// Where each row belongs now: groups of rows in their order, those that no filter matches among them.
function groups() {
  const found = new Map();
  for (const row of sorted(order.filter((slug) => known.has(slug)).map((slug) => known.get(slug)))) {
    for (const key of keysOf(row)) {
      if (!found.has(key)) found.set(key, []);
      found.get(key).push(row);
    }
  }
  return found;
}

// How many of the rows that are shown would have to move: all but the longest run that is in order already.
export function misplaced() {
  const places = new Map();
  for (const [key, rows] of groups()) for (const row of rows) if (matches(row)) places.set(`${key}\n${row.slug}`, places.size);
  const current = [];
  let group = "";
  let strangers = 0;
  for (const node of list.children) {
    if (node.matches(".group")) { group = node.dataset.group; continue; }
    if (node.hidden) continue;
    const place = places.get(`${group}\n${node.dataset.slug}`);
    if (place === undefined) strangers += 1; else current.push(place);
  }
  return Math.max(places.size - longestRun(current), strangers);
}

function longestRun(numbers) {
  const ends = [];
  for (const number of numbers) {
    let low = 0;
    for (let high = ends.length; low < high;) {
      const middle = (low + high) >> 1;
      if (ends[middle] < number) low = middle + 1; else high = middle;
    }
    ends[low] = number;
  }
  return ends.length;
}

// Put every row in its place, and show those that match. Returns how many targets are shown.
export function arrange() {
  const wanted = [];
  const shown = new Set();
  const used = new Map();
  for (const [key, rows] of groups()) {
    const here = rows.filter(matches);
    if (view.group) wanted.push(heading(key, here));
    for (const row of rows) {
      const node = nodeFor(row.slug, key, used);
      node.hidden = !matches(row);
      if (!node.hidden) shown.add(row.slug);
      wanted.push(node);
    }
  }
  for (const [slug, nodes] of used) elements.set(slug, nodes);
  place(wanted);
  document.getElementById("no-match").hidden = shown.size > 0;
  return shown.size;
}

// The element of a target in a group: the one it has there, one that no group keeps, or a copy.
function nodeFor(slug, key, used) {
  const before = elements.get(slug);
  if (!used.has(slug)) used.set(slug, new Map());
  const taken = used.get(slug);
  const free = before.get(key) ?? [...before].find(([old, node]) => !keysOf(known.get(slug)).includes(old) && ![...taken.values()].includes(node))?.[1];
  const node = free ?? before.values().next().value.cloneNode(true);
  taken.set(key, node);
  return node;
}

function heading(key, rows) {
  let node = [...list.querySelectorAll(":scope > .group")].find((each) => each.dataset.group === key);
  if (!node) {
    node = document.createElement("li");
    node.className = "group";
    node.dataset.group = key;
    const hint = document.createElement("span");
    hint.className = "hint";
    node.append(document.createElement("h2"), hint);
  }
  setText(node.querySelector("h2"), labelOf(key));
  setText(node.querySelector(".hint"), summary(rows.map((row) => row.state)));
  node.hidden = !rows.length;
  return node;
}

function place(wanted) {
  let at = list.firstElementChild;
  for (const node of wanted) {
    if (node === at) at = at.nextElementSibling; else list.insertBefore(node, at);
  }
  while (at) {
    const surplus = at;
    at = at.nextElementSibling;
    surplus.remove();
  }
}

export function patchHeadings() {
  if (!view.group) return;
  const here = new Map([...groups()].map(([key, rows]) => [key, rows.filter(matches)]));
  for (const node of list.querySelectorAll(":scope > .group")) {
    const states = (here.get(node.dataset.group) ?? []).map((row) => row.state);
    setText(node.querySelector(".hint"), summary(states));
  }
}
