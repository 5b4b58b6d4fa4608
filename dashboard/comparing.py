"""Does one strategy do better than another? Shares of probes on the places that both served, with bounds. Pure.

Three things make two plain shares deceive, and each is answered for:

- One strategy served the easy targets. Only places (a target at a location) that both served are compared, each with
  its Mantel-Haenszel weight; a weighted share is worth 1 / sum(w² / n) probes (Kish, "Survey Sampling", 1965).
- Failures come in bursts, so probes of one burst tell little more than one of them. Counts are divided by the design
  effect, which is measured between the stretches of time that the counts come in (Rao and Scott, "A simple method for
  the analysis of clustered binary data", Biometrics 1992); of both strategies, the larger one.
- Whoever compares much finds something. The error is shared out over all pairs and figures (Bonferroni).

The difference of two shares is bounded by Newcombe's square-and-add of Wilson's score bounds (Statistics in Medicine
1998, method 10), which holds for none of few as well. Whether something else changed when the strategy did, no
test can tell: `Comparison.together` says how far both served at the same time.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import NamedTuple

ERROR = 0.05
"""Chance that a page says of any pair and figure that one is better, where all are alike."""
LEAST_PROBES = 30
"""Of each, before anything is said."""
_MOST_TIMES = 1000
"""Of a difference that would take so many times more probes, no number is told."""


class Stretch(NamedTuple):
    """Probes of one place in one stretch of time that one strategy served, and the bad ones of them."""

    place: Hashable
    at: Hashable
    probes: int
    bad: int


@dataclass(frozen=True, slots=True)
class _Place:
    """All stretches of one place that one strategy served: summed once, and compared with each other strategy."""

    stretches: Sequence[Stretch]
    probes: int
    bad: int
    independent: float
    """How much the bad ones would vary if its probes were independent."""
    varied: float
    """How much they do from stretch to stretch."""
    at: frozenset[Hashable]


@dataclass(frozen=True, slots=True)
class Side:
    """One strategy on the places that both served: plain counts, and what they are worth."""

    name: str
    probes: int
    bad: int
    share: float
    worth: float
    """The number of independent probes that would tell as much."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two strategies by one figure. `low` and `high` bound the share of `a` less that of `b`."""

    a: Side
    b: Side
    low: float
    high: float
    places: int
    together: float
    """The part (0 to 1) of the rarer one's probes that ran in stretches which both served."""
    z: float

    @property
    def enough(self) -> bool:
        """Whether there are enough probes of both to say anything."""
        return min(self.a.probes, self.b.probes) >= LEAST_PROBES

    @property
    def better(self) -> Side | None:
        """The one with the smaller share, where that is beyond doubt."""
        if not self.enough or self.low <= 0 <= self.high:
            return None
        return self.a if self.high < 0 else self.b

    @property
    def worse(self) -> Side | None:
        """The other one."""
        better = self.better
        return None if better is None else self.b if better is self.a else self.a

    @property
    def more(self) -> int | None:
        """How many more probes of each would decide it, if the shares stayed as they are; None: far too many."""
        times = 1.0
        while times < _MOST_TIMES:
            times *= 1.1
            low, high = difference(self.a.share, self.a.worth * times, self.b.share, self.b.worth * times, self.z)
            if not low <= 0 <= high:
                return math.ceil(min(self.a.probes, self.b.probes) * (times - 1))
        return None


def compare(a: str, ours: Iterable[Stretch], b: str, theirs: Iterable[Stretch], z: float) -> Comparison | None:
    """None where no place was served by both. `z`: of the normal distribution, how sure the bounds are."""
    return _compare(a, _by_place(ours), b, _by_place(theirs), z)


def _compare(
    a: str, first: Mapping[Hashable, _Place], b: str, second: Mapping[Hashable, _Place], z: float
) -> Comparison | None:
    places = sorted(first.keys() & second.keys(), key=repr)
    if not places:
        return None
    weights = _weights([(first[place].probes, second[place].probes) for place in places])
    burst = max(_design_effect([each[place] for place in places]) for each in (first, second))
    mine = _side(a, [first[place] for place in places], weights, burst)
    other = _side(b, [second[place] for place in places], weights, burst)
    low, high = difference(mine.share, mine.worth, other.share, other.worth, z)
    together = _together([first[place] for place in places], [second[place] for place in places])
    return Comparison(mine, other, low, high, len(places), together, z)


