// Ribbons, sparklines and state shapes, by the same rule as dashboard/shapes.py.
const HEIGHTS = { u: 8, g: 15, d: 24, m: 8, s: 2, p: 2, z: 2 };
const SVG = "http://www.w3.org/2000/svg";

export function ribbonPaths(letters) {
  const paths = {};
  [...letters].forEach((letter, index) => {
    const height = HEIGHTS[letter];
    const x = index * 5;
    const y = 24 - height;
    const segment = letter === "m" ? `M${x}.5 ${y}.5h3v${height - 1}h-3z` : `M${x} ${y}h4v${height}h-4z`;
    paths[letter] = (paths[letter] || "") + segment;
  });
  return paths;
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
