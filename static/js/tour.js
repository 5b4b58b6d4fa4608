// The tour's note follows what happens: a cure brings the next one to its place without a reload, and probes are counted.

const WAIT_MS = 1000;  // at most one question a second, however much changes
const places = [...document.querySelectorAll(".tour-place")];
let asked = 0;
let timer = null;

async function refresh() {
  timer = null;
  asked = Date.now();
  const current = places.find((place) => place.firstElementChild);
  // Nobody loses the button under a pointer or the focus; the next change asks again.
  if (current && (current.contains(document.activeElement) || current.matches(":hover"))) return;
  try {
    const answer = await fetch("/tour/note/", { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const { step, html } = await answer.json();
    for (const place of places) {
      const wanted = place.dataset.step === step ? html : "";
      if (place.dataset.html === wanted) continue;
      place.dataset.html = wanted;
      place.innerHTML = wanted;
    }
  } catch {
    // No server: what stands stays.
  }
}

function soon() {
  if (timer || !places.some((place) => place.firstElementChild)) return;
  timer = setTimeout(refresh, Math.max(0, asked + WAIT_MS - Date.now()));
}

const observer = new MutationObserver(soon);
for (const id of ["stories", "story", "governing", "last-probes"]) {
  const node = document.getElementById(id);
  if (node) observer.observe(node, { childList: true, subtree: true, characterData: true });
}
