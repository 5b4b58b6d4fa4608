"""Five minutes are what their minutes add up to, whatever came late."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from dashboard.charts.series import BY_KEY
from dashboard.queries.windows import window
from probes import condensing
from probes.histogram import Histogram
from probes.models import Rollup, Target
from probes.recording import record
from tests.support.outcomes import NOON, entry, failure, lossy, stored_target, success

pytestmark = pytest.mark.django_db
FIVE = timedelta(minutes=5)


@pytest.fixture
def chat() -> Target:
    return stored_target(locations=("local", "west"))


def probed(target: Target, minutes: float, outcome: Any = None, location: str = "local") -> None:
    slot = NOON + timedelta(minutes=minutes)
    record([entry(target, slot, outcome or success(), location)], now=max(slot, NOON))


def summed(width: int = 300) -> dict[tuple[Any, ...], Any]:
    """What is stored of a width."""
    rows = Rollup.objects.filter(width=width)
    return {(row.target_id, row.location_id, row.start): contents(row) for row in rows}


def expected(width: int = 300) -> dict[tuple[Any, ...], Any]:
    """The minutes added up by other code than the product's."""
    found: dict[tuple[Any, ...], list[Rollup]] = {}
    for row in Rollup.objects.filter(width=60):
        start = five(row.start) if width == 300 else row.start.replace(minute=0, hour=row.start.hour // 4 * 4)
        found.setdefault((row.target_id, row.location_id, start), []).append(row)
    return {key: added(rows) for key, rows in found.items()}


def five(at: datetime) -> datetime:
    return at.replace(minute=at.minute // 5 * 5)


def contents(row: Rollup) -> tuple[Any, ...]:
    histograms = {name: Histogram.from_json(data) for name, data in row.histograms.items()}
    return row.probes, row.failed, row.ours, row.flagged, row.kinds, row.events, histograms


def added(rows: list[Rollup]) -> tuple[Any, ...]:
    kinds: Counter[str] = Counter()
    events: dict[str, Counter[str]] = {}
    histograms: dict[str, Histogram] = {}
    for row in rows:
        kinds.update(row.kinds)
        for event, counts in row.events.items():
            events.setdefault(event, Counter()).update(counts)
        for name, data in row.histograms.items():
            histograms[name] = histograms.get(name, Histogram()).merge(Histogram.from_json(data))
    plain = (sum(getattr(row, name) for row in rows) for name in ("probes", "failed", "ours", "flagged"))
    return (*plain, dict(kinds), {event: dict(counts) for event, counts in events.items()}, histograms)


def condense_all(now: datetime) -> None:
    while condensing.condense(now):
        pass


def some(target: Target) -> None:
    for minutes, outcome in (
        (0.1, success()),
        (1.5, failure()),
        (4.9, lossy()),
        (5.0, success(flagged=True)),
        (9, None),
    ):
        probed(target, minutes, outcome)
    probed(target, 3, success(ready_us=900_000), "west")


def test_five_minutes_are_the_sum_of_their_minutes_and_wait_until_those_are_settled(chat: Target) -> None:
    some(chat)
    condense_all(NOON + FIVE + condensing.SETTLED - timedelta(seconds=1))
    assert summed() == {}
    condense_all(NOON + FIVE + condensing.SETTLED)
    assert {start for _, _, start in summed()} == {NOON}
    condense_all(NOON + 2 * FIVE + condensing.SETTLED)
    assert summed() == expected()
    assert len(summed()) == 3
    assert summed(14_400) == {}
    condense_all(NOON + timedelta(hours=4) + condensing.SETTLED)
    assert summed(14_400) == expected(14_400)
    assert len(summed(14_400)) == 2


def test_what_comes_after_they_were_summed_sums_them_again(chat: Target) -> None:
    some(chat)
    condense_all(NOON + 3 * FIVE)
    later = NOON + timedelta(hours=1)
    record([entry(chat, NOON + timedelta(minutes=2), failure()), entry(chat, NOON + 4 * FIVE, success())], now=later)
    assert summed() == {key: sums for key, sums in expected().items() if key[2] < NOON + 4 * FIVE}
    condense_all(NOON + timedelta(hours=5))
    assert summed() == expected()
    record([entry(chat, NOON + timedelta(minutes=33), failure())], now=NOON + timedelta(hours=6))
    assert summed(14_400) == expected(14_400)
    assert summed() == expected()


def test_a_day_reads_the_same_from_five_minutes_as_from_minutes(chat: Target) -> None:
    some(chat)
    now = NOON + timedelta(minutes=11)
    before = window(chat, BY_KEY["24h"], now)
    condense_all(now)
    assert summed()
    after = window(chat, BY_KEY["24h"], now)
    assert after.buckets == before.buckets
    assert [bucket.start for bucket in after.buckets] == [NOON, NOON + FIVE]


def test_a_month_reads_the_same_from_four_hours_as_from_hours(chat: Target) -> None:
    some(chat)
    probed(chat, 500, failure())
    now = NOON + timedelta(hours=9)
    before = window(chat, BY_KEY["30d"], now)
    condense_all(now)
    assert {start for _, _, start in summed(14_400)} == {NOON}
    after = window(chat, BY_KEY["30d"], now)
    assert after.buckets == before.buckets
    assert [bucket.start for bucket in after.buckets] == [NOON, NOON + timedelta(hours=8)]


def test_what_is_older_than_the_first_sums_is_read_by_minutes(chat: Target) -> None:
    long_ago = -timedelta(hours=30) / timedelta(minutes=1)
    probed(chat, long_ago)
    some(chat)
    condense_all(NOON + 3 * FIVE)
    assert NOON + timedelta(minutes=long_ago) not in {start for _, _, start in summed()}
    shown = window(chat, BY_KEY["24h"], NOON - timedelta(hours=20))
    assert [bucket.probes for bucket in shown.buckets] == [1]


def test_a_recorder_that_was_away_sums_what_it_missed_in_steps(chat: Target) -> None:
    some(chat)
    condense_all(NOON + 2 * FIVE)
    probed(chat, 600)
    away_until = NOON + timedelta(hours=11)
    steps = 1
    while condensing.condense(away_until):
        steps += 1
    assert steps > 100
    assert summed() == expected()
