// Words that explain themselves: [data-help="kind:accept_race"] opens the page's one popover by pointing, by focus and by
// press; Escape and a press elsewhere close it. Fragments that come later need nothing: events are heard at the document.
// "state:" without a name means the state of the nearest [data-state].

const OPEN_MS = 250;   // long enough that a pointer on its way elsewhere opens nothing
const CLOSE_MS = 250;  // long enough to reach the popover and its link
const GAP = 6;
const EDGE = 8;
const MORE = { kind: "Open the runbook", defect: "Open the runbook", cut: "How causes are told" };

const box = document.getElementById("help");
let words = null;
let opener = null;
let pinned = false;
let timer = null;

async function load() {
  if (words || !box) return;
  try {
    const answer = await fetch(box.dataset.src);
    if (answer.ok) words = await answer.json();
  } catch {
    // No server: the next one that asks tries again.
  }
}
if (window.requestIdleCallback) requestIdleCallback(load, { timeout: 3000 }); else setTimeout(load, 1000);

function keyOf(node) {
  const key = node.dataset.help;
  return key.endsWith(":") ? key + (node.closest("[data-state]")?.dataset.state ?? "") : key;
}

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  // `code` in a sentence is drawn as code.
  text.split("`").forEach((run, index) => {
    if (!(index % 2)) { node.append(run); return; }
    const code = document.createElement("code");
    code.textContent = run;
    node.append(code);
  });
  return node;
}

function fill(key, entry) {
  const name = element("p", entry.code ? "help-name mono" : "help-name", entry.name);
  const sentence = element("p", "", entry.sentence);
  sentence.id = "help-text";
  const parts = [name, sentence];
  if (entry.whose) parts.push(element("p", "muted", `${entry.whose}.`));
  if (entry.check) {
    const check = element("p", "", entry.check);
    const label = document.createElement("b");
    label.textContent = "Next: ";
    check.prepend(label);
    parts.push(check);
  }
  const more = element("p", "help-more", "");
  const link = document.createElement("a");
  link.href = entry.link;
  link.textContent = MORE[key.split(":")[0]] ?? "More in Help";
  more.append(link);
  box.replaceChildren(...parts, more);
}

function place() {
  if (!opener) return;
  const at = opener.getBoundingClientRect();
  const size = box.getBoundingClientRect();
  const below = at.bottom + GAP + size.height <= innerHeight - EDGE || at.top < size.height + GAP + EDGE;
  box.style.left = `${Math.max(EDGE, Math.min(at.left, document.documentElement.clientWidth - size.width - EDGE))}px`;
  box.style.top = `${below ? at.bottom + GAP : at.top - GAP - size.height}px`;
}

async function show(node, pin) {
  clearTimeout(timer);
  if (!words) await load();
  const key = keyOf(node);
  const entry = words?.[key];
  if (!entry || !node.isConnected) return;
  if (opener !== node) hide();
  pinned = pin || (pinned && opener === node);
  opener = node;
  fill(key, entry);
  if (!box.matches(":popover-open")) box.showPopover({ source: node });
  // Who only passes by with Tab passes no second stop; a press makes the link one.
  box.querySelector(".help-more a").tabIndex = pinned ? 0 : -1;
  node.dataset.open = "";
  node.setAttribute("aria-describedby", "help-text");
  place();
}

function hide() {
  clearTimeout(timer);
  if (box.matches(":popover-open")) box.hidePopover(); else forget();
}

function forget() {
  if (opener) {
    delete opener.dataset.open;
    opener.removeAttribute("aria-describedby");
  }
  opener = null;
  pinned = false;
}

function later(act, wait) {
  clearTimeout(timer);
  timer = setTimeout(act, wait);
}

const wordAt = (node) => node instanceof Element ? node.closest("[data-help]") : null;

if (box) {
  box.addEventListener("toggle", (event) => { if (event.newState === "closed") forget(); });
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const node = wordAt(event.target);
    if (node && node !== opener) later(() => show(node, false), OPEN_MS);
    else if (node || box.contains(event.target)) clearTimeout(timer);
    else if (opener && !pinned && !opener.matches(":focus-visible")) later(hide, CLOSE_MS);
    else if (!opener) clearTimeout(timer);
  });
  document.addEventListener("focusin", (event) => {
    const node = wordAt(event.target);
    if (node?.matches(":focus-visible")) show(node, false);
    else if (opener && !box.contains(event.target) && event.target !== opener) hide();
  });
  document.addEventListener("click", (event) => {
    const node = wordAt(event.target);
    // A link that has help goes on being a link.
    if (!(node instanceof HTMLButtonElement)) return;
    event.preventDefault();
    if (opener === node && pinned) hide(); else show(node, true);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !opener) return;
    // The popover alone closes: not the panel or the probe behind it.
    event.preventDefault();
    event.stopPropagation();
    hide();  // a focus within it goes back to the word by itself
  }, true);
  addEventListener("scroll", () => { if (opener) place(); }, { capture: true, passive: true });
  addEventListener("resize", () => { if (opener) place(); });
}
