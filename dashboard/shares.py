"""Shares in words, with the digits that small ones need and the 95 % bounds that every share has. Pure."""

from dashboard.sentences import FEWEST_FOR_SHARE, NBSP, NO_FIGURE
from probes.histogram import bounds

_UNIT = f"{NBSP}%"


def percent(share: float) -> str:
    """A share (0 to 1): "0.30 %", "4.2 %", "38 %"; it never rounds to none or to all."""
    value = 100 * share
    if value in (0, 100):
        return f"{value:.0f}{_UNIT}"
    if value < 0.01:
        return f"{value:.1g}{_UNIT}"
    if value < 1 or value > 99:
        return f"{min(value, 99.99):.2f}{_UNIT}"
    return f"{value:.1f}{_UNIT}" if value < 10 or value > 90 else f"{value:.0f}{_UNIT}"


def interval(part: int, whole: int) -> str:
    """The 95 % bounds of a share: "0.54 to 1.8 %"; of none at all, what that proves: "below 0.30 %"."""
    if not whole:
        return NO_FIGURE
    low, high = bounds(part, whole)
    if part == 0:
        return f"below {percent(high)}"
    if part == whole:
        return f"above {percent(low)}"
    return f"{percent(low).removesuffix(_UNIT)} to {percent(high)}"


def at_most(whole: int) -> str:
    """What none of so many proves, for a sentence: "fewer than 0.30 %"; "" where that is next to nothing."""
    return f"fewer than {percent(bounds(0, whole)[1])}" if whole >= FEWEST_FOR_SHARE else ""


def proves(part: int, whole: int) -> str:
    """What a count proves, to be put behind it: " (95 %: 0.54 to 1.8 %)"; "" of none at all."""
    return f" (95{NBSP}%: {interval(part, whole)})" if whole else ""
