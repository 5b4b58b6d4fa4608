// j and k go from target to target; Enter is the link's own.
export function followKeys(list) {
  const links = () => [...list.querySelectorAll(".target:not([hidden]) a")];
  const step = (by) => (event) => {
    event.preventDefault();
    const all = links();
    const at = all.indexOf(document.activeElement);
    const next = at < 0 ? firstInView(all, by) : all[Math.max(0, Math.min(all.length - 1, at + by))];
    next?.focus({ focusVisible: true });
  };
  document.addEventListener("command:next", step(1));
  document.addEventListener("command:previous", step(-1));
}

// Where the person looks: the first row that is not above what the window shows.
function firstInView(links, by) {
  const shown = links.filter((link) => {
    const box = link.closest(".target").getBoundingClientRect();
    return box.top >= 48 && box.bottom <= innerHeight;
  });
  return (by > 0 ? shown[0] : shown.at(-1)) ?? links[0];
}
