"""One cursor for all charts, pure: the columns it can stand on, and what it says at each."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dashboard import sentences
from dashboard.charts.figures import columns, table_time
from dashboard.charts.series import Bucket, Window

_MS = timedelta(milliseconds=1)


def cursor(window: Window, zone: ZoneInfo) -> dict[str, Any]:
    """{"first", "step", "end", "offsets", "says"}: the columns of a window.

    `first` and `end` are milliseconds since 1970 in UTC, `step` the length of a column in milliseconds, `says` one
    sentence per column ("02:51, p95 never, 9 of 24 failed"). `offsets` is [[column, ms]]: from this column on the
    page's clock is so far ahead of UTC. Plots show the clock, so the cursor has to know.
    """
    starts = columns(window, window.bucket)
    found = {bucket.start: bucket for bucket in window.buckets}
    return {
        "first": _utc(starts[0]) if starts else _utc(window.start),
        "step": window.bucket // _MS,
        "end": _utc(window.end),
        "offsets": _offsets([*starts, window.end], zone),
        "says": [f"{table_time(window, at, zone)}, {_said(found.get(at))}" for at in starts],
    }


def _utc(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _offsets(starts: list[datetime], zone: ZoneInfo) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for column, at in enumerate(starts):
        ahead = (at.astimezone(zone).utcoffset() or timedelta()) // _MS
        if not found or found[-1][1] != ahead:
            found.append((column, ahead))
    return found


def _said(bucket: Bucket | None) -> str:
    if bucket is None or not bucket.probes:
        missed = bucket.ours if bucket else 0
        return f"no probe, {sentences.plural(missed, 'slot')} not measured" if missed else "no probe"
    p95 = bucket.percentile("race_window", 0.95)
    ready = "" if p95 is None else f"p95 {sentences.latency(p95)}, "
    return f"{ready}{sentences.count(bucket.failed)} of {sentences.count(bucket.probes)} failed"
