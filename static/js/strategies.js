// The strategies page: its charts are drawn one per frame, and only where they are seen. The page is as it was asked for.
import { draw, forgetColours } from "./plots.js";

const source = document.getElementById("chart-data");
const data = source ? JSON.parse(source.textContent) : {};
const seen = new Set();
const wanted = new Set();
let drawing = false;

const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) { seen.delete(target); continue; }
    seen.add(target);
    if (!target.dataset.drawn) want(target);
  }
}, { rootMargin: "200px" });

function want(figure) {
  wanted.add(figure);
  if (!drawing) { drawing = true; requestAnimationFrame(drawNext); }
}

function drawNext() {
  const figure = [...wanted].find((each) => seen.has(each));
  if (!figure || !window.Plotly) { drawing = false; return; }
  wanted.delete(figure);
  figure.dataset.drawn = "yes";
  draw(figure.querySelector(".plot"), data[figure.dataset.chart].figure);
  requestAnimationFrame(drawNext);
}

function flip(figure) {
  const twin = figure.querySelector(".twin");
  const button = figure.querySelector("[data-table]");
  twin.hidden = !twin.hidden;
  button.setAttribute("aria-expanded", String(!twin.hidden));
  button.textContent = twin.hidden ? "Show as table" : "Hide table";
}

const figures = [...document.querySelectorAll("figure[data-chart]")];
for (const figure of figures) {
  observer.observe(figure);
  figure.querySelector("[data-table]").addEventListener("click", () => flip(figure));
}
document.addEventListener("command:table", () => { if (figures[0]) flip(figures[0]); });
document.addEventListener("themechange", () => {
  forgetColours();
  for (const figure of figures) if (figure.dataset.drawn) want(figure);
});

// The list of targets closes like a menu.
const targets = document.querySelector(".scope-targets");
if (targets) {
  targets.open = false;
  document.addEventListener("click", (event) => { if (!targets.contains(event.target)) targets.open = false; });
  targets.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && targets.open) { targets.open = false; targets.querySelector("summary").focus(); event.stopPropagation(); }
  });
}
