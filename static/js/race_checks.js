// Race checks: progress on the target's page and on a check's own, and what a form would do, told while it is typed.
import { listen } from "./live.js";
import { setText } from "./time.js";

const page = document.body.dataset.page;
const shown = document.getElementById("race-check");
let waiting = null;

// The target's page: figures move at once; the card is replaced when its state changes and nobody points at it.
document.addEventListener("target-told", (event) => { waiting = event.detail.race_check; place(); });
function place() {
  if (page !== "target" || !waiting || !shown) return;
  const key = `${waiting.id} ${waiting.state}`;
  if (shown.dataset.key === key) { move(waiting); return; }
  const cancel = document.getElementById("race-cancel");
  if (cancel) {
    cancel.hidden = !["queued", "running"].includes(waiting.state);
    if (waiting.id) cancel.action = `${cancel.dataset.base}${waiting.id}/cancel/`;
  }
  const card = document.getElementById("race-card");
  if (card.contains(document.activeElement) || card.matches(":hover")) return;
  card.innerHTML = waiting.html;
  shown.dataset.key = key;
}
if (page === "target") setInterval(place, 1000);

function move(told) {
  const bar = document.querySelector("[data-race-progress]");
  if (!bar) return;
  bar.max = told.count;
  bar.value = told.done;
  setText(document.querySelector("[data-race-text]"), told.progress);
}

// A check's own page: its report takes the place of the progress.
if (page === "race-check" && ["queued", "running"].includes(shown.dataset.state)) {
  listen("target", ({ data }) => {
    const told = data.race_check;
    if (String(told.id) !== shown.dataset.id || (told.state !== "queued" && told.state !== "running")) location.reload();
    else move(told);
  });
}

// What will happen.
const form = document.getElementById("race-form");
function foretell() {
  const count = Number(form.elements.count.value);
  const atOnce = Number(form.elements.at_once.value);
  if (!(Number.isInteger(count) && Number.isInteger(atOnce) && count > 0 && atOnce > 0)) return;
  const seconds = Math.ceil(count / atOnce) * Number(form.dataset.deadline) + count / Number(form.dataset.perSecond);
  setText(document.getElementById("race-asked"), `${count} probe${count === 1 ? "" : "s"}, ${atOnce} at once`);
  setText(document.getElementById("race-takes"), seconds < 90 ? `about ${Math.ceil(seconds)} s at most` : `about ${Math.ceil(seconds / 60)} min at most`);
}
form?.addEventListener("input", foretell);
