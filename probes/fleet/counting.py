"""What the recorder adds up by location: slots on time, late and missed, and how late our probes began.

Pages of a fleet need it without each target's rollups: with a hundred targets those are a hundred rows a minute.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from probes.bulk import Conflict, insert, replace
from probes.engine.outcome import FailureKind, Outcome
from probes.histogram import Histogram
from probes.models import LocationRollup
from probes.results_stream import Entry
from probes.schedule import EPOCH

LATE_US = 250_000
"""A probe that began later than this after its slot was late. Workers begin within a millisecond; what cannot begin
within a second (`worker_loop.LATEST_START_SECONDS`) is not begun at all and is missed."""

_WIDTHS = tuple(width for width in LocationRollup.Width.values if width)
_SECONDS = min(_WIDTHS)
_IDENTITY = ("location_id", "width", "start")
_COUNTS = ("on_time", "late", "missed", "errors", "flagged", "lag_us", "answered_at", "ill_at")
_COLUMNS = (*_COUNTS, "start_delay")

Key = tuple[str, int, datetime]
"""(location, width in seconds, start)."""


@dataclass(slots=True)
class Counted:
    """The counts of one `LocationRollup`, field by field."""

    on_time: int = 0
    late: int = 0
    missed: int = 0
    errors: int = 0
    flagged: int = 0
    lag_us: int = 0
    answered_at: datetime | None = None
    ill_at: datetime | None = None
    start_delay: Histogram = field(default_factory=Histogram)

    @property
    def probed(self) -> int:
        """Slots with a finding."""
        return self.on_time + self.late

    @property
    def slots(self) -> int:
        """All slots that were due."""
        return self.probed + self.missed + self.errors

    def add(self, slot: datetime, outcome: Outcome, now: datetime) -> None:
        """Count one slot, recorded `now`."""
        if outcome.kind is FailureKind.MISSED:
            self.missed += 1
            self.ill_at = _newest(self.ill_at, slot)
            return
        self.answered_at = now
        if outcome.kind is not None and outcome.kind.ours:
            self.errors += 1
            return
        punctual = outcome.start_delay_us <= LATE_US
        self.on_time += punctual
        self.late += not punctual
        self.ill_at = self.ill_at if punctual else _newest(self.ill_at, slot)
        self.flagged += outcome.flagged
        self.lag_us = max(self.lag_us, outcome.lag_us)
        self.start_delay.add(outcome.start_delay_us)

    def merge(self, other: "Counted") -> None:
        """Add another stretch of time."""
        for name in ("on_time", "late", "missed", "errors", "flagged"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.lag_us = max(self.lag_us, other.lag_us)
        self.answered_at = _newest(self.answered_at, other.answered_at)
        self.ill_at = _newest(self.ill_at, other.ill_at)
        self.start_delay = self.start_delay.merge(other.start_delay)

    def values(self) -> tuple[Any, ...]:
        """The values of the columns, in their order, JSON as text."""
        return (*(getattr(self, name) for name in _COUNTS), self.start_delay.to_text())


def _newest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(one, other) if one and other else one or other


def count(inserted: Iterable[Entry], replaced: Sequence[Entry], now: datetime) -> None:
    """Count new rows, and outcomes that came late in place of a miss. In the caller's transaction.

    Several recorders share these rows: each is locked until the transaction ends, so call it last.
    """
    minutes: dict[tuple[str, int], Counted] = defaultdict(Counted)
    for entry in inserted:
        _minute(minutes, entry).add(entry.slot, entry.outcome, now)
    for entry in replaced:
        minute = _minute(minutes, entry)
        minute.missed -= 1
        minute.add(entry.slot, entry.outcome, now)
    fresh: dict[Key, Counted] = defaultdict(Counted)
    for (location, second), counted in minutes.items():
        for key in _keys(location, second):
            fresh[key].merge(counted)
    for entry in replaced:
        # Whoever scrapes takes a count that falls for a restart.
        fresh[_ever(entry.location)].missed += 1
    found = _lock(set(fresh))
    for key, counted in fresh.items():
        found[key].merge(counted)
        # A miss from before there were these rows was never counted, and cannot be taken back.
        found[key].missed = max(0, found[key].missed)
    replace(LocationRollup, _IDENTITY, _COLUMNS, [(*key, *each.values()) for key, each in found.items()])


def _minute(minutes: Mapping[tuple[str, int], Counted], entry: Entry) -> Counted:
    return minutes[entry.location, int(entry.slot.timestamp()) // _SECONDS * _SECONDS]


def _ever(location: str) -> Key:
    return location, LocationRollup.Width.EVER.value, EPOCH


def _keys(location: str, second: int) -> list[Key]:
    """The rows that a minute counts in, by the second since 1970 with which it begins."""
    starts = [(width, datetime.fromtimestamp(second // width * width, UTC)) for width in _WIDTHS]
    return [_ever(location), *((location, *start) for start in starts)]


def _lock(keys: set[Key]) -> dict[Key, Counted]:
    """The rows, made where there are none, held until the transaction ends; all take them in one order."""
    found = _locked(keys)
    if absent := sorted(keys - found.keys()):
        insert(LocationRollup, _IDENTITY, _COLUMNS, [(*key, *Counted().values()) for key in absent], Conflict.KEEP)
        found |= _locked(set(absent))
    return found


def _locked(keys: set[Key]) -> dict[Key, Counted]:
    if not keys:
        return {}
    rows = LocationRollup.objects.select_for_update().filter(
        location_id__in={location for location, _, _ in keys}, start__in={start for _, _, start in keys}
    )
    read = rows.order_by(*_IDENTITY).values(*_IDENTITY, *_COLUMNS)
    by_key = {(row["location_id"], row["width"], row["start"].astimezone(UTC)): row for row in read}
    return {key: counted_of(row) for key, row in by_key.items() if key in keys}


def counted_of(row: Mapping[str, Any]) -> Counted:
    """A row's counts. `row`: the values of its columns by name."""
    stored = row["start_delay"]
    histogram = Histogram.from_json(stored) if stored else Histogram()
    return Counted(**{name: row[name] for name in _COUNTS}, start_delay=histogram)
