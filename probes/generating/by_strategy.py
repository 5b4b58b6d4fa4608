"""The rollups by strategy of generated targets: five minutes and hours as they come, days when they are over."""

from collections import defaultdict
from dataclasses import fields
from datetime import datetime, timedelta

from django.conf import settings

from probes.generating.hours import Hour
from probes.generating.storing import append, instant
from probes.models import ServedRollup
from probes.retention import SERVED_FINE_DAYS
from probes.rollups import floor
from probes.served_tally import COLUMNS, Key, ServedTally

_COLUMNS = ("target_id", "location_id", "width", "start", "strategy", *COLUMNS)
_FIELDS = tuple(each.name for each in fields(ServedTally))
_WIDTH = ServedRollup.Width


class ServedSums:
    """What strategies served, hour by hour."""

    def __init__(self, location: str, end: datetime) -> None:
        self._location = location
        self._fine_from = end - timedelta(days=SERVED_FINE_DAYS)
        self._hours_from = end - timedelta(days=settings.MINUTE_DAYS)
        self._ready: list[tuple[Key, ServedTally]] = []
        self._days: dict[Key, ServedTally] = defaultdict(ServedTally)

    def add(self, target_id: int, found: Hour, hour: datetime, strategy: str) -> None:
        """One hour of a target. `strategy`: what served it, where the hour does not say so itself."""
        for (width, start, named), tally in found.served.items():
            by = strategy if found.calm else named
            if hour >= (self._fine_from if width == _WIDTH.FIVE_MINUTES else self._hours_from):
                key = (target_id, self._location, width, hour + timedelta(seconds=start), by)
                self._ready.append((key, tally))
            if width == _WIDTH.HOUR:
                day = floor(hour, _WIDTH.DAY)
                _merge(self._days[target_id, self._location, _WIDTH.DAY.value, day, by], tally)

    def write(self, until: datetime, *, last: bool) -> None:
        """Store what is complete at `until`; with `last` also the day that is not over."""
        over = [key for key in self._days if last or key[3] + timedelta(days=1) <= until]
        rows = [*self._ready, *((key, self._days.pop(key)) for key in over)]
        append(ServedRollup, _COLUMNS, [(*key[:3], instant(key[3]), key[4], *tally.values()) for key, tally in rows])
        self._ready.clear()


def _merge(total: ServedTally, more: ServedTally) -> None:
    for name in _FIELDS:
        setattr(total, name, getattr(total, name) + getattr(more, name))
