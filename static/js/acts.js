// Forms that act, made smoother: chips fill the reason, one press sends once, an error takes the focus. All of them
// work without this file; what it adds stays hidden until it runs.

function fillFrom(chip, field) {
  field.value = chip.textContent;
  for (const other of chip.parentElement.children) other.setAttribute("aria-pressed", String(other === chip));
  field.focus();
}

export function enhance(root) {
  for (const chips of root.querySelectorAll("[data-fills]")) chips.hidden = false;
  for (const button of root.querySelectorAll("[data-copies]")) button.hidden = !navigator.clipboard;
  root.querySelector("[data-focus]")?.focus();
}

async function copy(button) {
  const words = button.textContent;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copies).textContent);
  button.textContent = "Copied";
  document.getElementById("polite").textContent = "Command copied";
  setTimeout(() => { button.textContent = words; }, 2000);
}

document.addEventListener("click", (event) => {
  const chip = event.target.closest("[data-fills] .chip");
  if (chip) fillFrom(chip, document.getElementById(chip.parentElement.dataset.fills));
  const button = event.target.closest("[data-copies]");
  if (button) void copy(button);
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-once]");
  if (!form) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  form.querySelector("[type=submit]").setAttribute("aria-busy", "true");
});

// A page that comes back from the browser's history may be sent again: the server answers with the first result.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelector("[type=submit]").removeAttribute("aria-busy");
  }
});

document.addEventListener("htmx:after:swap", () => enhance(document));
enhance(document);
