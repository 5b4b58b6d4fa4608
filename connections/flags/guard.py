"""Is the new variant worse than the old one beside it? A sequential test that may be looked at after every probe. Pure.

Two questions are asked of each figure (failed, undelivered, slow), each by a betting test: a stake of 1 that, while its
null hypothesis holds, is not expected to grow whatever happens, so that it ever reaches 1/a with probability a at most
(Ville's inequality). There is no schedule of looks and no horizon. The guard trips where both have reached their limit:

- against the objective: "the canary fails no more than the objective allows". A cluster multiplies the stake by
  1 + g(x - p0)/p0, x the canary's failing share of it: the bet on a bounded mean of Waudby-Smith and Ramdas,
  "Estimating means of bounded random variables by betting" (JRSS B, 2024). ALPHA bounds the trips of a healthy canary.
- against the control: "the canary fails no more than the control beside it, however often that is and however it
  changes". Given how many of a cluster's probes failed, whose they are is a matter of the draw. So a cluster multiplies
  the stake by 1 + c(K - E[K])/(E[K] - min K), K the canary's failures, hypergeometric under the null: the conditional
  form of the two-sample e-values of Turner, Ly and Grünwald, "Generic e-variables for exact sequential k-sample tests
  that allow for optional stopping" (JSPI, 2024). CONTROL_ALPHA bounds the trips where both cohorts fail alike.

The second limit is wider because no test can do better in four minutes: 8 of 80 against 1 of 80 has a p-value of 0.017
by Fisher's exact test, for one look. Against trouble that hits both cohorts for a while (a blip) there is more than the
bound: what speaks against the canary counts the less, the more of the control failed within NEAR_SECONDS, before or
after. A test whose factors are only ever made smaller keeps its bound.

Clusters. Probes that share a slot and a location meet the same trouble, so they count as one: slots of one second at
one location are kept together, and second follows second into a cluster until both cohorts are in it and
SHORTEST_CLUSTER_SECONDS are over. A cluster in which all fail compares nothing; whatever it holds, it doubles the
second stake at most. One that does not find both cohorts within LONGEST_CLUSTER_SECONDS is dropped: no control, no
evidence.

"Pass" is a test as well, of the opposite: "the canary fails TOLERANCE more often than the objective allows, or more",
refuted at PASS_ALPHA by the clusters of this step of the ramp alone.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

ALPHA = 0.01
"""A canary that meets its objective is ever tripped with at most this probability, in a whole ramp."""
CONTROL_ALPHA = 0.12
"""The same for one that fails as often as the control beside it."""
PASS_ALPHA = 0.05
TOLERANCE = 0.04
SLOW_SHARE = 0.05
"""The ready objective is one of the 95th percentile: so many may be slower."""
LEAST_OUTCOMES = 5
"""Of each cohort, before anything is said."""
SHORTEST_CLUSTER_SECONDS, LONGEST_CLUSTER_SECONDS = 3, 300
NEAR_SECONDS = 8
DOUBT = 3.0
"""Where a third as much of the control may have failed nearby as of the canary, nothing speaks against the canary."""
RECENT_CONTROLS, FAILING_CONTROLS = 20, 2
"""The control fails now where so many of its last so many outcomes failed: probes.health calls that degraded."""
OBJECTIVES = (0.5, 0.9999)
"""Least and most share of successes that a guard can hold a variant to."""


class Figure(StrEnum):
    """What is compared."""

    FAILED = "failed"
    UNDELIVERED = "undelivered"
    SLOW = "slow"


SHARES: Mapping[Figure, float] = MappingProxyType({Figure.FAILED: 0.9, Figure.UNDELIVERED: 0.05, Figure.SLOW: 0.05})
"""How the bounds are shared out, so that three figures do not make three times the false alarms."""
_GROWTHS = (0.03, 0.1, 0.3)
"""Failing shares above the objective that the first stake bets on, a third on each."""
_BET, _BET_ON_PASS = 0.7, 0.9
_PASSING = (Figure.FAILED, Figure.SLOW)


class Verdict(StrEnum):
    """What the test says now. Without data it is HOLD."""

    HOLD = "hold"
    PASS = "pass"  # noqa: S105 - a verdict
    TRIP = "trip"


@dataclass(frozen=True, slots=True)
class Seen:
    """One probe of a cohort. `undelivered` and `slow` are None where the probe cannot tell."""

    location: str
    second: int
    """Its slot, in whole seconds since the epoch."""
    canary: bool
    failed: bool
    undelivered: bool | None = None
    slow: bool | None = None


@dataclass(slots=True)
class Count:
    """Probes of both cohorts, and those of them that were bad."""

    canary: int = 0
    canary_bad: int = 0
    control: int = 0
    control_bad: int = 0

    def add(self, other: "Count") -> None:
        self.canary += other.canary
        self.canary_bad += other.canary_bad
        self.control += other.control
        self.control_bad += other.control_bad

    def see(self, *, canary: bool, bad: bool) -> None:
        if canary:
            self.canary += 1
            self.canary_bad += bad
        else:
            self.control += 1
            self.control_bad += bad

    def as_list(self) -> list[int]:
        return [self.canary, self.canary_bad, self.control, self.control_bad]


Cell = dict[Figure, Count]
"""What was seen in a second, or in a cluster. A figure that no probe could tell is absent."""


def cell_as_json(cell: Cell) -> dict[str, list[int]]:
    return {figure.value: count.as_list() for figure, count in cell.items()}


def cell_from_json(stored: Mapping[str, list[int]]) -> Cell:
    return {Figure(figure): Count(*numbers) for figure, numbers in stored.items()}


def add_cell(to: Cell, cell: Cell) -> None:
    """Add all counts of `cell` to those of `to`."""
    for figure, count in cell.items():
        to.setdefault(figure, Count()).add(count)


@dataclass(slots=True)
class Stakes:
    """One figure's counts and its three stakes, as logarithms; the first is spread over several bets."""

    limit: float
    """The share that the objective allows."""
    total: Count = field(default_factory=Count)
    objective: list[float] = field(default_factory=lambda: [0.0] * len(_GROWTHS))
    against_control: float = 0.0
    passing: float = 0.0

    def take(self, cluster: Count, near: Count) -> None:
        """Let one cluster decide the bets; `near`: what was seen around it."""
        self.total.add(cluster)
        if not cluster.canary or not cluster.control:
            return
        share = cluster.canary_bad / cluster.canary
        for index, growth in enumerate(_GROWTHS):
            self.objective[index] += math.log1p(growth * (share - self.limit) / self.limit)
        gain = _drawn(cluster) - 1
        if gain > 0 and near.control_bad:
            gain *= max(0.0, 1 - DOUBT * wilson(near.control_bad, near.control)[1] / share)
        self.against_control += math.log1p(gain)
        worst = self.limit + TOLERANCE
        self.passing += math.log1p(_BET_ON_PASS * (worst - share) / (1 - worst))

    @property
    def against_objective(self) -> float:
        highest = max(self.objective)
        return highest + math.log(sum(math.exp(one - highest) for one in self.objective) / len(self.objective))

    def won(self, share: float) -> bool:
        """Whether the first two stakes have reached their limits; `share`: this figure's of the bounds."""
        beside_control = self.against_control >= -math.log(CONTROL_ALPHA * share)
        return beside_control and self.against_objective >= -math.log(ALPHA * share)

    @property
    def clean_needed(self) -> int:
        """Clusters without a failure until the third stake has won; 0: it has."""
        worst = self.limit + TOLERANCE
        clean = math.log1p(_BET_ON_PASS * worst / (1 - worst))
        return max(0, math.ceil((-math.log(PASS_ALPHA) - self.passing) / clean - 1e-9))

    def as_json(self) -> dict[str, Any]:
        """Everything but the limit; `read` reverses it."""
        stakes = {"objective": self.objective, "control": self.against_control, "passing": self.passing}
        return {"total": self.total.as_list(), **stakes}

    @classmethod
    def read(cls, limit: float, stored: Mapping[str, Any]) -> Self:
        """What `as_json` wrote."""
        total = Count(*stored["total"])
        return cls(limit, total, list(stored["objective"]), stored["control"], stored["passing"])


