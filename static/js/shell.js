// What every page has: theme switch, menus, the Live indicator, banners, title and favicon, polite announcements.
import { listen, onState, start } from "./live.js";
import { clock, setText } from "./time.js";
import { setShape } from "./shapes.js";

const root = document.documentElement;
const baseTitle = document.title.replace(/^\d+ (down|degraded) · /, "");

// Theme
const themeButtons = [...document.querySelectorAll("#theme button")];
function showTheme() {
  const chosen = root.dataset.theme ?? "system";
  for (const button of themeButtons) button.setAttribute("aria-pressed", String(button.value === chosen));
}
for (const button of themeButtons) {
  button.addEventListener("click", () => {
    if (button.value === "system") delete root.dataset.theme; else root.dataset.theme = button.value;
    try {
      if (button.value === "system") localStorage.removeItem("theme"); else localStorage.setItem("theme", button.value);
    } catch {
      // Storage is refused: the choice holds for this page.
    }
    showTheme();
    document.dispatchEvent(new Event("themechange"));
  });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("themechange")));
showTheme();

// Menus close with Escape and by a press elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Banners, at the bottom and over reserved padding: they never push content.
const banners = document.getElementById("banners");
export function banner(key, text, href, label = "Sign in") {
  let node = banners.querySelector(`[data-key="${key}"]`);
  if (!text) { node?.remove(); return; }
  // Other words have another width, and what is centred would move: other words are another banner.
  if (node && !node.contains(document.activeElement) && node.querySelector("span").textContent !== text) {
    node.remove();
    node = null;
  }
  if (!node) {
    node = document.createElement("div");
    node.className = "banner";
    node.dataset.key = key;
    const shape = document.querySelector("#live svg").cloneNode(true);
    setShape(shape, "stale");
    node.append(shape, document.createElement("span"));
    banners.append(node);
  }
  setText(node.querySelector("span"), text);
  const shown = node.querySelector("a");
  if (!href) shown?.remove();
  else if (!shown) {
    const link = document.createElement("a");
    link.href = href;
    link.textContent = label;
    node.append(link);
  }
}

// The polite live region: one message per ten seconds, the newest.
const polite = document.getElementById("polite");
let pending = null;
let quietUntil = 0;
export function announce(text) {
  pending = text;
  const wait = Math.max(0, quietUntil - Date.now());
  if (announce.timer) return;
  announce.timer = setTimeout(() => {
    announce.timer = null;
    quietUntil = Date.now() + 10000;
    setText(polite, pending);
  }, wait);
}

// Live
const indicator = document.getElementById("live");
const WORDS = { joining: "Joining", live: "Live", away: "Offline" };
const SHAPES = { joining: "unknown", live: "up", away: "stale" };
onState((state, facts) => {
  indicator.dataset.state = state;
  setText(indicator.querySelector("span"), WORDS[state]);
  setShape(indicator.querySelector("svg"), SHAPES[state]);
  if (facts.signedOut) banner("live", `You are signed out. Numbers are from ${clock(facts.at)}.`, `/signin/?next=${encodeURIComponent(location.pathname + location.search)}`);
  else if (facts.databaseAway) banner("live", `The database does not answer since ${minute(facts.databaseAway)}. Numbers are from then.`);
  else if (state === "away") { banner("live", `Reconnecting. Numbers are from ${clock(facts.at)}.`); announce("Reconnecting."); }
  else banner("live", "");
});

function minute(iso) { return clock(Date.parse(iso)).slice(0, 5); }

const EFFECTS = {
  recorder: "Results are kept and shown when it is back.",
  worker: "Targets show as stale, not down.",
  scheduler: "Targets show as stale, not down.",
  beat: "Targets show as stale, not down.",
};
// One banner: what makes the probes ill, else what could soon.
function ours(data) {
  if (data.ours) return data.ours;
  if (data.redis_away_since) return `Redis does not answer since ${minute(data.redis_away_since)}. Rollback still works.`;
  const [first, ...others] = data.processes;
  if (!first) return "";
  const why = first.why ? ` (${first.why})` : "";
  const more = others.length ? ` ${others.length} more in trouble.` : "";
  return `${first.name[0].toUpperCase()}${first.name.slice(1)} is ${first.state} since ${minute(first.since)}${why}. ${EFFECTS[first.name] ?? ""}`.trim() + more;
}
let before = "";
listen("health", ({ data }) => {
  const prefix = data.down ? `${data.down} down · ` : data.degraded ? `${data.degraded} degraded · ` : "";
  document.title = prefix + baseTitle;
  const icon = document.getElementById("favicon");
  const wanted = icon.dataset[data.down ? "down" : data.degraded ? "degraded" : "up"];
  if (icon.getAttribute("href") !== wanted) icon.href = wanted;
  // The fleet page tells it as its story.
  const onFleet = document.body.dataset.page === "fleet";
  banner("ours", onFleet && data.ours ? "" : ours(data), data.ours ? "/fleet/" : "", "Fleet");
  const words = [data.down && `${data.down} down`, data.degraded && `${data.degraded} degraded`].filter(Boolean).join(", ") || "Nothing is failing";
  if (before && before !== words) announce(`${words}.`);
  before = words;
});

start(["health", ...document.body.dataset.topics.split(" ").filter(Boolean)]);
