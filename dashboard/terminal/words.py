"""Words and figures in a terminal: times, shares with their bounds, and text of a server that cannot steer it."""

import math

from probes.engine.summary import NEVER
from probes.histogram import bounds

NONE = "–"


def shown(text: str) -> str:
    """`text` without what a terminal obeys: a server's escape sequences are told as `\\x1b`, never carried out."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    if char in "\r\n\t":
        return " "
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"


def duration(us: float | None) -> str:
    """Microseconds as milliseconds or seconds; "never" beyond the deadline, a dash where there is no figure."""
    if us is None or math.isnan(us):
        return NONE
    if math.isinf(us):
        return NEVER
    if us < 9_995:
        return f"{us / 1000:.2f} ms"
    if us < 99_950:
        return f"{us / 1000:.1f} ms"
    return f"{us / 1000:.0f} ms" if us < 999_500 else f"{us / 1e6:.2f} s"


def percent(share: float) -> str:
    """A share (0 to 1) with the digits that a small one needs: "0.30 %", "4.2 %", "38 %"."""
    value = 100 * share
    if value in (0, 100):
        return f"{value:.0f} %"
    if value < 0.01:
        return f"{value:.1g} %"
    if value < 1 or value > 99:
        return f"{min(value, 99.99):.2f} %"
    return f"{value:.1f} %" if value < 10 or value > 90 else f"{value:.0f} %"


def interval(part: int, whole: int) -> str:
    """The 95 % bounds of a share in words: "0.5 to 1.8 %"; of none at all, what that proves: "below 0.30 %"."""
    if not whole:
        return NONE
    low, high = bounds(part, whole)
    if part == 0:
        return f"below {percent(high)}"
    if part == whole:
        return f"above {percent(low)}"
    return f"{percent(low).removesuffix(' %')} to {percent(high)}"


def proportion(part: int, whole: int) -> str:
    """A share with its bounds: "1.3 % (95 %: 0.77 to 2.2 %)", "none (95 %: below 0.30 %)"."""
    if not whole:
        return NONE
    share = "none" if part == 0 else percent(part / whole)
    return f"{share} (95 %: {interval(part, whole)})"