@dataclass(slots=True)
class Place:
    """One location: the cluster that is being filled, those that wait for what follows them, and the last seconds."""

    since: int = 0
    filling: Cell = field(default_factory=dict)
    waiting: list[tuple[int, int, Cell]] = field(default_factory=list)
    """(first second, last second, cluster)."""
    lately: list[tuple[int, Cell]] = field(default_factory=list)

    def add(self, second: int, cell: Cell) -> None:
        """The next second; seconds come in order."""
        self.lately.append((second, cell))
        if not self.filling or second - self.since > LONGEST_CLUSTER_SECONDS:
            self.since, self.filling = second, {}
        add_cell(self.filling, cell)
        whole = self.filling[Figure.FAILED]
        if whole.canary and whole.control and second - self.since >= SHORTEST_CLUSTER_SECONDS:
            self.waiting.append((self.since, second, self.filling))
            self.filling = {}

    def due(self, before: int) -> Iterator[tuple[Cell, Cell]]:
        """(cluster, what was seen around it) of those of which nothing near can come any more."""
        while self.waiting and self.waiting[0][1] + NEAR_SECONDS < before:
            first, last, cluster = self.waiting.pop(0)
            self.lately = [(at, cell) for at, cell in self.lately if at >= first - NEAR_SECONDS]
            near: Cell = {}
            for at, cell in self.lately:
                if at <= last + NEAR_SECONDS:
                    add_cell(near, cell)
            yield cluster, near
        if not self.waiting:
            self.lately = [
                (at, cell) for at, cell in self.lately if at >= before - NEAR_SECONDS - 1 or at >= self.since
            ]

    def as_json(self) -> dict[str, Any]:
        """JSON-ready; `read` reverses it."""
        return {
            "since": self.since,
            "filling": cell_as_json(self.filling),
            "waiting": [[first, last, cell_as_json(cluster)] for first, last, cluster in self.waiting],
            "lately": [[at, cell_as_json(cell)] for at, cell in self.lately],
        }

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """What `as_json` wrote."""
        waiting = [(first, last, cell_from_json(cluster)) for first, last, cluster in stored["waiting"]]
        lately = [(at, cell_from_json(cell)) for at, cell in stored["lately"]]
        return cls(stored["since"], cell_from_json(stored["filling"]), waiting, lately)


