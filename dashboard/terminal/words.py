"""Words and figures in a terminal: times, shares with their bounds, and text of a server that cannot steer it."""

import math

from dashboard import shares
from dashboard.sentences import NBSP
from dashboard.sentences import NO_FIGURE as NONE
from probes.engine.summary import NEVER

__all__ = ["NONE", "duration", "interval", "percent", "proportion", "shown"]


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
    """`shares.percent` with a plain space, which people can copy and search."""
    return shares.percent(share).replace(NBSP, " ")


def interval(part: int, whole: int) -> str:
    """`shares.interval` with plain spaces."""
    return shares.interval(part, whole).replace(NBSP, " ")


def proportion(part: int, whole: int) -> str:
    """A share with its bounds: "1.3 % (95 %: 0.77 to 2.2 %)", "none (95 %: below 0.30 %)"."""
    if not whole:
        return NONE
    share = "none" if part == 0 else percent(part / whole)
    return f"{share} (95 %: {interval(part, whole)})"
