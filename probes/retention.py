"""Deletes what is older than its days, in steps that hold the database for milliseconds."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from connections.models import ConnectionCount
from probes import partitions, rollups
from probes.models import LocationRollup, RaceCheck, ResidentLife, Result, Rollup, ServedRollup, Transcript

STEP_ROWS = 2000
"""Rows per DELETE, each its own transaction: SQLite has one writer, and the recorder must not wait."""
MOST_STEPS = 500
"""Per table and call; the next call goes on."""
SERVED_FINE_DAYS = 2
"""Five minutes by strategy are read for ranges of hours that end now, and not kept longer."""


def tidy(now: datetime) -> int:
    """Delete results, transcripts and lives older than RAW_DAYS, rollups older than MINUTE_DAYS and HOUR_DAYS (by
    strategy: hours as minutes, days as hours), counts of real connections older than MINUTE_DAYS, race checks older
    than HOUR_DAYS.

    Returns how many rows went; dropped partitions are not counted.
    """
    raw = now - timedelta(days=settings.RAW_DAYS)
    partitions.drop_before(raw)
    results = Result._meta.db_table if connection.vendor != "postgresql" else partitions.DEFAULT
    gone = _delete(results, "slot < %s", raw)
    gone += _delete(Transcript._meta.db_table, "slot < %s", raw)
    gone += _delete(ResidentLife._meta.db_table, "ended < %s", raw)
    for width, days in rollups.kept_days().items():
        gone += _delete(Rollup._meta.db_table, f"width = {width} AND start < %s", now - timedelta(days=days))
    gone += _tidy_locations(now)
    for each, days in _served_days():
        gone += _delete(ServedRollup._meta.db_table, f"width = {each.value} AND start < %s", now - timedelta(days=days))
    gone += _delete(ConnectionCount._meta.db_table, "minute < %s", now - timedelta(days=settings.MINUTE_DAYS))
    gone += _delete(RaceCheck._meta.db_table, "asked_at < %s", now - timedelta(days=settings.HOUR_DAYS))
    return gone


def _served_days() -> tuple[tuple[ServedRollup.Width, int], ...]:
    widths = ServedRollup.Width
    return (
        (widths.FIVE_MINUTES, SERVED_FINE_DAYS),
        (widths.HOUR, settings.MINUTE_DAYS),
        (widths.DAY, settings.HOUR_DAYS),
    )


def _tidy_locations(now: datetime) -> int:
    table, hour = LocationRollup._meta.db_table, LocationRollup.Width.HOUR.value
    kinds = ((f"BETWEEN 1 AND {hour - 1}", settings.MINUTE_DAYS), (f">= {hour}", settings.HOUR_DAYS))
    return sum(_delete(table, f"width {widths} AND start < %s", now - timedelta(days=days)) for widths, days in kinds)


def _delete(table: str, condition: str, before: datetime) -> int:
    row = "ctid" if connection.vendor == "postgresql" else "rowid"
    # PostgreSQL finds `= ANY(ARRAY(...))` by row address at once; SQLite knows only IN.
    matches = f"{row} = ANY (ARRAY({{}}))" if connection.vendor == "postgresql" else f"{row} IN ({{}})"
    chosen = f"SELECT {row} FROM {table} WHERE {condition} LIMIT {STEP_ROWS}"  # noqa: S608  names of our own tables
    statement = f"DELETE FROM {table} WHERE {matches.format(chosen)}"  # noqa: S608  names of our own tables
    total = 0
    for _ in range(MOST_STEPS):
        with connection.cursor() as cursor:
            cursor.execute(statement, [connection.ops.adapt_datetimefield_value(before)])
            total += cursor.rowcount
            if cursor.rowcount < STEP_ROWS:
                break
    return total
