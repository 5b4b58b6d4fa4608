"""SVG paths of ribbons and sparklines, pure. static/js/shapes.js builds the same paths by the same rule."""

import math
from collections.abc import Sequence

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
    """One path per letter that occurs, in a box of 299 x 24."""
    paths: dict[str, str] = {}
    for index, letter in enumerate(ribbon_letters(letters)):
        height = BAR_HEIGHTS[letter]
        x, y = index * STEP, RIBBON_HEIGHT - height
        if letter == "m":
            # Hollow: the outline is drawn, half a pixel inside, so that its height is that of the others.
            segment = f"M{x}.5 {y}.5h{BAR - 1}v{height - 1}h-{BAR - 1}z"
        else:
            segment = f"M{x} {y}h{BAR}v{height}h-{BAR}z"
        paths[letter] = paths.get(letter, "") + segment
    return paths


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
