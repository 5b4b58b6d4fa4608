"""Rollups: what a minute or an hour of outcomes adds up to. The tally is pure; reading and writing it is bulk SQL."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from probes.bulk import Conflict, insert
from probes.engine.outcome import EventDefect, FailureKind, Outcome
from probes.histogram import Histogram
from probes.models import Rollup
from probes.results_stream import Entry

LATENCIES = ("dns", "tcp", "tls", "upgrade", "claimed", "race_window", "user_ready")
"""Figures whose microseconds are `Outcome.<figure>_us`. Beside them: `start_delay` (ours) and `event_latency`."""
NEVER = ("race_window", "user_ready")
"""Figures in which a probe that was never ready counts as beyond its deadline."""

Key = tuple[int, str, int, datetime]
"""(target id, location, width in seconds, start)."""
_COLUMNS = ("probes", "failed", "ours", "flagged", "kinds", "events", "histograms")


@dataclass(slots=True)
class Tally:
    """The counts and histograms of one rollup; see `probes.models.Rollup` for each field."""

    probes: int = 0
    failed: int = 0
    ours: int = 0
    flagged: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    events: dict[str, dict[str, int]] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count one recorded outcome. What is ours is never charged to the target: it counts in `ours` alone."""
        if outcome.kind is not None:
            self.kinds[outcome.kind] = self.kinds.get(outcome.kind, 0) + 1
            if outcome.kind.ours:
                self.ours += 1
                return
        self.probes += 1
        self.failed += not outcome.ok
        self.flagged += outcome.flagged
        self._add_events(outcome)
        self._add_times(outcome)

    def remove_missed(self) -> None:
        """Take back one missed slot, whose outcome came late after all; counts may go below zero until merged."""
        self.ours -= 1
        self.kinds[FailureKind.MISSED] = self.kinds.get(FailureKind.MISSED, 0) - 1

    def merge(self, other: "Tally") -> None:
        """Add another tally's counts, which may be negative where it took missed slots back."""
        self.probes += other.probes
        self.failed += other.failed
        self.ours += other.ours
        self.flagged += other.flagged
        self.kinds = _sum(self.kinds, other.kinds)
        for event, counts in other.events.items():
            self.events[event] = _sum(self.events.get(event, {}), counts)
        for figure, histogram in other.histograms.items():
            mine = self.histograms.get(figure)
            self.histograms[figure] = mine.merge(histogram) if mine else histogram

    def _add_events(self, outcome: Outcome) -> None:
        for event in outcome.events.expected:
            counts = self.events.setdefault(event, {})
            counts["expected"] = counts.get("expected", 0) + 1
            if event in outcome.events.marks:
                counts["delivered"] = counts.get("delivered", 0) + 1
            if defect := outcome.events.defects.get(event):
                name = EventDefect(defect).value
                counts[name] = counts.get(name, 0) + 1

    def _add_times(self, outcome: Outcome) -> None:
        self._histogram("start_delay").add(outcome.start_delay_us)
        if not outcome.ok and "ready" not in outcome.marks:
            for figure in NEVER:
                self._histogram(figure).add_beyond()
        if outcome.flagged:
            return
        for figure in LATENCIES:
            us = getattr(outcome, f"{figure}_us")
            if us is not None:
                self._histogram(figure).add(us)
        for us in outcome.events.marks.values():
            self._histogram("event_latency").add(us)

    def _histogram(self, figure: str) -> Histogram:
        histogram = self.histograms.get(figure)
        if histogram is None:
            histogram = self.histograms[figure] = Histogram()
        return histogram

    def values(self) -> tuple[Any, ...]:
        """The values of the rollup's columns, in the order of `_COLUMNS`, JSON as text."""
        histograms = {figure: histogram.to_json() for figure, histogram in self.histograms.items()}
        texts = (json.dumps(value) for value in (self.kinds, self.events, histograms))
        return self.probes, self.failed, self.ours, self.flagged, *texts


def _sum(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    total = dict(a)
    for name, n in b.items():
        total[name] = total.get(name, 0) + n
    return {name: n for name, n in total.items() if n}


def tally(inserted: Iterable[Entry], replaced: Iterable[Entry]) -> dict[Key, Tally]:
    """What new rows, and late outcomes that replaced missed ones, change in every rollup they touch."""
    changes: dict[Key, Tally] = defaultdict(Tally)
    for entry in inserted:
        for key in _keys(entry):
            changes[key].add(entry.outcome)
    for entry in replaced:
        for key in _keys(entry):
            changes[key].remove_missed()
            changes[key].add(entry.outcome)
    return changes


def _keys(entry: Entry) -> Iterable[Key]:
    for width in (Rollup.Width.MINUTE, Rollup.Width.HOUR):
        yield entry.target_id, entry.location, width.value, floor(entry.slot, width.value)


def floor(instant: datetime, seconds: int) -> datetime:
    """The start of the minute or hour that an instant lies in, in UTC."""
    return datetime.fromtimestamp(int(instant.timestamp()) // seconds * seconds, UTC)


def apply(changes: Mapping[Key, Tally]) -> None:
    """Add changes to the stored rollups. The caller holds the targets' status rows, so nobody else writes these."""
    stored = _read(changes)
    rows = []
    for key, change in changes.items():
        total = stored.get(key, Tally())
        total.merge(change)
        rows.append((*key, *total.values()))
    insert(Rollup, ("target_id", "location_id", "width", "start"), _COLUMNS, rows, Conflict.REPLACE)


def _read(keys: Iterable[Key]) -> dict[Key, Tally]:
    wanted: dict[tuple[str, int, datetime], list[int]] = defaultdict(list)
    for target_id, location, width, start in keys:
        wanted[location, width, start].append(target_id)
    found: dict[Key, Tally] = {}
    for (location, width, start), targets in wanted.items():
        rows = Rollup.objects.filter(location_id=location, width=width, start=start, target_id__in=targets)
        for row in rows.values("target_id", *_COLUMNS):
            target_id = row.pop("target_id")
            row["histograms"] = {figure: Histogram.from_json(data) for figure, data in row["histograms"].items()}
            found[target_id, location, width, start] = Tally(**row)
    return found
