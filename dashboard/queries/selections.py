"""Probes that a person selects on a chart: those of one bucket, worst first, and what tells an area from the rest."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Case, Count, F, Q, Value, When

from dashboard import sentences
from dashboard.charts.spans import Fixed, Span, Wanted, between, fixed_label
from dashboard.differences import Difference, Group, difference
from dashboard.queries.target import PROBE_COLUMNS, Probe, probe_of
from dashboard.queries.windows import span
from probes.engine.outcome import FailureKind
from probes.models import Result, Target

MOST_LISTED = 60
LONGEST_COMPARED = timedelta(hours=24)
"""A selection is compared with so much time around it at most: rows of a month would take seconds to read."""
NEVER = "never"
_OURS = [kind.value for kind in FailureKind if kind.ours]
_DIMENSIONS = ("strategy", "flags_revision", "location_id", "address", "kind")


@dataclass(frozen=True, slots=True)
class Listed:
    """The probes of one bucket: the worst of them, and what all of them are."""

    stretch: Fixed
    label: str
    total: int
    failed: int
    ours: int
    probes: list[Probe]
    kept: bool
    """Whether single results of that time are still kept."""

    @property
    def sentence(self) -> str:
        if not self.kept:
            return f"Single probes are kept for {sentences.plural(settings.RAW_DAYS, 'day')}: these are gone."
        if not self.total + self.ours:
            return "No probe in this time."
        missed = f" {sentences.plural(self.ours, 'slot')} not measured, because of us." if self.ours else ""
        few = len(self.probes) < self.total + self.ours
        shown = f" The {len(self.probes)} worst:" if few else " The worst first:" if len(self.probes) > 1 else ""
        return f"{sentences.count(self.failed)} of {sentences.count(self.total)} failed.{missed}{shown}"


@dataclass(frozen=True, slots=True)
class Area:
    """An area of the heatmap: a stretch of time, and [low, high) of the race window in milliseconds.

    `high` is infinite where "never" belongs to it; `low` too where nothing else does.
    """

    stretch: Fixed
    low: float
    high: float

    @property
    def latencies(self) -> str:
        """ "250 to 500 ms", "800 ms to never", "never"; "" for all."""
        if math.isinf(self.low):
            return NEVER
        if self.low <= 0 and math.isinf(self.high):
            return ""
        high = NEVER if math.isinf(self.high) else sentences.latency(self.high * 1000)
        return f"{sentences.latency(self.low * 1000)} to {high}" if self.low > 0 else f"up to {high}"


@dataclass(frozen=True, slots=True)
class Compared:
    """An area against the rest of the time that the page shows."""

    area: Area
    label: str
    rest_label: str
    kept: bool
    found: Difference


def stretch_of(text: str, field: str) -> Fixed:
    """ "20261120T025100Z..20261120T025200Z". Raises ValueError with a sentence that starts with the field's name."""
    first, dots, last = text.partition("..")
    if not dots:
        raise ValueError(f"{field}: two instants, such as 20261120T025100Z..20261120T025200Z.")
    return between(first, last)


def area_of(query: Mapping[str, str]) -> Area:
    """`?picked=FROM..TO&ready=LOW..HIGH`, in milliseconds; `never` for HIGH or alone. Raises ValueError as above."""
    stretch, ready = stretch_of(query.get("picked", ""), "picked"), query.get("ready", "")
    if not ready:
        return Area(stretch, 0.0, math.inf)
    if ready == NEVER:
        return Area(stretch, math.inf, math.inf)
    low, _, high = ready.partition("..")
    try:
        area = Area(stretch, float(low), math.inf if high == NEVER else float(high))
    except ValueError:
        area = Area(stretch, math.nan, math.nan)
    if not 0 <= area.low < area.high or math.isinf(area.low):
        raise ValueError("ready: milliseconds, such as 250..500, 800..never, or never.")
    return area


def listed(target: Target, stretch: Fixed, now: datetime) -> Listed:
    """The probes of a stretch of time: those that failed first, the slowest first, ours last. Two queries."""
    rows = Result.objects.filter(target=target, slot__gte=stretch.start, slot__lt=stretch.end)
    ours, failed = Q(kind__in=_OURS), Q(ok=False)
    counts = rows.aggregate(
        ours=Count("slot", filter=ours), failed=Count("slot", filter=failed & ~ours), total=Count("slot", filter=~ours)
    )
    worst = Case(When(ours, then=Value(2)), When(failed, then=Value(0)), default=Value(1))
    ordered = rows.order_by(worst, F("race_window_us").desc(nulls_first=True), "-slot").values(*PROBE_COLUMNS)
    return Listed(
        stretch=stretch,
        label=_label(stretch, now),
        probes=[probe_of(row, target) for row in ordered[:MOST_LISTED]],
        kept=_kept(stretch, now),
        **counts,
    )


def compared(target: Target, area: Area, shown: Wanted, now: datetime) -> Compared:
    """What is different about the probes of an area, against all others of the time that is shown. One query."""
    rest = around(area.stretch, span(target, shown, now))
    inside = Q(slot__gte=area.stretch.start, slot__lt=area.stretch.end) & _latency(area)
    # As in the heatmap: no slot of ours, none that our loop made doubtful, none that only listens.
    drawn = Q(flagged=False) & (Q(race_window_us__isnull=False) | Q(ok=False)) & ~Q(kind__in=_OURS)
    rows = Result.objects.filter(drawn, target=target, slot__gte=rest.start, slot__lt=rest.end)
    counts = rows.values(*_DIMENSIONS).annotate(picked=Count("slot", filter=inside), total=Count("slot")).order_by()
    return Compared(
        area=area,
        label=_label(area.stretch, now),
        rest_label=_label(rest, now),
        kept=_kept(area.stretch, now),
        found=difference(map(_group, counts)),
    )


def around(picked: Fixed, shown: Span) -> Fixed:
    """The time that is shown, no longer than may be compared, around what is selected."""
    margin = max((LONGEST_COMPARED - picked.length) / 2, timedelta(0))
    start = max(min(shown.start, picked.start), picked.start - margin)
    return Fixed(start, min(max(shown.end, picked.end), picked.end + margin, start + LONGEST_COMPARED))


def _latency(area: Area) -> Q:
    if math.isinf(area.low):
        return Q(race_window_us__isnull=True)
    within = Q(race_window_us__gte=round(area.low * 1000))
    if math.isinf(area.high):
        return within | Q(race_window_us__isnull=True)
    return within & Q(race_window_us__lt=round(area.high * 1000))


def _group(row: dict[str, Any]) -> Group:
    revision = row["flags_revision"]
    values = {
        "strategy": row["strategy"] or "an unknown strategy",
        "revision": "unknown" if revision is None else f"r{revision}",
        "location": row["location_id"],
        "address": row["address"] or "no address",
        "kind": row["kind"] or "ready",
    }
    return Group(values, row["picked"], row["total"] - row["picked"])


def _label(stretch: Fixed, now: datetime) -> str:
    return fixed_label(stretch, ZoneInfo(settings.TIME_ZONE), now)


def _kept(stretch: Fixed, now: datetime) -> bool:
    return stretch.end > now - timedelta(days=settings.RAW_DAYS)
