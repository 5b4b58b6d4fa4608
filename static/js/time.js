// Relative times round down to one unit, as dashboard/sentences.py `span` does.
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];

export function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  for (const [size, unit] of UNITS) if (whole >= size) return `${Math.floor(whole / size)}\u00a0${unit}`;
  return `${whole}\u00a0s`;
}

let skew = 0; // server clock minus ours, in ms
export function learnServerTime(iso) { skew = Date.parse(iso) - Date.now(); }
export function now() { return Date.now() + skew; }

const zone = document.querySelector("meta[name=time-zone]")?.content || "UTC";
const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: zone });
export function clock(ms) { return clockFormat.format(new Date(ms)); }

export function setText(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}

export function setAgo(node, iso) {
  if (!node) return;
  if (iso) node.dateTime = iso; else node.removeAttribute("datetime");
  tickOne(node);
}

function tickOne(node) {
  const at = node.getAttribute("datetime");
  setText(node, at ? node.dataset.prefix + span((now() - Date.parse(at)) / 1000) + node.dataset.suffix : "");
}

let frozen = false;
// A page that is cut off shows ages as of its last message: counting on would look live.
export function freeze(on) { frozen = on; }
export function tick() { if (!frozen) for (const node of document.querySelectorAll("time.ago")) tickOne(node); }
