// Who else looks at this target, and what they are about to do, in the header and beside every button that would do it.
import { listen, tell } from "./live.js";
import { announce } from "./shell.js";
import { setText } from "./time.js";

const slug = document.getElementById("act-panel").dataset.target;
const header = document.getElementById("present");
let people = [];
let said = "";

function say(doing) { tell({ type: "presence", target: slug, doing: /^r\d+$/.test(doing) ? "" : doing }); }

function names(list) {
  if (list.length < 3) return list.join(" and ");
  return `${list[0]} and ${list.length - 1} others`;
}

function apply() {
  const here = [...new Set(people.map((one) => one.name))];
  setText(header, here.length ? `${names(here)} ${here.length === 1 ? "is" : "are"} here too` : "");
  for (const note of document.querySelectorAll("[data-beside]")) {
    const wanted = note.dataset.beside;
    const doing = people.filter((one) => one.words && (!wanted || wanted.split(" ").includes(one.doing)));
    setText(note, doing.map((one) => `${one.name} ${one.words}`).join(". "));
  }
}

listen("presence", ({ data }) => {
  people = data.people;
  apply();
  const acting = people.filter((one) => one.words).map((one) => `${one.name} ${one.words}.`).join(" ");
  if (acting && acting !== said) announce(acting);
  said = acting;
});

document.addEventListener("act-opened", ({ detail }) => { say(detail); apply(); });
// The parts with buttons are replaced while the page lives, and are then without their notes.
const watcher = new MutationObserver(apply);
for (const id of ["story", "governing"]) watcher.observe(document.getElementById(id), { childList: true });
say(new URLSearchParams(location.search).get("act") ?? "");
