"""What `/strategies/` shows: who was served by which strategy in a scope, and how it went. Rows are those of
`probes.served`; what they leave open, the watched servers tell of all their connections."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.db.models import Sum

from connections.gate.counters import ADDED_MORE, ADDED_MS
from connections.models import ConnectionCount
from dashboard.comparing import Stretch
from dashboard.sentences import NO_FIGURE, latency
from dashboard.strategy_words import Real, Totals
from probes import packed
from probes.models import Location, ServedRollup, Target
from probes.retention import SERVED_FINE_DAYS
from probes.rollups import floor
from probes.served_tally import COLUMNS

MOST_ROWS = 5_000
"""Rows of one page: a millisecond for a hundred. Of more, the next coarser ones are read."""
UNITS = {300: "five minutes", 3600: "hours", 86_400: "days"}
MOST_REAL = timedelta(hours=24)
"""What real connections met is kept by the minute: of a longer window, its last day is told."""
_PLAIN = len(COLUMNS) - 1


@dataclass(frozen=True, slots=True)
class Window:
    """A length of time that the page can show."""

    key: str
    label: str
    length: timedelta


WINDOWS = (
    Window("1h", "1 h", timedelta(hours=1)),
    Window("6h", "6 h", timedelta(hours=6)),
    Window("24h", "24 h", timedelta(hours=24)),
    Window("7d", "7 d", timedelta(days=7)),
    Window("30d", "30 d", timedelta(days=30)),
)
BY_KEY = {each.key: each for each in WINDOWS}
DEFAULT_WINDOW = BY_KEY["24h"]


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose probes are compared. Empty: all."""

    environment: str = ""
    tag: str = ""
    location: str = ""
    slugs: tuple[str, ...] = ()

    def holds(self, target: Mapping[str, Any]) -> bool:
        return (
            (not self.environment or target["environment_id"] == self.environment)
            and (not self.tag or self.tag in target["tags"])
            and (not self.slugs or target["slug"] in self.slugs)
        )


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that a scope can be made of."""

    targets: Sequence[Mapping[str, Any]]
    locations: Sequence[tuple[str, str]]
    """(key, name)."""

    def environments(self) -> list[str]:
        return sorted({target["environment_id"] for target in self.targets})

    def tags(self) -> list[str]:
        return sorted({tag for target in self.targets for tag in target["tags"]})


def known() -> Known:
    """Two queries."""
    targets = Target.objects.order_by("name", "slug").values("pk", "slug", "name", "environment_id", "tags")
    return Known(list(targets), list(Location.objects.order_by("name").values_list("key", "name")))


Place = tuple[int, str]
"""(target id, location)."""


@dataclass
class Served:
    """What the rows of a scope and window add up to."""

    start: datetime
    width: int
    places: dict[str, dict[Place, list[int]]] = field(default_factory=dict)
    """{strategy: {place: columns of `COLUMNS` added up}}."""
    stretches: dict[str, dict[Place, list[tuple[datetime, int, int, int, int, int]]]] = field(default_factory=dict)
    """{strategy: {place: [(start, probes, failed, false_ready, asked, incomplete)]}}."""

    @cached_property
    def strategies(self) -> list[str]:
        """Those told by probes, with the most probes first."""
        weights = {name: sum(sums[0] for sums in places.values()) for name, places in self.places.items() if name}
        return sorted(weights, key=lambda name: (-weights[name], name))

    @property
    def untold(self) -> int:
        """Probes that never heard what served them."""
        return sum(sums[0] for sums in self.places.get("", {}).values())

    @property
    def probes(self) -> int:
        return sum(sums[0] for places in self.places.values() for sums in places.values())

    def totals(self, strategy: str, target_id: int | None = None) -> Totals:
        """All probes of a strategy, or those of one target."""
        if target_id is None:
            return Totals(*_added(self.places.get(strategy, {}).values()))
        return Totals(*_added(self._of_targets.get((strategy, target_id), ())))

    @cached_property
    def _of_targets(self) -> dict[tuple[str, int], list[list[int]]]:
        found: dict[tuple[str, int], list[list[int]]] = {}
        for name, places in self.places.items():
            for (target_id, _), sums in places.items():
                found.setdefault((name, target_id), []).append(sums)
        return found

    def targets(self) -> set[int]:
        """Those that a strategy served."""
        return {place[0] for name in self.strategies for place in self.places[name]}

    def messages(self, strategy: str, other: str) -> tuple[int, int]:
        """(lost, expected) messages of one strategy on the places that another served too."""
        common = self.places[strategy].keys() & self.places[other].keys()
        totals = Totals(*_added(self.places[strategy][place] for place in common))
        return totals.lost, totals.expected

    def compared(self) -> list[dict[str, list[Stretch]]]:
        """By figure of `strategy_words.FIGURES`: {strategy: stretches} of the places that two strategies served."""
        names = self.strategies
        served: dict[Place, int] = {}
        for name in names:
            for place in self.places[name]:
                served[place] = served.get(place, 0) + 1
        figures: list[dict[str, list[Stretch]]] = [{name: [] for name in names} for _ in range(3)]
        for name in names:
            lost, fails, falsely = (figure[name] for figure in figures)
            for place, rows in self.stretches[name].items():
                if served[place] < 2:
                    continue
                for at, probes, failed, false_ready, asked, incomplete in rows:
                    lost.append(Stretch(place, at, asked, incomplete))
                    fails.append(Stretch(place, at, probes, failed))
                    falsely.append(Stretch(place, at, probes, false_ready))
        return figures


def read(target_ids: Sequence[int], locations: Sequence[str], window: timedelta, now: datetime) -> Served:
    """The rows of these targets at these locations. One query."""
    width = width_for(window, len(target_ids) * max(1, len(locations)))
    start = floor(now - window, width)
    rows = ServedRollup.objects.filter(width=width, start__gte=start, start__lte=now, target_id__in=target_ids)
    served = Served(start, width)
    columns = ("target_id", "location_id", "start", "strategy", *COLUMNS)
    for target_id, location, at, strategy, *values in rows.values_list(*columns):
        if location not in locations:
            continue
        values[_PLAIN] = packed.from_bytes(values[_PLAIN])
        place = target_id, location
        probes, failed, false_ready, _, asked, incomplete, *_ = values
        stretch = (at, probes, failed, false_ready, asked, incomplete)
        served.stretches.setdefault(strategy, {}).setdefault(place, []).append(stretch)
        sums = served.places.setdefault(strategy, {}).get(place)
        if sums is None:
            served.places[strategy][place] = values
        else:
            sums[:] = [a + b for a, b in zip(sums, values, strict=True)]
    return served


def width_for(window: timedelta, places: int) -> int:
    """The finest rows that are kept for the whole window and are not too many. Days always do."""
    for width in UNITS:
        kept = width > min(UNITS) or window <= timedelta(days=SERVED_FINE_DAYS) - timedelta(hours=1)
        if kept and window.total_seconds() / width * places <= MOST_ROWS:
            return width
    return max(UNITS)


def _added(many: Iterable[Sequence[int]]) -> list[int]:
    total = [0] * len(COLUMNS)
    for each in many:
        total = [a + b for a, b in zip(total, each, strict=True)]
    return total


def real_connections(environments: Sequence[str], start: datetime, now: datetime) -> dict[str, Real]:
    """What the watched servers of these environments tell of all their connections, by strategy. One query."""
    since = max(start, now - MOST_REAL)
    rows = ConnectionCount.objects.filter(environment_id__in=environments, minute__gte=since)
    found: dict[str, dict[str, int]] = {}
    for strategy, figure, n in rows.values_list("strategy", "figure").annotate(Sum("count")):
        found.setdefault(strategy, {})[figure] = n
    return {name: _real(figures) for name, figures in found.items()}


def _real(figures: Mapping[str, int]) -> Real:
    ended = sum(n for figure, n in figures.items() if figure.startswith("ended."))
    told = any(figure.startswith("ready.") for figure in figures)
    return Real(
        ended=ended,
        false_not_ready=figures.get("ready.false_not_ready", 0) if told and ended else None,
        added_p50=added(figures, 0.50),
        added_p95=added(figures, 0.95),
    )


def added(figures: Mapping[str, int], q: float) -> str:
    """What a strategy added to a share `q` of its connections at most: "≤ 5 ms"; a dash where nobody tells."""
    counts = [(most, figures.get(f"ready.added_{most}", 0)) for most in ADDED_MS]
    whole = sum(n for _, n in counts) + figures.get(f"ready.{ADDED_MORE}", 0)
    if not whole:
        return NO_FIGURE
    rank = q * whole
    for most, n in counts:
        rank -= n
        if rank <= 0:
            return f"≤ {latency(most * 1000).replace('.0', '')}"
    return f"> {latency(ADDED_MS[-1] * 1000).replace('.0', '')}"
