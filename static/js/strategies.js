// The strategies page: its charts are drawn one per frame, and only where they are seen. The page is as it was asked for.
import { draw, colour, forgetColours } from "./plots.js";

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
  const chart = data[figure.dataset.chart];
  draw(figure.querySelector(".plot"), chart.figure);
  legend(figure, chart);
  requestAnimationFrame(drawNext);
}

function legend(figure, chart) {
  figure.querySelector("[data-legend]").replaceChildren(...chart.figure.data.map((trace, place) => {
    const item = document.createElement("li");
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 22 10");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", "M0 5H22");
    line.setAttribute("stroke", colour(chart.legend[place][1]));
    line.setAttribute("stroke-width", "2");
    line.setAttribute("stroke-dasharray", { dot: "2 2", dash: "6 3", longdash: "9 3", dashdot: "6 2 2 2", longdashdot: "9 2 2 2" }[trace.line.dash] ?? "none");
    svg.append(line);
    item.append(svg, trace.name);
    return item;
  }));
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
