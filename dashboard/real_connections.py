"""What real connections met, beside what probes met: counts in, shares with their 95 % bounds out. Pure.

Real connections are told by the watched servers of an environment; probes are those of one target. A probe never
leaves by itself, so nothing stands beside a person who did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dashboard import shares
from dashboard.sentences import FEWEST_FOR_SHARE, NO_FIGURE, count, plural
from probes.engine.outcome import FailureKind

MOST_STRATEGIES = 4
"""Strategies shown; those with the most connections come first where there are more."""
Counts = Mapping[str, Mapping[str, int]]
"""{strategy: {figure: n}}: of `connections.models.ConnectionCount`, or of probes by kind of failure."""

ENDED, READY = "ended.", "ready."
_TURNED_AWAY = ("ended.not_ready", "ended.overflow")
_NOT_READY = (FailureKind.NOT_READY, FailureKind.CLOSED_BEFORE_READY)
_FALSE_READY = (FailureKind.FALSE_READY, FailureKind.ACCEPT_RACE)


@dataclass(frozen=True, slots=True)
class Cell:
    """A share and its 95 % bounds; of few, counts and no bounds."""

    share: str
    bounds: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of one strategy. `meaning` explains it."""

    name: str
    meaning: str
    real: Cell
    probes: Cell


@dataclass(frozen=True, slots=True)
class Group:
    """One strategy: how many there were, and what they met."""

    strategy: str
    real: str
    probes: str
    lines: Sequence[Line]


def groups(real: Counts, probes: Counts) -> list[Group]:
    """One per strategy that served anything, those with the most real connections first."""
    names = {*real, *probes} - {""}
    ranked = sorted(names, key=lambda name: (-ended(real.get(name, {})), name))
    return [_group(name, real.get(name, {}), probes.get(name, {})) for name in ranked]


def ended(figures: Mapping[str, int]) -> int:
    """Connections that ended, whatever the cause."""
    return sum(n for figure, n in figures.items() if figure.startswith(ENDED))


def lede(real: Counts) -> str:
    """ "1,204 connections ended: 31 % left before they were ready (29 to 33 %)." """
    whole = sum(ended(figures) for figures in real.values())
    gone = sum(figures.get("ended.client_gone", 0) for figures in real.values())
    if not whole:
        return "No connection has ended."
    left = cell(gone, whole)
    bounds = f" (95\u00a0%: {left.bounds})" if left.bounds else ""
    return f"{plural(whole, 'connection')} ended: {left.share} left before ready{bounds}."


def cell(part: int, whole: int) -> Cell:
    """How `part` of `whole` reads. What a server reports need not add up: a part is at most the whole."""
    part = min(part, whole)
    if not whole:
        return Cell(NO_FIGURE)
    if whole < FEWEST_FOR_SHARE:
        return Cell(f"{part} of {whole}")
    return Cell(shares.percent(part / whole), shares.interval(part, whole))


def _group(strategy: str, real: Mapping[str, int], probes: Mapping[str, int]) -> Group:
    whole, probed = ended(real), sum(probes.values())
    opened = real.get("ready.opened", 0)
    lines = [
        Line(
            "Left before ready",
            "the person gave up waiting; a probe waits until its deadline",
            cell(real.get("ended.client_gone", 0), whole),
            cell(0, 0),
        ),
        Line(
            "Not ready",
            "turned away, or never answered",
            cell(_sum(real, _TURNED_AWAY), whole),
            cell(_sum(probes, _NOT_READY), probed),
        ),
        Line(
            "False ready",
            "opened before the services were there",
            cell(real.get("ready.false_ready", 0), opened),
            cell(_sum(probes, _FALSE_READY), probed),
        ),
    ]
    if "ready.false_not_ready" in real:
        held = cell(real["ready.false_not_ready"], whole)
        lines.append(Line("False not-ready", "held or turned away although all was there", held, cell(0, 0)))
    return Group(strategy, count(whole), count(probed), lines)


def _sum(figures: Mapping[str, int], names: Sequence[str]) -> int:
    return sum(figures.get(name, 0) for name in names)
