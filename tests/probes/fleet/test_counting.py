"""What is counted by location equals a recount of the rows, however outcomes are delivered."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from probes.engine.outcome import FailureKind, Outcome
from probes.fleet.counting import LATE_US, Counted, counted_of
from probes.models import LocationRollup, Result
from probes.recording import record
from probes.results_stream import Entry
from probes.retention import tidy
from probes.schedule import EPOCH
from tests.support.outcomes import NOON, entry, failure, stored_target, success

pytestmark = pytest.mark.django_db
NOW = NOON + timedelta(minutes=10)
MISSED = Outcome(kind=FailureKind.MISSED)
Key = tuple[str, int, datetime]


def stored() -> dict[Key, Counted]:
    """Without `ill_at`: no row tells that its outcome came in place of a miss."""
    rows = LocationRollup.objects.values()
    return {(row["location_id"], row["width"], row["start"]): counted_of({**row, "ill_at": None}) for row in rows}


def recounted() -> dict[Key, Counted]:
    """From the rows of single results alone."""
    found: dict[Key, Counted] = {}
    for row in Result.objects.all():
        for width in LocationRollup.Width.values:
            seconds = int(row.slot.timestamp())
            start = datetime.fromtimestamp(seconds - seconds % width, UTC) if width else EPOCH
            _count(found.setdefault((row.location_id, width, start), Counted()), row)
    return found


def _count(into: Counted, row: Any) -> None:
    if row.kind == "missed":
        into.missed += 1
        return
    into.answered_at = row.recorded_at
    if row.kind in ("probe_error", "policy_denied"):
        into.errors += 1
        return
    if row.start_delay_us > LATE_US:
        into.late += 1
    else:
        into.on_time += 1
    into.flagged += row.flagged
    into.lag_us = max(into.lag_us, row.lag_us)
    into.start_delay.add(row.start_delay_us)


def drawn(chance: random.Random) -> Outcome:
    kind = chance.choice([None, None, None, FailureKind.NOT_READY, FailureKind.MISSED, FailureKind.PROBE_ERROR])
    if kind is FailureKind.MISSED:
        return MISSED
    told = {
        "start_delay_us": chance.choice([700, 90_000, LATE_US, LATE_US + 1, 900_000]),
        "lag_us": chance.randint(0, 9),
    }
    return failure(kind, **told) if kind else success(**told)


@pytest.mark.parametrize("seed", range(3))
def test_counts_equal_a_recount_whatever_comes_twice_or_late(seed: int) -> None:
    """Two targets at two locations; misses replaced by late outcomes; everything told again. Of misses that outcomes
    took the place of, the count of ever keeps both: Prometheus takes one that falls for a restart."""
    chance = random.Random(seed)
    targets = [stored_target(slug, locations=("virginia", "ohio")) for slug in ("one", "two")]
    told: list[Entry] = []
    for n in range(60):
        target, place = chance.choice(targets), chance.choice(["virginia", "ohio"])
        told.append(entry(target, NOON + timedelta(seconds=7 * chance.randint(0, 40)), drawn(chance), place))
        if n % 7 == 0:
            record(chance.sample(told, k=min(len(told), 12)), now=NOW)
    record(told, now=NOW)
    assert {one.kind for one in Result.objects.all()} >= {"", "missed", "probe_error"}
    counted, expected = stored(), recounted()
    for key in counted:
        if key[1] == LocationRollup.Width.EVER:
            assert counted[key].missed >= expected[key].missed
            counted[key].missed = expected[key].missed
    assert counted == expected


def test_a_late_outcome_takes_the_place_of_its_miss() -> None:
    target = stored_target()
    record([entry(target, NOON, MISSED)], now=NOW)
    assert (stored()["local", 60, NOON].missed, stored()["local", 60, NOON].answered_at) == (1, None)
    record([entry(target, NOON, success())], now=NOW)
    minute = stored()["local", 60, NOON]
    assert (minute.missed, minute.on_time, minute.answered_at) == (0, 1, NOW)
    assert stored()["local", 0, EPOCH].missed == 1


def test_a_late_outcome_in_place_of_a_miss_that_was_never_counted_is_recorded_all_the_same() -> None:
    """As after an upgrade: the misses of before stand in no row of a location."""
    target = stored_target()
    record([entry(target, NOON, MISSED)], now=NOW)
    LocationRollup.objects.all().delete()
    assert record([entry(target, NOON, success())], now=NOW) == {}
    assert Result.objects.get().ok
    assert {row.missed for row in LocationRollup.objects.all()} == {0}
    assert {row.on_time for row in LocationRollup.objects.all()} == {1}


def test_the_newest_slot_that_was_late_or_missed_is_remembered() -> None:
    target = stored_target()

    def newest() -> datetime | None:
        return LocationRollup.objects.get(width=LocationRollup.Width.EVER).ill_at

    record([entry(target, NOON, success())], now=NOW)
    assert newest() is None
    record([entry(target, NOON + timedelta(seconds=9), success(start_delay_us=LATE_US + 1))], now=NOW)
    record([entry(target, NOON + timedelta(seconds=5), MISSED)], now=NOW)
    assert newest() == NOON + timedelta(seconds=9)
    record([entry(target, NOON + timedelta(seconds=12), MISSED)], now=NOW)
    assert newest() == NOON + timedelta(seconds=12)


def test_what_is_old_goes_and_the_count_of_ever_stays(settings: Settings) -> None:
    settings.MINUTE_DAYS, settings.HOUR_DAYS = 3, 6
    target = stored_target()
    for days in range(10):
        then = NOON - timedelta(days=days)
        record([entry(target, then, success())], now=then)
    tidy(NOON + timedelta(minutes=1))
    assert Counter(width for _, width, _ in stored()) == {0: 1, 60: 3, 300: 3, 900: 3, 3600: 6, 21600: 6}
    assert stored()["local", 0, EPOCH].on_time == 10
