// What a slot of a ribbon found, under the pointer or, with the arrow keys, under the focus of its row. One tooltip.
import { clock, setText } from "./time.js";

const LETTERS = { u: "Up", g: "Slow", d: "Failed", m: "Missed, by us", s: "Stale", p: "Paused", z: "Not probed yet" };
const SLOTS = 60;
const LEAST_MS = 500;
const tooltip = document.getElementById("tooltip");
const polite = document.getElementById("polite");
const marker = document.createElement("div");
const slots = new Map();
let at = null;

marker.className = "ribbon-mark";
marker.hidden = true;
document.body.append(marker);

export function followPointer(list) {
  list.addEventListener("pointermove", (event) => {
    const ribbon = event.target.closest(".target")?.querySelector(".ribbon");
    const box = ribbon?.getBoundingClientRect();
    const inside = box && event.clientX >= box.left && event.clientX < box.right && event.clientY >= box.top - 6 && event.clientY <= box.bottom + 6;
    if (!inside || event.pointerType === "touch") { hide(); return; }
    show(ribbon, Math.min(SLOTS - 1, Math.floor((event.clientX - box.left) / box.width * SLOTS)));
  });
  list.addEventListener("pointerleave", hide);
  list.addEventListener("focusin", (event) => {
    const ribbon = event.target.matches(":focus-visible") && event.target.closest(".target")?.querySelector(".ribbon");
    if (ribbon) show(ribbon, SLOTS - 1);
  });
  list.addEventListener("focusout", hide);
  list.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const ribbon = event.target.closest(".target")?.querySelector(".ribbon");
    if (event.key === "Escape") hide();
    if (!by || !ribbon || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const index = at?.ribbon === ribbon ? at.index + by : SLOTS - 1;
    show(ribbon, Math.max(0, Math.min(SLOTS - 1, index)), true);
  });
  window.addEventListener("scroll", () => { if (!list.contains(document.activeElement)) hide(); else if (at) draw(); }, { passive: true });
}

function hide() {
  at = null;
  tooltip.hidden = marker.hidden = true;
}

async function show(ribbon, index, spoken = false) {
  at = { ribbon, index, spoken };
  draw();
  if (await remember(ribbon.closest(".target")) && at?.ribbon === ribbon) draw();
}

function draw() {
  const { ribbon, index, spoken } = at;
  const letter = ribbon.dataset.letters[index];
  const found = slots.get(ribbon.closest(".target").dataset.slug)?.rows ?? [];
  const group = found[found.length - SLOTS + index];
  const text = group ? describe(group, letter) : LETTERS[letter];
  setText(tooltip, text);
  if (spoken) setText(polite, text);
  const box = ribbon.getBoundingClientRect();
  const middle = box.left + (index + 0.4) * box.width / SLOTS;
  tooltip.hidden = marker.hidden = false;
  tooltip.style.left = `${Math.max(8, Math.min(middle - 60, innerWidth - tooltip.offsetWidth - 8))}px`;
  const below = box.bottom + 8 + tooltip.offsetHeight < innerHeight - 8;
  tooltip.style.top = `${below ? box.bottom + 8 : box.top - 8 - tooltip.offsetHeight}px`;
  marker.style.left = `${middle - 4}px`;
  marker.style.top = `${box.top - 3}px`;
}

// The slots as of the row's last result. True where they are others than before.
async function remember(row) {
  const slug = row.dataset.slug;
  const newest = row.querySelector(".col-result time").dateTime;
  const known = slots.get(slug);
  if (known && (known.newest === newest || Date.now() - known.asked < LEAST_MS)) return false;
  slots.set(slug, { newest, asked: Date.now(), rows: known?.rows ?? [] });
  try {
    const answer = await fetch(`/targets/${slug}/slots.json`);
    if (!answer.ok) return false;
    slots.set(slug, { newest, asked: Date.now(), rows: bySlot((await answer.json()).slots) });
    return true;
  } catch {
    slots.delete(slug); // No server: the letter alone is told, and asked for again.
    return false;
  }
}

function bySlot(found) {
  const groups = new Map();
  for (const row of found) groups.set(row.slot, [...(groups.get(row.slot) ?? []), row]);
  return [...groups.values()];
}

function describe(group, letter) {
  const lines = [`${clock(group[0].slot / 1000)}  ${LETTERS[letter]}`];
  for (const row of group) {
    const where = group.length > 1 ? `${row.loc}: ` : "";
    const ready = row.race_us === null ? (row.letter === "d" ? "never ready" : "") : `ready ${latency(row.race_us)}`;
    const served = row.strategy ? `${row.strategy}, r${row.revision ?? "?"}` : "";
    const place = group.length > 1 ? "" : row.loc;
    lines.push(where + [row.kind, ready, row.expected ? `${row.delivered} of ${row.expected} events` : "", served, place].filter(Boolean).join("\n"));
  }
  return lines.join("\n");
}

function latency(us) { return us < 999500 ? `${Math.round(us / 1000)}\u00a0ms` : `${(us / 1e6).toFixed(1)}\u00a0s`; }
