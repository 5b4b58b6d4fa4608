"""An hour of a generated target as it is stored: its results, and the rollups that they add up to, worked out once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from probes import rows
from probes.engine.outcome import Outcome
from probes.generating.answers import Setting, outcome
from probes.generating.plan import Plan, Service, chance_of
from probes.results_stream import Entry
from probes.served_tally import ServedTally, served_by
from probes.tally import Tally, findings_of

HOUR = timedelta(hours=1)
LOADS = (0.85, 1.0, 1.25)
"""How much sooner or later than usual services answer: at night, in the day, in its busy hours."""
VARIANTS = 2
"""Hours of each load and profile that are worked out; a calm history is made of them by chance."""
_BUSY, _DAY = range(9, 16), range(6, 21)
_ANY = datetime(2026, 1, 1, tzinfo=UTC)
_IDENTITY = 3
_SERVED = 3
"""The last columns of a result, `strategy`, `flags_revision` and `recorded_at`, are told apart from the others."""

WRITTEN = (60, 300, 3600)
"""Rollups that are written with the hour; what is longer is summed afterwards."""
SERVED = (300, 3600)
"""Of the rollups by strategy, those that lie within an hour."""

Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Hour:
    """What each slot of an hour found, and its sums. Slots come in order, one each `interval`."""

    calm: bool
    """All is well, and who served it is not told: it may stand for many hours."""
    outcomes: Sequence[Outcome]
    results: Sequence[Values]
    """The values of a result's columns but for its identity and the last `_SERVED`."""
    transcripts: dict[int, tuple[str, str]]
    """(marks, frames) of those slots whose transcript is kept, by place."""
    rollups: dict[int, Sequence[tuple[int, Values]]]
    """By width: (seconds after the hour, values of the rollup's columns)."""
    served: dict[tuple[int, int, str], ServedTally]
    """By width, seconds after the hour, and strategy."""


def hour_of(outcomes: Sequence[Outcome], interval_s: int, kept: Callable[[Outcome], bool], *, calm: bool) -> Hour:
    """`kept` tells whose transcript is stored."""
    found = [rows.row_of(Entry(0, "", _ANY, one), _ANY)[_IDENTITY:-_SERVED] for one in outcomes]
    transcripts = {place: rows.transcript_of(one) for place, one in enumerate(outcomes) if one.frames and kept(one)}
    return Hour(
        calm,
        outcomes,
        found,
        transcripts,
        {width: _sums(outcomes, interval_s, width) for width in WRITTEN},
        _served(outcomes, interval_s),
    )


def _sums(outcomes: Sequence[Outcome], interval_s: int, width: int) -> list[tuple[int, Values]]:
    tallies: dict[int, Tally] = {}
    for place, one in enumerate(outcomes):
        # The interval divides a minute, so the offset of a target's slots never moves one into another minute.
        start = place * interval_s // width * width
        tallies.setdefault(start, Tally()).add(findings_of(one))
    return [(start, tally.values()) for start, tally in tallies.items()]


def _served(outcomes: Sequence[Outcome], interval_s: int) -> dict[tuple[int, int, str], ServedTally]:
    tallies: dict[tuple[int, int, str], ServedTally] = {}
    for place, one in enumerate(outcomes):
        found = served_by(one)
        if found is None:
            continue
        for width in SERVED:
            key = width, place * interval_s // width * width, one.strategy
            tallies.setdefault(key, ServedTally()).add(found)
    return tallies


class Calm:
    """Hours in which all is well, `VARIANTS` for each profile and load. Each is worked out when it is first wanted."""

    def __init__(self, seed: int, interval_s: int, success_share: float) -> None:
        self._seed, self._interval_s, self._share = seed, interval_s, success_share
        self._known: dict[tuple[int, int, int], Hour] = {}

    def hour(self, profile: int, load: int, variant: int) -> Hour:
        """The same one each time it is asked for."""
        key = profile, load, variant
        if key not in self._known:
            self._known[key] = self._made(*key)
        return self._known[key]

    def _made(self, profile: int, load: int, variant: int) -> Hour:
        chance = chance_of(self._seed, "calm", profile, load, variant)
        setting = Setting(Service("", "", "", profile, delicate=False).ready_ms * LOADS[load])
        outcomes = [outcome(chance, setting) for _ in range(3600 // self._interval_s)]
        return hour_of(outcomes, self._interval_s, lambda one: not one.ok or chance.random() < self._share, calm=True)


def load_at(hour: datetime) -> int:
    """The place in `LOADS` of a time of day."""
    return 2 if hour.hour in _BUSY else int(hour.hour in _DAY)


def eventful(
    plan: Plan, service: Service, slots: Sequence[datetime], *, seed: int, interval_s: int, success_share: float
) -> Hour:
    """An hour in which something happens: each slot by what was served and suffered then."""
    chance = chance_of(seed, service.slug, slots[0].isoformat())
    outcomes = [outcome(chance, setting_at(plan, service, slot)) for slot in slots]
    return hour_of(outcomes, interval_s, lambda one: not one.ok or chance.random() < success_share, calm=False)


def setting_at(plan: Plan, service: Service, at: datetime) -> Setting:
    """What decides the outcome of a service's probe then."""
    strategy, revision = plan.served(service.place, at)
    ready_ms = service.ready_ms * LOADS[load_at(at)]
    episode = plan.episode(service.slug, at)
    if episode is None:
        return Setting(ready_ms, strategy, revision)
    return Setting(ready_ms, strategy, revision, episode.sort, episode.share)
