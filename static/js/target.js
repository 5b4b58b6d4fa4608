// The target page: its charts, and story, flags, changes and probes kept up to date.
import { listen } from "./live.js";
import { setText } from "./time.js";
import { setShape } from "./shapes.js";
import { enhance } from "./acts.js";
import { show } from "./charts.js";
import { changed } from "./charts_span.js";
import { refreshResidents } from "./residents.js";
import "./charts_cursor.js";
import "./charts_tables.js";
import "./target_opened.js";

show(JSON.parse(document.getElementById("chart-data").textContent));
document.addEventListener("span-asked", ({ detail }) => refreshResidents(detail));

// Back and forward change the range and what is opened; htmx would fetch the page and put it in place of this one.
document.addEventListener("htmx:before:history:restore", (event) => event.preventDefault());

// Live
const fragments = { story: "story", flags: "governing", changes: "changes-list", real: "real-connections", last_probes: "last-probes" };
let waiting = null;
listen("target", ({ data: told }) => {
  setShape(document.getElementById("state-shape"), told.state);
  setText(document.getElementById("state-word"), told.word);
  document.getElementById("state-help").dataset.help = `state:${told.state}`;
  waiting = told;
  place();
  document.dispatchEvent(new CustomEvent("target-told", { detail: told }));
  changed();
});
// A part that is pointed at or has focus is replaced later: nothing moves under a finger.
function place() {
  if (!waiting) return;
  for (const [key, id] of Object.entries(fragments)) {
    const node = document.getElementById(id);
    if (node.dataset.html === waiting[key] || node.contains(document.activeElement) || node.matches(":hover")) continue;
    node.innerHTML = waiting[key];
    node.dataset.html = waiting[key];
    window.htmx?.process(node);
    enhance(node);
  }
}
setInterval(place, 1000);
