// Long-lived connections, kept up to date with the charts: the server draws them, the page only puts them in place.
const panel = document.getElementById("residents");
let newest = null;

export async function refreshResidents(query) {
  if (!panel) return;
  try {
    const answer = await fetch(`${panel.dataset.src}?${query}`);
    if (answer.ok) { newest = await answer.text(); place(); }
  } catch {
    // The Live indicator says that we are offline; what is drawn stays.
  }
}

// Nothing moves under a finger: what is pointed at or has focus is replaced later.
function place() {
  if (newest === null || panel.contains(document.activeElement) || panel.matches(":hover")) return;
  const table = panel.querySelector(".table-scroll")?.scrollLeft ?? 0;
  panel.innerHTML = newest;
  newest = null;
  const scroller = panel.querySelector(".table-scroll");
  if (scroller) scroller.scrollLeft = table;
}
if (panel) setInterval(place, 1000);
