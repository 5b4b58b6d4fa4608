// The act panel of a target's page: asks for an act beside the charts, sends it once, and watches what it did.
// Every act has a page of its own too, so all of this works without this file. From 1180 px on the panel is a column;
// below, what a person opened is a sheet, and what merely stands on the page stays in its flow.
import { enhance } from "./acts.js";
import { announce, banner } from "./shell.js";
import { now, setText } from "./time.js";

const PANEL = "X-Readywire-Panel";
const ANSWER_MS = 5000;
const wide = matchMedia("(min-width: 1180px)");
const panel = document.getElementById("act-panel");
const column = document.getElementById("act-column");
const sheet = document.getElementById("act-sheet");
const slug = panel.dataset.target;
let served = Number(panel.dataset.revision);
let kept = panel.dataset.shown ? "" : panel.innerHTML; // what stands here while nobody acts
let shown = panel.dataset.shown ?? ""; // what a person opened: "undo:42", "back", "r43"; "" where nobody did
let opener = null;
let from = "";

// Opening and closing
document.addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (event.target.closest("[data-close-act]")) { event.preventDefault(); close(true); return; }
  if (event.target.closest("[data-again]")) { void load(from, shown); return; }
  const link = event.target.closest("a[data-act]");
  if (!link) return;
  event.preventDefault();
  if (!panel.contains(link)) opener = link;
  void open(link.dataset.act, link.href);
});

async function open(name, href) {
  const url = new URL(href, location.href);
  url.searchParams.set("target", slug);
  const watching = /^r(\d+)$/.exec(name);
  if (await load(watching ? `/targets/${slug}/watch/${watching[1]}/` : url.href, name)) remember(name);
  else location.assign(href);
}

async function load(href, name) {
  try {
    const answer = await fetch(href, { headers: { [PANEL]: "1" }, redirect: "manual" });
    if (!answer.headers.has("content-type") || !/html/.test(answer.headers.get("content-type"))) return false;
    const html = await answer.text();
    if (!html.includes('id="act"')) return false;
    from = href;
    show(html, name);
    return true;
  } catch {
    return false;
  }
}

function show(html, name) {
  shown = name;
  panel.innerHTML = html;
  settle();
  enhance(panel);
  if (!panel.querySelector("[data-focus]")) panel.querySelector("h2")?.focus({ preventScroll: !wide.matches });
  if (wide.matches) column.scrollIntoView({ block: "nearest" });
  tell();
}

function close(push) {
  shown = "";
  panel.innerHTML = kept;
  settle();
  if (push) remember("");
  if (push) (opener?.isConnected ? opener : document.getElementById("main")).focus({ preventScroll: true });
  tell();
}

function remember(name) {
  const url = new URL(location.href);
  if (name === (url.searchParams.get("act") ?? "")) return;
  if (name) url.searchParams.set("act", name); else url.searchParams.delete("act");
  history.pushState({ live: history.state?.live }, "", url);
}

window.addEventListener("popstate", () => {
  const name = new URLSearchParams(location.search).get("act") ?? "";
  if (name === shown) return;
  const link = name && document.querySelector(`a[data-act="${CSS.escape(name)}"]`);
  if (/^r\d+$/.test(name)) void load(`/targets/${slug}/watch/${name.slice(1)}/`, name);
  else if (link) void load(new URL(link.href, location.href).href, name);
  else close(false);
});

// A column or a sheet
function settle() {
  const sheeted = Boolean(shown) && !wide.matches;
  const home = sheeted ? sheet : column;
  if (panel.parentElement !== home) home.append(panel);
  if (sheeted && !sheet.open) sheet.showModal();
  else if (!sheeted && sheet.open) sheet.close();
  column.classList.toggle("is-opened", Boolean(shown));
  late();
}
wide.addEventListener("change", settle);
sheet.addEventListener("cancel", (event) => { event.preventDefault(); close(true); });
panel.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !shown) return;
  event.stopPropagation();
  event.preventDefault();
  close(true);
});

