// Keys that work on every page. A single key becomes an event, "command:NAME", that the page may listen to.
import { openPalette } from "./palette.js";

const COMMANDS = {
  "/": "search", j: "next", k: "previous", u: "undo",
  "[": "range-shorter", "]": "range-longer", "-": "zoom-out", ".": "pause", t: "table",
};
const SEQUENCE_MS = 1500;
const shortcuts = document.getElementById("shortcuts");
const toggle = document.getElementById("keys-switch");
let on = true;
let leading = 0;

try {
  on = localStorage.getItem("keys") !== "off";
} catch {
  // Storage is refused: shortcuts are on, and can be switched off for this page.
}
function showSwitch() { toggle.setAttribute("aria-pressed", String(on)); }
toggle.addEventListener("click", () => {
  on = !on;
  showSwitch();
  try {
    if (on) localStorage.removeItem("keys"); else localStorage.setItem("keys", "off");
  } catch {
    // As above.
  }
});
showSwitch();

function listShortcuts() {
  shortcuts.showModal();
  document.getElementById("shortcuts-title").focus();
}
document.getElementById("keys-list").addEventListener("click", listShortcuts);
shortcuts.addEventListener("click", (event) => { if (event.target === shortcuts) shortcuts.close(); });

function typing(node) {
  return node.isContentEditable || node.matches("textarea, select, input:not([type=range], [type=checkbox], [type=radio], [type=button])");
}

function pageFor(key) {
  const row = [...shortcuts.querySelectorAll("[data-page]")].find((each) => each.dataset.key === key);
  return row?.dataset.page;
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
    return;
  }
  if (!on || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.defaultPrevented) return;
  if (typing(event.target) || document.querySelector("dialog[open]:modal")) return;
  const after = Date.now() - leading < SEQUENCE_MS;
  leading = 0;
  if (after) {
    const page = pageFor(event.key);
    if (page) { event.preventDefault(); location.href = page; }
    return;
  }
  if (event.key === "g") leading = Date.now();
  else if (event.key === "?") { event.preventDefault(); listShortcuts(); }
  else if (COMMANDS[event.key]) command(event);
});

// Only what a page has listened to keeps the key from the browser (Firefox searches with "/").
function command(event) {
  const told = new CustomEvent(`command:${COMMANDS[event.key]}`, { cancelable: true });
  if (!document.dispatchEvent(told)) event.preventDefault();
  else if (event.key === "/") { event.preventDefault(); openPalette(); }
  // The first that a page offers: the story's. It opens a preview, and never acts.
  else if (event.key === "u") document.querySelector('main a[href*="/undo/"], main a[data-act^="undo:"]')?.click();
}

document.getElementById("open-palette").addEventListener("click", openPalette);
if (/Mac|iPhone|iPad/.test(navigator.platform)) {
  document.querySelector("#open-palette kbd").textContent = "⌘ K";
}
