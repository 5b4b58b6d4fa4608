"""SVG paths of ribbons and sparklines, pure. static/js/shapes.js builds the same paths by the same rule."""

import math
from collections.abc import Sequence
from itertools import groupby

SLOTS = 60
STEP = 5
BAR = 4
RIBBON_HEIGHT = 24
RIBBON_WIDTH = SLOTS * STEP - (STEP - BAR)
BAR_HEIGHTS = {"u": 8, "g": 15, "d": 24, "m": 8, "s": 2, "p": 2, "z": 2}
"""Letter -> bar height in px: up, degraded, down, missed (hollow), stale, paused, not probed yet."""
SPARK_WIDTH, SPARK_HEIGHT = 76, 24
_SPARK_ZERO = ord("0") - 4
"""2 px, the highest that is drawn, is four half pixels: the letter "0"."""


def ribbon_letters(letters: str) -> str:
    """Exactly sixty letters: slots that were never probed come first as `z`."""
    return letters[-SLOTS:].rjust(SLOTS, "z")


def ribbon_paths(letters: str) -> dict[str, str]:
    """One path per letter that occurs, in a box of 299 x 24.

    Slots of one letter that follow each other are one line, as broad as the bars are high and dashed into them by
    overview.css: a page of 500 targets has 30,000 bars. A miss is hollow, so each one's outline is drawn.
    """
    paths: dict[str, str] = {}
    at = 0
    for letter, run in groupby(ribbon_letters(letters)):
        slots = len(list(run))
        paths[letter] = paths.get(letter, "") + _bars(letter, at, at + slots)
        at += slots
    return paths


def _bars(letter: str, start: int, end: int) -> str:
    height = BAR_HEIGHTS[letter]
    if letter == "m":
        # Half a pixel inside, so that the outline is as high as the other bars.
        y = RIBBON_HEIGHT - height
        return "".join(f"M{slot * STEP}.5 {y}.5h{BAR - 1}v{height - 1}h-{BAR - 1}z" for slot in range(start, end))
    middle = RIBBON_HEIGHT - height / 2
    return f"M{start * STEP} {middle:g}H{end * STEP - (STEP - BAR)}"


def spark_letter(value: float | None, ceiling: float) -> str:
    """A latency (any unit), log-scaled from ceiling / 100 to ceiling, as a letter.

    It is a height in half pixels, counted from "0" (2 px from the top: `math.inf`, "never") to "X" (22 px: a hundredth
    of the ceiling or less). `None` is ".".
    """
    return "." if value is None else chr(_SPARK_ZERO + round(2 * spark_y(value, ceiling)))


def spark_letters(letters: Sequence[str]) -> str:
    """Exactly sixty, the newest last: slots that never were are "."."""
    return "".join(letters[-SLOTS:]).rjust(SLOTS, ".")


def spark_path(letters: str) -> str:
    """The line through `spark_letters` in a box of 76 x 24, broken at each "."."""
    step = SPARK_WIDTH / (SLOTS - 1)
    path, drawing = "", False
    for index, letter in enumerate(letters):
        if letter == ".":
            drawing = False
            continue
        path += f"{'L' if drawing else 'M'}{index * step:.1f} {(ord(letter) - _SPARK_ZERO) / 2:g}"
        drawing = True
    return path


def spark_y(value: float, ceiling: float) -> float:
    """Height of a value in the sparkline: 2 at "never", 6 at the ceiling, 22 at a hundredth of it or less."""
    if value == math.inf:
        return 2.0
    share = 1 + math.log10(max(value, 1e-9) / ceiling) / 2
    return round(22 - 16 * min(max(share, 0.0), 1.0), 1)