class GuardTest:
    """The test of one canary: `take` what was seen, `settle` up to an instant, ask for the `verdict`. Time is given."""

    def __init__(self, objective: float) -> None:
        self.objective = objective
        self.figures = {figure: Stakes(self._limit(figure)) for figure in Figure}
        self.clusters = 0
        self.last_second = 0
        """The newest slot that both cohorts were compared in; 0: none yet."""
        self._cells: dict[tuple[int, str], Cell] = {}
        self._places: dict[str, Place] = {}
        self._controls: list[list[int]] = []

    def _limit(self, figure: Figure) -> float:
        return SLOW_SHARE if figure is Figure.SLOW else 1 - self.objective

    def take(self, seen: Seen) -> None:
        """Keep a probe until its slot is settled. A late one counts with the slots that are settled next."""
        cell = self._cells.setdefault((seen.second, seen.location), {})
        told = ((Figure.FAILED, seen.failed), (Figure.UNDELIVERED, seen.undelivered), (Figure.SLOW, seen.slow))
        for figure, bad in told:
            if bad is not None:
                cell.setdefault(figure, Count()).see(canary=seen.canary, bad=bad)

    def settle(self, before: int) -> None:
        """Count the slots that began before this second: all their probes have been heard of, or are lost."""
        for second, location in sorted(key for key in self._cells if key[0] < before):
            cell = self._cells.pop((second, location))
            self._places.setdefault(location, Place()).add(second, cell)
            self._note_control(cell[Figure.FAILED])
        for place in self._places.values():
            for cluster, near in place.due(before):
                self.clusters += 1
                for figure, count in cluster.items():
                    self.figures[figure].take(count, near.get(figure, count))
                self.last_second = max(self.last_second, before - NEAR_SECONDS)

    def _note_control(self, count: Count) -> None:
        if count.control:
            self._controls.append([count.control, count.control_bad])
        while sum(n for n, _ in self._controls[1:]) >= RECENT_CONTROLS:
            del self._controls[0]

    @property
    def verdict(self) -> Verdict:
        if self.tripped_by is not None:
            return Verdict.TRIP
        return Verdict.HOLD if self.too_few or self.clean_needed else Verdict.PASS

    @property
    def tripped_by(self) -> Figure | None:
        """The first figure in which the canary is worse than the objective allows and than the control is."""
        if self.too_few:
            return None
        for figure, stakes in self.figures.items():
            if stakes.won(SHARES[figure]):
                return figure
        return None

    @property
    def too_few(self) -> bool:
        """Whether one cohort is smaller than the least that is judged."""
        total = self.figures[Figure.FAILED].total
        return min(total.canary, total.control) < LEAST_OUTCOMES

    @property
    def control_fails(self) -> bool:
        """Whether the control is failing now: going back to it would cure nobody."""
        return sum(bad for _, bad in self._controls) >= FAILING_CONTROLS

    @property
    def clean_needed(self) -> int:
        """Clusters without a failure until the verdict is "pass"; 0: none."""
        return max(self.figures[one].clean_needed for one in _PASSING)

    def begin_step(self) -> None:
        """A new step of the ramp must pass by itself; what speaks against the variant stays."""
        for stakes in self.figures.values():
            stakes.passing = 0.0

    def as_json(self) -> dict[str, Any]:
        """JSON-ready; `read` reverses it."""
        return {
            "objective": self.objective,
            "figures": {figure.value: stakes.as_json() for figure, stakes in self.figures.items()},
            "clusters": self.clusters,
            "last_second": self.last_second,
            "cells": [[*key, cell_as_json(cell)] for key, cell in self._cells.items()],
            "places": {location: place.as_json() for location, place in self._places.items()},
            "controls": self._controls,
        }

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """What `as_json` wrote."""
        test = cls(stored["objective"])
        for figure in Figure:
            test.figures[figure] = Stakes.read(test._limit(figure), stored["figures"][figure.value])
        test.clusters, test.last_second = stored["clusters"], stored["last_second"]
        test._cells = {(second, location): cell_from_json(cell) for second, location, cell in stored["cells"]}
        test._places = {location: Place.read(place) for location, place in stored["places"].items()}
        test._controls = [list(one) for one in stored["controls"]]
        return test


def _drawn(cluster: Count) -> float:
    """The factor of a bet that more of the cluster's failures are the canary's than the draw would have it; 2 at most.

    Where more failed than the canary has probes, the control failed too, and the bet is smaller: how many failed says
    nothing of whose they are, so it may decide how much is put on that.
    """
    probes, failed = cluster.canary + cluster.control, cluster.canary_bad + cluster.control_bad
    least, most = max(0, failed - cluster.control), min(cluster.canary, failed)
    if least == most:
        return 1.0
    expected = failed * cluster.canary / probes
    unit = expected - least
    bet = min(_BET * min(1.0, (probes - failed) / cluster.control), unit / (most - expected))
    return 1 + bet * (cluster.canary_bad - expected) / unit


def wilson(bad: int, probes: int) -> tuple[float, float]:
    """The 95 % bounds of a failing share; 0 to 1 where nothing was seen."""
    if not probes:
        return 0.0, 1.0
    share, square = bad / probes, 1.96**2
    middle = share + square / (2 * probes)
    spread = 1.96 * math.sqrt(share * (1 - share) / probes + square / (4 * probes**2))
    return max(0.0, (middle - spread) / (1 + square / probes)), min(1.0, (middle + spread) / (1 + square / probes))