// Whom it concerns: presence tells others what is open here.
function tell() { document.dispatchEvent(new CustomEvent("act-opened", { detail: shown })); }

// Sending: once, with an answer within five seconds, and safe to press again (the form's key).
panel.addEventListener("submit", (event) => {
  const form = event.target.closest("#act-form");
  if (!form) return;
  event.preventDefault();
  if (!form.dataset.sent) void send(form);
});

async function send(form) {
  const button = form.querySelector("[type=submit]");
  const words = button.textContent;
  button.style.minWidth = `${button.offsetWidth}px`;
  setText(button, button.dataset.sending);
  trouble(form, "");
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { [PANEL]: "1" },
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (answer.type === "opaqueredirect" || answer.status === 403) {
      again(form, button, words, "Not saved: you are signed out, or may not do this. Sign in in another tab, then press again.");
      return;
    }
    if (answer.status >= 500) throw new Error(String(answer.status));
    const name = answer.ok ? answer.headers.get(PANEL) : shown;
    show(await answer.text(), name);
    if (!answer.ok) return;
    remember(name);
    if (name) { served = Math.max(served, Number(name.slice(1))); kept = panel.innerHTML; }
  } catch {
    again(form, button, words, "Not saved: no answer in 5 s. It is safe to press again.");
  }
}

function again(form, button, words, why) {
  delete form.dataset.sent;
  button.removeAttribute("aria-busy");
  setText(button, words);
  trouble(form, why);
}

function trouble(form, why) { setText(form.querySelector("[data-trouble]"), why); }

// Watching: values change where they stand; what others did is offered, and never takes the place of what is read.
document.addEventListener("target-told", ({ detail }) => {
  const told = detail.act;
  if (!told) return;
  const section = panel.querySelector("#act");
  if (section?.dataset.shows === `r${told.revision}`) {
    patch(section, told.html);
    kept = kept && panel.innerHTML;
  } else if (told.revision > served) {
    offer(section, told);
    kept = told.html;
  } else if (kept) {
    kept = told.html;
  }
  served = Math.max(served, told.revision);
});

function offer(section, told) {
  const newer = section?.querySelector("[data-newer]");
  if (section?.querySelector("form[data-sent]")) return; // our own act: its answer is on the way
  if (newer && shown) {
    setText(newer.querySelector("[data-newer-revision]"), String(told.revision));
    setText(newer.querySelector("[data-newer-author]"), told.author);
    newer.hidden = false;
    return;
  }
  announce(`Revision ${told.revision} was made by ${told.author}.`);
  banner("act", `Revision ${told.revision} was made by ${told.author}.`, `?act=r${told.revision}`, "Watch it");
  const link = document.querySelector('#banners [data-key="act"] a');
  if (!link) return;
  link.dataset.act = `r${told.revision}`;
  link.addEventListener("click", () => banner("act", ""), { once: true });
}

function patch(section, html) {
  const parsed = document.createElement("template");
  parsed.innerHTML = html;
  const fresh = parsed.content.querySelector("#act");
  if (section.dataset.verdict !== fresh.dataset.verdict) {
    section.dataset.verdict = fresh.dataset.verdict;
    announce(fresh.querySelector('[data-figure="verdict"]').textContent.trim());
  }
  for (const one of fresh.querySelectorAll("[data-figure]")) {
    const old = section.querySelector(`[data-figure="${one.dataset.figure}"]`);
    if (!old) continue;
    if (old.innerHTML !== one.innerHTML) old.innerHTML = one.innerHTML;
    if ("class" in one.dataset && old.className !== one.className) old.className = one.className;
  }
  late();
}

// Servers that are behind are named after two seconds, not before: nearly all are there by then.
function late() {
  const line = panel.querySelector("[data-after]");
  if (!line) return;
  const wait = Date.parse(line.dataset.after) - now();
  line.classList.toggle("is-early", wait > 0);
  if (wait > 0) setTimeout(late, wait);
}

if (panel.dataset.load) void load(panel.dataset.load, shown);
else if (shown) { settle(); tell(); }
late();
