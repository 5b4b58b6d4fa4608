"""Five minutes of a target summed from its minutes, and four hours from its hours, once those are over.

A chart of a day reads 288 of these where it would read 1,440 minutes, one of a month 180 for 720 hours. They are not
counted outcome by outcome, as minutes and hours are: each outcome would cost the recorder two more rows. What comes
after its window was summed (a late outcome, a backlog) sums it again. Behind the mark all is summed, from where the
first row is.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from probes import watermarks
from probes.bulk import replace
from probes.models import Rollup
from probes.results_stream import Entry
from probes.rollups import IDENTITY, floor
from probes.tally import COLUMNS

SETTLED = timedelta(minutes=2)
"""So long after it ends, a window has nearly all its outcomes: the longest deadline, and a moment."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Rollups of `width` seconds, made of those of `of` seconds. `mark` names how far they are made."""

    width: int
    of: int
    mark: str
    look_back: timedelta
    """Where nothing was summed yet, so much of the past is: what a chart needs. What is older is read by its parts."""

    @property
    def window(self) -> timedelta:
        return timedelta(seconds=self.width)

    @property
    def until(self) -> datetime | None:
        """The end of what is summed; None where nothing is yet."""
        return watermarks.find(self.mark)


_WIDTHS = Rollup.Width
SUMS = (
    Sum(_WIDTHS.FIVE_MINUTES.value, _WIDTHS.MINUTE.value, "five minutes", timedelta(hours=25)),
    Sum(_WIDTHS.FOUR_HOURS.value, _WIDTHS.HOUR.value, "four hours", timedelta(days=31)),
)
BY_WIDTH = {each.width: each for each in SUMS}
_PLAIN = ("probes", "failed", "ours", "flagged")
_encode = json.JSONEncoder(separators=(",", ":")).encode

Sums = dict[str, Any]
"""The columns of a rollup, JSON parsed."""


def condense(now: datetime) -> bool:
    """Sum the next window of each width that is over; returns whether more are. One transaction each, so that the
    recorder goes on between them."""
    return any(_next(each, now) for each in SUMS)


def _next(each: Sum, now: datetime) -> bool:
    until = floor(now - SETTLED, each.width)
    with transaction.atomic():
        before = watermarks.read(each.mark, first=floor(now - each.look_back, each.width))
        if before >= until or not watermarks.advance(each.mark, before, before + each.window):
            return False
        _write(each, before)
    return before + each.window < until


def again(entries: Sequence[Entry], now: datetime) -> None:
    """Sum anew what these outcomes came too late for. Call in the transaction that stored them."""
    for each in SUMS:
        late: dict[datetime, set[int]] = defaultdict(set)
        for entry in entries:
            start = floor(entry.slot, each.width)
            if start + each.window + SETTLED <= now:
                late[start].add(entry.target_id)
        until = each.until if late else None
        for start, target_ids in late.items():
            if until is not None and start < until:
                _write(each, start, target_ids)


def refill(start: datetime, end: datetime, target_ids: Collection[int]) -> None:
    """Sum what was written from `start` to `end` behind the recorder's back."""
    for each in SUMS:
        refill_one(each, start, end, target_ids)


def refill_one(each: Sum, start: datetime, end: datetime, target_ids: Collection[int]) -> None:
    """The same of one width."""
    until = min(end, watermarks.read(each.mark, first=floor(end - SETTLED, each.width)))
    at = floor(start, each.width)
    while at < until:
        with transaction.atomic():
            _write(each, at, target_ids)
        at += each.window


def _write(each: Sum, start: datetime, target_ids: Collection[int] | None = None) -> None:
    """Store the sums of the window from `start` on, of these targets or of all."""
    rows = Rollup.objects.filter(width=each.of, start__gte=start, start__lt=start + each.window)
    if target_ids is not None:
        rows = rows.filter(target_id__in=target_ids)
    sums: dict[tuple[int, str], Sums] = {}
    for row in rows.values("target_id", "location_id", *COLUMNS).iterator():
        _add(sums.setdefault((row["target_id"], row["location_id"]), {}), row)
    replace(Rollup, IDENTITY, COLUMNS, [(*key, each.width, start, *_values(one)) for key, one in sums.items()])


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