def all_pairs(
    figures: Sequence[dict[str, list[Stretch]]], error: float = ERROR
) -> list[dict[tuple[str, str], Comparison]]:
    """Every pair of strategies by each figure ({strategy: stretches}); those without a common place are left out."""
    names = sorted({name for figure in figures for name, found in figure.items() if found})
    pairs = list(combinations(names, 2))
    z = NormalDist().inv_cdf(1 - error / (2 * max(1, len(pairs) * len(figures))))
    found = []
    for figure in figures:
        by_place = {name: _by_place(figure.get(name, ())) for name in names}
        compared = {(a, b): _compare(a, by_place[a], b, by_place[b], z) for a, b in pairs}
        found.append({pair: one for pair, one in compared.items() if one is not None})
    return found


def difference(p: float, n: float, q: float, m: float, z: float) -> tuple[float, float]:
    """Bounds of p - q, shares of n and m probes (Newcombe's method 10)."""
    (p_low, p_high), (q_low, q_high) = score_bounds(p, n, z), score_bounds(q, m, z)
    return (
        p - q - math.hypot(p - p_low, q_high - q),
        p - q + math.hypot(p_high - p, q - q_low),
    )


def score_bounds(share: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's score bounds of a share of `n` probes, which need not be whole; 0 to 1 of none."""
    if n <= 0:
        return 0.0, 1.0
    square = z * z
    centre = share + square / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    scale = 1 + square / n
    return min(share, max(0.0, (centre - spread) / scale)), max(share, min(1.0, (centre + spread) / scale))


def _by_place(stretches: Iterable[Stretch]) -> dict[Hashable, _Place]:
    found: dict[Hashable, list[Stretch]] = defaultdict(list)
    for each in stretches:
        if each.probes:
            found[each.place].append(each)
    return {place: _place(each) for place, each in found.items()}


def _place(stretches: Sequence[Stretch]) -> _Place:
    probes, bad, many = sum(each.probes for each in stretches), sum(each.bad for each in stretches), len(stretches)
    share = bad / probes
    independent = probes * share * (1 - share)
    squares = sum((each.bad - share * each.probes) ** 2 for each in stretches)
    varied = squares * many / (many - 1) if many > 1 else independent
    return _Place(stretches, probes, bad, independent, varied, frozenset(each.at for each in stretches))


def _weights(pairs: Sequence[tuple[int, int]]) -> list[float]:
    raw = [n * m / (n + m) for n, m in pairs]
    return [each / sum(raw) for each in raw]


def _side(name: str, places: Sequence[_Place], weights: Sequence[float], burst: float) -> Side:
    counts = [(each.probes, each.bad) for each in places]
    share = sum(w * bad / n for w, (n, bad) in zip(weights, counts, strict=True))
    worth = 1 / sum(w * w / n for w, (n, _) in zip(weights, counts, strict=True))
    return Side(name, sum(n for n, _ in counts), sum(bad for _, bad in counts), min(share, 1.0), worth / burst)


def _design_effect(places: Sequence[_Place]) -> float:
    """How much more the counts vary from stretch to stretch than independent probes would; 1 at least.

    A place with a single stretch tells nothing about it, and counts as if its probes were independent.
    """
    seen = independent = 0.0
    for each in places:
        independent += each.independent
        seen += each.varied
    return max(1.0, seen / independent) if independent else 1.0


def _together(first: Sequence[_Place], second: Sequence[_Place]) -> float:
    ours, theirs = (sum(each.probes for each in places) for places in (first, second))
    rarer, other, whole = (first, second, ours) if ours <= theirs else (second, first, theirs)
    return sum(_shared(mine, also) for mine, also in zip(rarer, other, strict=True)) / whole


def _shared(mine: _Place, other: _Place) -> int:
    """Probes of a place in stretches in which the other strategy served it too."""
    if mine.at <= other.at:
        return mine.probes
    return sum(each.probes for each in mine.stretches if each.at in other.at)
