"""The race window of each strategy on one target over a range, for the chart of the target page."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from dashboard.charts.series import Line
from probes import packed
from probes.engine.outcome import FailureKind
from probes.histogram import bucket_of
from probes.models import ServedRollup
from probes.retention import SERVED_FINE_DAYS
from probes.rollups import floor

_OURS = frozenset(kind.value for kind in FailureKind if kind.ours)
FINE_FOR = timedelta(hours=24)
"""A longer range is read from hours, its ends whole hours; one longer than a week from days."""
HOURS_FOR = timedelta(days=8)


def served_by(rows: Iterable[Mapping[str, Any]]) -> list[Line]:
    """From single results, by the rules of `probes.served_tally`."""
    found: dict[str, list[int]] = {}
    for row in rows:
        if row["kind"] in _OURS:
            continue
        sums = found.setdefault(row["strategy"], [0, 0])
        if row["race_window_us"] is None:
            sums[1] += not row["ok"]
        elif not row["flagged"]:
            sums[0] += packed.one_in(bucket_of(row["race_window_us"]))
    return _lines(found)


def served_lines(target_id: int, start: datetime, end: datetime, now: datetime) -> list[Line]:
    """From the rollups by strategy, the finest that are kept of the range and not too many. One query."""
    width = _width(start, end, now)
    rows = ServedRollup.objects.filter(target_id=target_id, width=width, start__gte=floor(start, width), start__lte=end)
    found: dict[str, list[int]] = {}
    for strategy, histogram, never in rows.values_list("strategy", "race_window", "never"):
        sums = found.setdefault(strategy, [0, 0])
        sums[0] += packed.from_bytes(histogram)
        sums[1] += never
    return _lines(found)


def _width(start: datetime, end: datetime, now: datetime) -> int:
    widths = ServedRollup.Width
    if end - start <= FINE_FOR and start > now - timedelta(days=SERVED_FINE_DAYS):
        return widths.FIVE_MINUTES.value
    kept = start > now - timedelta(days=settings.MINUTE_DAYS)
    return (widths.HOUR if kept and end - start <= HOURS_FOR else widths.DAY).value


def _lines(found: Mapping[str, list[int]]) -> list[Line]:
    """Those told what served them, with the most probes first."""
    lines = [Line(strategy, *sums) for strategy, sums in found.items() if strategy]
    return sorted((line for line in lines if line.probes), key=lambda line: (-line.probes, line.strategy))
