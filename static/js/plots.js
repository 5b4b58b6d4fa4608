// Draws figures whose colours are token names ("--down", "--down@7" with an opacity in percent).
const CONFIG = { displayModeBar: false, showSendToCloud: false, doubleClick: false, scrollZoom: false, responsive: true };
const TOKEN = /^--([\w-]+?)(?:@(\d+))?$/;
const colours = new Map();
const swatch = document.createElement("i");
swatch.hidden = true;
document.body.append(swatch);

export function forgetColours() { colours.clear(); }

export function colour(token) {
  if (!colours.has(token)) {
    const [, name, opacity] = TOKEN.exec(token);
    swatch.style.color = `var(--${name})`;
    const value = getComputedStyle(swatch).color;
    const [r, g, b] = value.match(/[\d.]+/g);
    colours.set(token, opacity ? `rgba(${r},${g},${b},${opacity / 100})` : value);
  }
  return colours.get(token);
}

function painted(value) {
  if (typeof value === "string") {
    if (value === "--sans") return getComputedStyle(document.body).fontFamily;
    return TOKEN.test(value) ? colour(value) : value;
  }
  if (Array.isArray(value)) return value.map(painted);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, painted(each)]));
  return value;
}

export function draw(node, figure) {
  const { data, layout } = painted(figure);
  for (const trace of data) {
    // Glyphs need cells of ten pixels; on a phone the colour alone is drawn and the words are in the hover.
    if (trace.texttemplate && (node.clientWidth - 72) / trace.x.length < 10) delete trace.texttemplate;
  }
  return window.Plotly.react(node, data, { ...layout, autosize: true }, CONFIG);
}
