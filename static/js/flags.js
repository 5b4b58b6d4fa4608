// Who holds the served revision, in place: values change where they stand, nothing moves.
// The topic `flags:ENVIRONMENT` carries what dashboard/queries_flags.py `flags_state` says.
import "./acts.js";
import { listen } from "./live.js";
import { setText } from "./time.js";

const servers = document.getElementById("servers");
const newer = document.getElementById("newer");
const shown = Number(document.querySelector("[data-page-revision]")?.dataset.pageRevision);

listen("flags", ({ data }) => {
  if (data.revision > shown) tellNewer(data);
  if (servers) patchServers(data);
});

function figure(root, name) { return root.querySelector(`[data-figure="${name}"]`); }

// The page goes on showing the revision it was opened for: somebody may be reading it, or about to undo it.
function tellNewer(data) {
  if (!newer) return;
  setText(figure(newer, "newer"), String(data.revision));
  setText(figure(newer, "newer-author"), data.author);
  newer.hidden = false;
}

function patchServers(data) {
  const rows = new Map([...servers.querySelectorAll("[data-server]")].map((row) => [row.dataset.server, row]));
  setText(figure(servers, "sentence"), data.sentence);
  if (data.servers.length !== rows.size || data.servers.some((one) => !rows.has(one.instance))) return addServers(data.servers);
  for (const one of data.servers) patchServer(rows.get(one.instance), one);
}

function patchServer(row, one) {
  if (row.dataset.state !== one.state) {
    row.dataset.state = one.state;
    servers.querySelector(`[data-cell="${CSS.escape(one.instance)}"]`)?.classList.toggle("cell--on", one.state === "held");
  }
  setText(figure(row, "note"), one.note);
  setText(figure(row, "met"), one.met);
}

// A server came or went: the list is made anew, in the order of the message.
function addServers(list) {
  servers.querySelector("[data-install]")?.remove();
  let cells = servers.querySelector(".cells");
  let rows = servers.querySelector(".servers");
  if (!cells) {
    cells = servers.insertBefore(Object.assign(document.createElement("div"), { className: "cells" }), servers.firstChild);
    cells.setAttribute("aria-hidden", "true");
  }
  if (!rows) rows = servers.appendChild(Object.assign(document.createElement("ul"), { className: "servers" }));
  cells.replaceChildren(...list.map(cellOf));
  rows.replaceChildren(...list.map(rowOf));
}

function cellOf(one) {
  const cell = document.createElement("span");
  cell.className = one.state === "held" ? "cell cell--on" : "cell";
  cell.dataset.cell = one.instance;
  return cell;
}

function figureOf(name, className, text) {
  const node = Object.assign(document.createElement("span"), { className, textContent: text });
  node.dataset.figure = name;
  return node;
}

function rowOf(one) {
  const row = document.createElement("li");
  row.dataset.server = one.instance;
  row.dataset.state = one.state;
  const name = Object.assign(document.createElement("span"), { className: "mono", textContent: one.instance });
  row.append(name, figureOf("note", "live-figure", one.note), figureOf("met", "live-figure met", one.met));
  return row;
}
