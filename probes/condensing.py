"""Five minutes of a target, summed from its minutes once those are over.

A chart of a day reads 288 of these where it would read 1,440 minutes. They are not counted outcome by outcome, as
minutes and hours are: each outcome would cost the recorder a third row. What comes after its five minutes were summed
(a late outcome, a backlog) sums them again. Of what lies behind the mark all is summed, from where the first row is.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from probes import watermarks
from probes.bulk import replace
from probes.models import Rollup
from probes.results_stream import Entry
from probes.rollups import IDENTITY, floor
from probes.tally import COLUMNS

WIDTH = Rollup.Width.FIVE_MINUTES.value
SETTLED = timedelta(minutes=2)
"""So long after they end, most five minutes have all their outcomes: the longest deadline, and a moment."""
LOOK_BACK = timedelta(hours=25)
"""Where nothing was summed yet, so much of the past is: what a chart of a day needs. Older days are read by minutes."""
_WINDOW = timedelta(seconds=WIDTH)
_MARK = "five minutes"
_PLAIN = ("probes", "failed", "ours", "flagged")
_encode = json.JSONEncoder(separators=(",", ":")).encode

Sums = dict[str, Any]
"""The columns of a rollup, JSON parsed."""


def condense(now: datetime) -> bool:
    """Sum the next five minutes that are over; returns whether more are. One transaction each, so that the recorder
    goes on between them."""
    until = floor(now - SETTLED, WIDTH)
    with transaction.atomic():
        before = watermarks.read(_MARK, first=floor(now - LOOK_BACK, WIDTH))
        if before >= until or not watermarks.advance(_MARK, before, before + _WINDOW):
            return False
        _write(before)
    return before + _WINDOW < until


def again(entries: Iterable[Entry], now: datetime) -> None:
    """Sum anew what these outcomes came too late for. Call in the transaction that stored them."""
    late: dict[datetime, set[int]] = defaultdict(set)
    for entry in entries:
        start = floor(entry.slot, WIDTH)
        if start + _WINDOW + SETTLED <= now:
            late[start].add(entry.target_id)
    summed_until = mark() if late else None
    for start, target_ids in late.items():
        if summed_until is not None and start < summed_until:
            _write(start, target_ids)


def refill(start: datetime, end: datetime, target_ids: Collection[int]) -> None:
    """Sum what was written from `start` to `end` behind the recorder's back; both are whole five minutes, or now."""
    with transaction.atomic():
        until = min(end, watermarks.read(_MARK, first=floor(end - SETTLED, WIDTH)))
        while start < until:
            _write(start, target_ids)
            start += _WINDOW


def mark() -> datetime | None:
    """The end of what is summed; None where nothing is yet."""
    return watermarks.find(_MARK)


def _write(start: datetime, target_ids: Collection[int] | None = None) -> None:
    """Store the sums of the five minutes from `start` on, of these targets or of all."""
    rows = Rollup.objects.filter(width=Rollup.Width.MINUTE, start__gte=start, start__lt=start + _WINDOW)
    if target_ids is not None:
        rows = rows.filter(target_id__in=target_ids)
    sums: dict[tuple[int, str], Sums] = {}
    for row in rows.values("target_id", "location_id", *COLUMNS).iterator():
        _add(sums.setdefault((row["target_id"], row["location_id"]), {}), row)
    replace(Rollup, IDENTITY, COLUMNS, [(*key, WIDTH, start, *_values(one)) for key, one in sums.items()])


def _add(sums: Sums, row: Sums) -> None:
    """Add one rollup to the sums."""
    for column in _PLAIN:
        sums[column] = sums.get(column, 0) + row[column]
    _count(sums.setdefault("kinds", {}), row["kinds"])
    for event, counts in row["events"].items():
        _count(sums.setdefault("events", {}).setdefault(event, {}), counts)
    for figure, histogram in row["histograms"].items():
        mine = sums.setdefault("histograms", {}).setdefault(figure, {"b": {}, "beyond": 0})
        mine["beyond"] += histogram["beyond"]
        _count(mine["b"], histogram["b"])


def _count(counts: dict[str, int], more: dict[str, int]) -> None:
    for name, n in more.items():
        counts[name] = counts.get(name, 0) + n


def _values(sums: Sums) -> tuple[Any, ...]:
    """The values of a rollup's columns, JSON as text."""
    documents = (_encode(sums.get(column, {})) for column in COLUMNS if column not in _PLAIN)
    return (*(sums[column] for column in _PLAIN), *documents)
