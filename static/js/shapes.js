// Ribbons, sparklines and state shapes, by the same rule as dashboard/shapes.py.
const HEIGHTS = { u: 8, g: 15, d: 24, m: 8, s: 2, p: 2, z: 2 };
const SVG = "http://www.w3.org/2000/svg";

export function ribbonPaths(letters) {
  const paths = {};
  for (let start = 0, end = 0; start < letters.length; start = end) {
    const letter = letters[start];
    while (letters[end] === letter) end += 1;
    paths[letter] = (paths[letter] ?? "") + bars(letter, start, end);
  }
  return paths;
}

function bars(letter, start, end) {
  const height = HEIGHTS[letter];
  if (letter !== "m") return `M${start * 5} ${24 - height / 2}H${end * 5 - 1}`;
  let path = "";
  for (let slot = start; slot < end; slot += 1) path += `M${slot * 5}.5 ${24 - height}.5h3v${height - 1}h-3z`;
  return path;
}

export function setRibbon(svg, letters, label) {
  if (svg.dataset.letters === letters) return;
  const wanted = ribbonPaths(letters);
  for (const path of [...svg.children]) if (!(path.getAttribute("class").slice(3) in wanted)) path.remove();
  for (const [letter, d] of Object.entries(wanted)) {
    let path = svg.querySelector(`.rb-${letter}`);
    if (!path) {
      path = document.createElementNS(SVG, "path");
      path.setAttribute("class", `rb-${letter}`);
      svg.append(path);
    }
    path.setAttribute("d", d);
  }
  svg.dataset.letters = letters;
  svg.setAttribute("aria-label", label);
}

export function sparkPath(letters) {
  let path = "";
  [...letters].forEach((letter, index) => {
    if (letter === ".") return;
    const drawing = index > 0 && letters[index - 1] !== ".";
    path += `${drawing ? "L" : "M"}${(index * 76 / 59).toFixed(1)} ${(letter.charCodeAt(0) - 44) / 2}`;
  });
  return path;
}

export function setShape(svg, state) {
  svg.setAttribute("class", `shape shape--${state}`);
  svg.firstElementChild.setAttribute("href", `#shape-${state}`);
}
