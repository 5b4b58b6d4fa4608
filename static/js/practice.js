// The practice page: the seconds left tick, and what is on is asked for again every few seconds.
import { now, setText } from "./time.js";

const ASK_MS = 3000;
const on = document.getElementById("practice-on");

// As dashboard/practice/words.py `time_left`.
function left(iso) {
  const whole = Math.max(0, Math.round((Date.parse(iso) - now()) / 1000));
  return whole >= 60 ? `${Math.floor(whole / 60)}\u00a0min ${whole % 60}\u00a0s` : `${whole}\u00a0s`;
}

function tick() {
  for (const node of on.querySelectorAll("time.left")) setText(node, left(node.getAttribute("datetime")));
}

async function ask() {
  if (document.visibilityState !== "visible") return;
  let html;
  try {
    const answer = await fetch(on.dataset.src, { redirect: "error", cache: "no-store" });
    if (!answer.ok) return;
    html = await answer.text();
  } catch {
    return; // the Live indicator says that we are cut off
  }
  const draft = document.createElement("template");
  draft.innerHTML = html;
  if (draft.content.firstElementChild.dataset.key === on.firstElementChild.dataset.key) return;
  // Replacing a list under a pointer or focus would take the button away from it.
  if (on.contains(document.activeElement) || on.matches(":hover")) return;
  on.replaceChildren(draft.content);
  tick();
}

async function keepAsking() {
  await ask();
  setTimeout(keepAsking, ASK_MS);
}

if (on) {
  setInterval(tick, 1000);
  setTimeout(keepAsking, ASK_MS);
}
