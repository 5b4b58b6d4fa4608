"""A target's buckets over a range: from single results for minutes, from rollups for hours and days."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, TextField
from django.db.models.functions import Cast

from dashboard.charts.series import (
    FIGURES,
    MOST_DOTS,
    Bucket,
    Dot,
    Window,
    event_counts,
    histogram_of,
    merged,
)
from dashboard.charts.spans import Kept, Span, Wanted, span_of
from dashboard.queries.changes import marks_between
from dashboard.queries.served_lines import served_by, served_lines
from probes import condensing
from probes.engine.outcome import FailureKind
from probes.histogram import read
from probes.models import Result, Rollup, Target

_OURS = frozenset(kind.value for kind in FailureKind if kind.ours)
_RAW = (
    "slot", "ok", "kind", "flagged", "events", "start_delay_us", "dns_us", "tcp_us", "tls_us", "upgrade_us",
    "race_window_us", "strategy",
)  # fmt: skip


def span(target: Target, asked: Wanted, now: datetime) -> Span:
    """The stretch of time that is asked for, in steps that its probes and what is kept of them allow."""
    kept = Kept(now - timedelta(days=settings.RAW_DAYS), now - timedelta(days=settings.MINUTE_DAYS))
    return span_of(asked, target.interval, now, kept, ZoneInfo(settings.TIME_ZONE))


def window(target: Target, asked: Wanted, now: datetime, failing_since: datetime | None = None) -> Window:
    """What the charts of a target show over a range that ends now, or over a fixed one. Two queries and those of the
    marks; a third where no probe lies in it."""
    shown = span(target, asked, now)
    dots: list[Dot] = []
    if shown.width is None:
        rows = _raw(target, shown.start, shown.end)
        found: Iterable[Bucket] = [_bucket_of_result(row) for row in rows]
        dots = [dot for row in rows[-MOST_DOTS:] if (dot := _dot(row))]
        served = served_by(rows)
    else:
        found = _rolled_up(target, shown.width, shown.start, shown.end)
        served = served_lines(target.pk, shown.start, shown.end, now)
    buckets = merged(found, shown.bucket)
    return Window(
        start=shown.start,
        end=shown.end,
        bucket=shown.bucket,
        buckets=buckets,
        dots=dots,
        marks=marks_between(target.environment_id, shown.start, shown.end, target.slug),
        events=tuple(target.script.get("events", ())),
        deadline_us=target.deadline_ms * 1000,
        objective_us=target.ready_objective_ms * 1000,
        failing_since=failing_since,
        width=shown.width,
        newest=None if buckets else newest_result(target),
        served=served,
    )


def _raw(target: Target, start: datetime, end: datetime) -> list[dict[str, Any]]:
    rows = Result.objects.filter(target=target, slot__gte=start, slot__lte=end).order_by("slot")
    return [dict(row) for row in rows.values(*_RAW)]


def _dot(row: dict[str, Any]) -> Dot | None:
    """A probe as a dot; None for what has no place: ours, flagged, or only listening."""
    if row["kind"] in _OURS or row["flagged"]:
        return None
    if row["race_window_us"] is not None:
        return Dot(row["slot"], float(row["race_window_us"]), row["kind"])
    return None if row["ok"] else Dot(row["slot"], math.inf, row["kind"])


def _bucket_of_result(row: dict[str, Any]) -> Bucket:
    """One result as a bucket, by the rules of `probes.rollups.Tally`."""
    bucket = Bucket(row["slot"])
    if row["kind"]:
        bucket.kinds = Counter({row["kind"]: 1})
    if row["kind"] in _OURS:
        bucket.ours = 1
        return bucket
    bucket.probes, bucket.failed, bucket.flagged = 1, int(not row["ok"]), int(row["flagged"])
    events = row["events"]
    marks, defects = events.get("marks", {}), events.get("defects", {})
    bucket.events = event_counts([*marks, *events.get("absent", ())], marks, defects)
    never = int(not row["ok"] and row["race_window_us"] is None)
    counted = {figure: None if row["flagged"] else row[f"{figure}_us"] for figure in FIGURES}
    counted["start_delay"] = row["start_delay_us"]
    bucket.histograms = {
        figure: histogram_of([us], beyond=never if figure == "race_window" else 0) for figure, us in counted.items()
    }
    return bucket


def _rolled_up(target: Target, width: int, start: datetime, end: datetime) -> Iterator[Bucket]:
    rows = Rollup.objects.filter(target=target, start__gte=start, start__lte=end)
    columns = ("start", "probes", "failed", "ours", "flagged", "kinds", "events")
    # As text: a third of it is of figures that no chart reads.
    rows = rows.annotate(text=Cast("histograms", TextField()))
    found = [_bucket_of_rollup(row) for row in rows.filter(width=width).values(*columns, "text")]
    yield from found
    if sums := condensing.BY_WIDTH.get(width):
        # What is not summed yet: the newest, and what is older than the first sums.
        last = sums.until or start
        first = min((bucket.start for bucket in found), default=last)
        left = rows.filter(Q(start__lt=first) | Q(start__gte=last), width=sums.of)
        yield from (_bucket_of_rollup(row) for row in left.values(*columns, "text"))


def _bucket_of_rollup(row: dict[str, Any]) -> Bucket:
    return Bucket(
        start=row["start"],
        probes=row["probes"],
        failed=row["failed"],
        ours=row["ours"],
        flagged=row["flagged"],
        kinds=Counter(row["kinds"]),
        events={event: Counter(counts) for event, counts in row["events"].items()},
        histograms=read(row["text"], FIGURES),
    )


def newest_result(target: Target) -> datetime | None:
    """The newest slot with a result of any age."""
    slots: Iterable[datetime] = (
        Result.objects.filter(target=target).order_by("-slot").values_list("slot", flat=True)[:1]
    )
    return next(iter(slots), None)
