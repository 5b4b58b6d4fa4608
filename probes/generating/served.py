"""Sums by strategy of generated hours, as `probes.served` would have counted them outcome by outcome."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from probes.engine.outcome import Outcome
from probes.generating.storing import instant
from probes.models import ServedRollup
from probes.retention import SERVED_FINE_DAYS
from probes.rollups import floor
from probes.served_tally import ServedTally, served_by

_FIVE, _HOUR, _DAY = (width.value for width in ServedRollup.Width)
COLUMNS = ("target_id", "location_id", "width", "start", "strategy")


@dataclass(frozen=True, slots=True)
class ServedHour:
    """An hour's sums by strategy: of each five minutes (seconds after the hour), and of all of it."""

    fives: Sequence[tuple[int, str, ServedTally]]
    whole: dict[str, ServedTally]


def served_hour(outcomes: Sequence[Outcome], interval_s: int) -> ServedHour:
    """Slots come in order, one each `interval_s`, which divides five minutes."""
    fives: dict[tuple[int, str], ServedTally] = {}
    whole: dict[str, ServedTally] = {}
    for place, one in enumerate(outcomes):
        if (served := served_by(one)) is not None:
            start = place * interval_s // _FIVE * _FIVE
            fives.setdefault((start, one.strategy), ServedTally()).add(served)
            whole.setdefault(one.strategy, ServedTally()).add(served)
    return ServedHour([(*key, tally) for key, tally in fives.items()], whole)


class ServedSums:
    """Turns hours into rows; days are kept until they are over. `end`: of the whole history."""

    def __init__(self, end: datetime) -> None:
        self._fives_from = end - timedelta(days=SERVED_FINE_DAYS)
        self._hours_from = end - timedelta(days=settings.MINUTE_DAYS)
        self._days: dict[tuple[Any, ...], ServedTally] = {}

    def rows(self, place: tuple[int, str], found: ServedHour, hour: datetime, by: str | None) -> Iterator[Any]:
        """The rows of an hour at a (target, location). `by`: the strategy that served all of it; None: each its own."""
        if hour >= self._fives_from:
            for start, strategy, tally in found.fives:
                at = instant(hour + timedelta(seconds=start))
                yield (*place, _FIVE, at, strategy if by is None else by, *tally.values())
        for strategy, tally in found.whole.items():
            name = strategy if by is None else by
            if hour >= self._hours_from:
                yield (*place, _HOUR, instant(hour), name, *tally.values())
            self._days.setdefault((*place, floor(hour, _DAY), name), ServedTally()).merge(tally)

    def days(self) -> list[Any]:
        """The rows of the days that were counted since the last call."""
        found = [
            (target_id, location, _DAY, instant(start), name, *tally.values())
            for (target_id, location, start, name), tally in self._days.items()
        ]
        self._days.clear()
        return found
