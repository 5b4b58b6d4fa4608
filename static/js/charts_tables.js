// Table twins of the charts: asked for when somebody opens one, or prints the page.
import { setText } from "./time.js";
import { charts, chartOf, figureOf, onWords } from "./charts.js";
import { query } from "./charts_span.js";

function address(which) { return `${charts.dataset.src}?${query()}&table=${which}`; }

async function fill(figure) {
  const chart = chartOf(figure);
  const answer = await fetch(address(chart.key)).catch(() => null);
  if (answer?.ok) place(figure, (await answer.json()).table);
}

function place(figure, { columns, rows }) {
  const chart = chartOf(figure);
  const table = document.createElement("table");
  table.className = "table";
  const caption = table.createCaption();
  caption.className = "visually-hidden";
  caption.textContent = `${chart.title}: ${chart.lede}`;
  const head = table.createTHead().insertRow();
  columns.forEach((name, index) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    if (index) cell.className = "num";
    head.append(cell);
  });
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((text, index) => {
      const cell = line.insertCell();
      cell.textContent = text;
      if (index) cell.className = "num";
    });
  }
  if (!rows.length) body.insertRow().insertCell().textContent = chart.lede;
  figure.querySelector(".twin").replaceChildren(table);
}

function toggle(figure) {
  const twin = figure.querySelector(".twin");
  const button = figure.querySelector("[data-table]");
  twin.hidden = !twin.hidden;
  button.setAttribute("aria-expanded", String(!twin.hidden));
  setText(button, twin.hidden ? "Show as table" : "Hide table");
  if (!twin.hidden) fill(figure);
}

onWords((figure) => { if (!figure.querySelector(".twin").hidden) fill(figure); });
charts.addEventListener("click", (event) => {
  const button = event.target.closest("[data-table]");
  if (button) toggle(button.closest("figure"));
});

// "t": the chart that has the focus, else the one nearest to the middle of the window.
document.addEventListener("command:table", () => {
  const focused = document.activeElement?.closest?.("figure[data-chart]");
  const middle = innerHeight / 2;
  const away = (figure) => { const { top, bottom } = figure.getBoundingClientRect(); return Math.abs((top + bottom) / 2 - middle); };
  const figure = focused ?? [...charts.querySelectorAll("figure[data-chart]")].sort((a, b) => away(a) - away(b))[0];
  if (figure) toggle(figure);
});

// Paper shows tables. A page that is about to be printed does not wait for what comes later, so this asks and waits.
let printed = [];
addEventListener("beforeprint", () => {
  const request = new XMLHttpRequest();
  request.open("GET", address("all"), false);
  try {
    request.send();
  } catch {
    return; // no server: open tables are printed as they are
  }
  if (request.status !== 200) return;
  for (const [key, table] of Object.entries(JSON.parse(request.responseText).tables)) {
    const figure = figureOf(key);
    if (!figure) continue;
    place(figure, table);
    printed.push(figure);
  }
});
addEventListener("afterprint", () => {
  for (const figure of printed) if (!figure.querySelector(".twin").hidden) fill(figure);
  printed = [];
});
