// What the side column shows of the charts: one probe, the probes of a bucket, or what is different about an area.
// It is named in the address, so that it can be shared and Back closes it.
import { query } from "./charts_span.js";

const panel = document.getElementById("probe");
const NAMES = ["probe", "bucket", "picked", "ready"];
let opener = null;
let shown = named();
let latest = 0;

function named() {
  const url = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.filter((name) => url.has(name)).map((name) => [name, url.get(name)]));
}

// `parts`: {probe}, {bucket} or {picked, ready}. A probe that was opened from a list keeps the list behind it.
export function open(parts, from) {
  opener = from ?? document.activeElement;
  go(parts.probe ? { ...(shown.bucket ? { bucket: shown.bucket } : {}), ...parts } : parts, true);
}

function go(next, push) {
  shown = next;
  if (push) {
    const url = new URL(location.href);
    for (const name of NAMES) url.searchParams.delete(name);
    for (const [name, value] of Object.entries(next)) if (value) url.searchParams.set(name, value);
    history.pushState({ live: history.state?.live }, "", url);
  }
  mark(next.probe);
  fill(next, push);
}

async function fill(next, focus) {
  const mine = ++latest;
  const parts = new URLSearchParams(Object.entries(next).filter(([, value]) => value));
  if (![...parts].length) { empty(focus); return; }
  const answer = await fetch(`${location.pathname}?${query()}&${parts}`, { headers: { "HX-Request": "true" } }).catch(() => null);
  if (!answer?.ok || mine !== latest) return;
  const markup = await answer.text();
  if (mine !== latest) return;
  panel.innerHTML = markup;
  document.dispatchEvent(new CustomEvent("opened", { detail: next }));
  if (focus) panel.querySelector("h2")?.focus({ preventScroll: true });
}

function empty(focus) {
  panel.replaceChildren();
  document.dispatchEvent(new CustomEvent("opened", { detail: {} }));
  if (focus && opener?.isConnected) opener.focus({ preventScroll: true });
}

// The list behind a probe first, then nothing.
function close() { go(shown.probe && shown.bucket ? { bucket: shown.bucket } : {}, true); }

function mark(identity) {
  for (const link of document.querySelectorAll("a.probe-link")) {
    const row = link.closest("tr, li");
    if (identity && new URL(link.href).searchParams.get("probe") === identity) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
  }
}

document.addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  const link = event.target.closest("a.probe-link");
  if (link) {
    event.preventDefault();
    open({ probe: new URL(link.href).searchParams.get("probe") }, panel.contains(link) ? opener : link);
  } else if (event.target.closest("#probe [data-close]")) { event.preventDefault(); close(); }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented && panel.firstElementChild) close();
});
addEventListener("popstate", () => {
  const next = named();
  if (JSON.stringify(next) !== JSON.stringify(shown)) go(next, false);
});
