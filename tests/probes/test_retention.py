"""What is old goes, in steps; what is young stays. On PostgreSQL whole days are dropped."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from pytest_django import Settings

from connections.models import ConnectionCount
from probes import partitions, retention
from probes.models import Result, Rollup, Transcript
from probes.recording import record
from probes.retention import tidy
from tests.support.outcomes import NOON, entry, failure, recount, stored_rollups, stored_target

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
THEN = datetime(2025, 1, 1, 12, tzinfo=UTC)
"""Partitions outlive a test's rows: these days are nobody else's."""
on_postgresql = pytest.mark.postgresql


def filled(days: int, until: datetime = NOON) -> None:
    """One failure at noon of each of the last days, recorded on its day."""
    target = stored_target(locations=("local",))
    for n in range(days):
        record([entry(target, until - n * DAY, failure())], now=until - n * DAY)


def test_each_kind_of_row_is_kept_for_its_own_days(settings: Settings) -> None:
    settings.RAW_DAYS, settings.MINUTE_DAYS, settings.HOUR_DAYS = 3, 5, 8
    filled(12)
    tidy(NOON + timedelta(minutes=1))
    assert Result.objects.count() == 3
    assert Transcript.objects.count() == 3
    assert Rollup.objects.filter(width=60).count() == 5
    assert Rollup.objects.filter(width=3600).count() == 8
    assert set(recount()) <= set(stored_rollups())


def test_counts_of_real_connections_are_kept_as_long_as_minutes(settings: Settings) -> None:
    settings.MINUTE_DAYS = 5
    for n in range(8):
        ConnectionCount.objects.create(
            environment_id="staging", minute=NOON - n * DAY, revision=1, strategy="immediate", figure="ended.drained"
        )
    assert tidy(NOON + timedelta(minutes=1)) == 3
    assert ConnectionCount.objects.count() == 5


def test_large_remains_go_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STEP_ROWS", 4)
    target = stored_target()
    long_ago = NOON - 8 * DAY
    record([entry(target, long_ago + timedelta(seconds=n), failure()) for n in range(10)], now=long_ago)
    assert tidy(NOON) == 21  # with one row by strategy
    assert not Result.objects.exists()
    assert not Transcript.objects.exists()


def test_one_call_is_bounded_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STEP_ROWS", 2)
    monkeypatch.setattr(retention, "MOST_STEPS", 3)
    target = stored_target()
    long_ago = NOON - 8 * DAY
    record([entry(target, long_ago + timedelta(seconds=n), failure()) for n in range(10)], now=long_ago)
    tidy(NOON)
    assert Result.objects.count() == 4
    tidy(NOON)
    assert Result.objects.count() == 0


@on_postgresql
def test_results_go_into_the_partition_of_their_day() -> None:
    partitions.ensure(THEN)
    assert (THEN + partitions.DAYS_AHEAD * DAY).date() in partitions.days()
    filled(1, THEN)
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM probes_result")
        assert cursor.fetchall() == [("probes_result_20250101",)]


@on_postgresql
def test_making_partitions_again_changes_nothing() -> None:
    partitions.ensure(THEN)
    before = partitions.days()
    partitions.ensure(THEN)
    assert partitions.days() == before


@on_postgresql
def test_a_day_whose_results_came_before_its_partition_stays_in_the_default_one() -> None:
    filled(1, THEN)
    partitions.ensure(THEN)
    assert THEN.date() not in partitions.days()
    assert (THEN + DAY).date() in partitions.days()
    assert Result.objects.count() == 1


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_days_are_dropped_whole_once_all_of_them_is_old() -> None:
    partitions.ensure(THEN - 10 * DAY)
    filled(12, THEN)
    tidy(THEN + timedelta(minutes=1))
    assert all(datetime.combine(day, datetime.min.time(), UTC) >= THEN - 8 * DAY for day in partitions.days())
    assert Result.objects.filter(slot__lt=THEN - 7 * DAY).count() == 0
    assert Result.objects.count() == 7


def test_sqlite_has_no_partitions_to_make_or_drop() -> None:
    if connection.vendor != "postgresql":
        partitions.ensure(THEN)
        assert partitions.days() == []
        assert partitions.drop_before(THEN) == 0
