// Columns of time under the plots: which one lies where. Plots show the page's clock, addresses have UTC.
export const MARGIN = { left: 64, right: 8, top: 18, bottom: 26 }; // dashboard/charts/figures.py MARGIN

export class Columns {
  constructor({ first, step, end, offsets, says }) {
    Object.assign(this, { first, step, end, offsets, says, count: says.length });
    this.left = this.#wall(0);
    this.right = end + offsets.at(-1)[1];
  }

  #wall(column) {
    let ahead = this.offsets[0][1];
    for (const [from, offset] of this.offsets) if (from <= column) ahead = offset;
    return this.first + column * this.step + ahead;
  }

  // UTC in ms of a column's beginning; that of the one after the last is where the data end.
  utc(column) { return column >= this.count ? this.end : this.first + column * this.step; }

  // Shares of a plot's width, 0 to 1.
  begins(column) { return column >= this.count ? 1 : (this.#wall(column) - this.left) / (this.right - this.left); }
  middle(column) { return (this.begins(column) + this.begins(column + 1)) / 2; }

  at(share) {
    const wall = this.left + share * (this.right - this.left);
    let [low, high] = [0, this.count - 1];
    while (low < high) {
      const half = Math.ceil((low + high) / 2);
      if (this.#wall(half) <= wall) low = half; else high = half - 1;
    }
    return low;
  }

  // The column of an instant, null outside.
  of(utc) {
    const column = Math.floor((utc - this.first) / this.step);
    return column >= 0 && column < this.count ? column : null;
  }
}

// Shares of a plot (charts.css), set on each overlay: set above them they would restyle every node of every plot.
export function lay(selector, shares) {
  for (const node of document.querySelectorAll(`#charts ${selector}`)) {
    for (const [name, share] of Object.entries(shares)) node.style.setProperty(`--${name}`, String(share));
  }
}

// Where a pointer is over a plot: shares from the left and from the bottom, clamped.
export function place(plot, event) {
  const box = plot.getBoundingClientRect();
  const x = (event.clientX - box.left - MARGIN.left) / (box.width - MARGIN.left - MARGIN.right);
  const y = 1 - (event.clientY - box.top - MARGIN.top) / (box.height - MARGIN.top - MARGIN.bottom);
  return { x: Math.min(Math.max(x, 0), 1), y: Math.min(Math.max(y, 0), 1) };
}
