// The overview in place: values change where they are, rows change place only when nobody is pointing at them.
import { listen } from "./live.js";
import { announce } from "./shell.js";
import { setText } from "./time.js";
import * as rows from "./overview_rows.js";
import { onChange, showCounts, start as startView } from "./overview_view.js";
import { followKeys } from "./overview_keys.js";
import { followPointer } from "./ribbon_tip.js";

const IDLE_MS = 5000;
const list = document.getElementById("targets");
const stories = document.getElementById("stories");
const banners = document.getElementById("banners");
let pointed = 0;
let told = false;
let storiesHtml = null;

listen("overview", ({ data, whole }) => {
  // Between the first target and none the whole page differs: there is nothing on it that could be lost.
  if (data.order && Boolean(list) !== Boolean(data.order.length)) { location.reload(); return; }
  if (!list) return;
  if (data.order) rows.setOrder(data.order);
  let strangers = data.order?.some((slug) => !rows.has(slug)) ?? false;
  for (const [slug, fields] of Object.entries(data.rows)) if (rows.has(slug)) rows.patch(slug, fields); else strangers = true;
  if (data.counts) showCounts(data.counts, Object.values(data.counts).reduce((sum, number) => sum + number, 0));
  if ("stories" in data) storiesHtml = data.stories;
  told ||= whole;
  if (strangers) fetchNew();
  rows.patchHeadings();
  settle();
});

// What would move things waits until nobody points, has focus or has scrolled; a pill offers to do it now.
function settle() {
  const moved = told ? rows.misplaced() : 0;
  const news = storiesHtml !== null && stories.dataset.html !== storiesHtml;
  if (news && sameShape(storiesHtml)) showStories();
  if (!moved && !(news && stories.dataset.html !== storiesHtml)) { pill(""); return; }
  if (idle()) apply(); else pill(moved ? `${moved} changed place. Sort now` : "The story changed. Show it");
}

function idle() {
  const busy = document.activeElement && document.activeElement !== document.body && document.getElementById("main").contains(document.activeElement);
  if (list.matches(":hover") || stories.matches(":hover")) pointed = Date.now();
  return !busy && window.scrollY < 8 && Date.now() - pointed > IDLE_MS;
}

function apply() {
  showStories();
  rows.arrange();
  pill("");
}

function showStories() {
  if (storiesHtml === null) return;
  // Replacing a story under a pointer or focus would take the button away from it.
  if (stories.contains(document.activeElement) || stories.matches(":hover")) return;
  stories.innerHTML = storiesHtml;
  stories.dataset.html = storiesHtml;
}

function shapeOf(node) { return [...node.children].map((child) => child.className).join("|"); }
function sameShape(html) {
  const draft = document.createElement("div");
  draft.innerHTML = html;
  return shapeOf(draft) === shapeOf(stories);
}

function pill(text) {
  let node = document.getElementById("sort-now");
  if (!text) { node?.remove(); return; }
  if (!node) {
    node = document.createElement("button");
    node.type = "button";
    node.id = "sort-now";
    node.className = "pill";
    node.addEventListener("click", () => { document.activeElement?.blur(); apply(); });
    banners.append(node);
  }
  setText(node, text);
}

// A new target's row comes from the page as the server renders it now, and goes to the end: nothing moves for it.
let fetching = false;
async function fetchNew() {
  if (fetching) return;
  fetching = true;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok || answer.redirected) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const row of page.querySelectorAll("#targets > .target")) if (!rows.has(row.dataset.slug)) rows.add(document.adoptNode(row));
  } catch {
    // No server: the next update tries again.
  } finally {
    fetching = false;
  }
  settle();
}

function viewChanged(names) {
  // Before the first update the page does not know what to sort by: the server does.
  if (!told && names.includes("sort")) { location.reload(); return; }
  const shown = rows.arrange();
  announce(`${shown} target${shown === 1 ? "" : "s"} shown.`);
  pill("");
}

if (list) {
  startView();
  rows.start();
  onChange(viewChanged);
  followPointer(list);
  followKeys(list);
  list.addEventListener("pointermove", () => { pointed = Date.now(); });
  stories.dataset.html = stories.innerHTML;
  setInterval(settle, 2000);
}
