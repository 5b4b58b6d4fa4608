"""On PostgreSQL, one partition of the results per UTC day: made ahead, dropped whole. Elsewhere nothing to do."""

import logging
import re
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction
from django.db.utils import Error

logger = logging.getLogger(__name__)
DAYS_AHEAD = 2
_NAME = re.compile(r"\Aprobes_result_(\d{8})\Z")
DEFAULT = "probes_result_default"
"""Takes what no day's partition takes: a clock far off, or a recorder that was away for days."""


def ensure(now: datetime) -> None:
    """Make the partitions of today and the next days. A day that cannot be made stays in the default partition."""
    if connection.vendor != "postgresql":
        return
    ensure_between(now, now + timedelta(days=DAYS_AHEAD))


def ensure_between(start: datetime, end: datetime) -> None:
    """Make the partitions of the days from one instant to another."""
    if connection.vendor != "postgresql":
        return
    first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
    existing = set(days())
    for day in (first + timedelta(days=n) for n in range((last - first).days + 1)):
        if day not in existing:
            _make(day)


def drop_before(cutoff: datetime) -> int:
    """Drop the partitions of days that ended before `cutoff`; returns how many."""
    if connection.vendor != "postgresql":
        return 0
    last = cutoff.astimezone(UTC).date()
    old = [day for day in days() if day < last]
    for day in old:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {_name(day)}")
    return len(old)


def days() -> list[date]:
    """The days that have a partition, ascending; none but on PostgreSQL."""
    if connection.vendor != "postgresql":
        return []
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'probes_result'::regclass")
        names = [match[1] for (name,) in cursor.fetchall() if (match := _NAME.match(name))]
    return sorted(datetime.strptime(name, "%Y%m%d").replace(tzinfo=UTC).date() for name in names)


def _name(day: date) -> str:
    return f"probes_result_{day:%Y%m%d}"


def _make(day: date) -> None:
    bounds = f"FROM ('{day} 00:00:00+00') TO ('{day + timedelta(days=1)} 00:00:00+00')"
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # Waits for nobody: behind this lock every reader of the results would queue.
            cursor.execute("SET LOCAL lock_timeout = '2s'")
            cursor.execute(f"CREATE TABLE IF NOT EXISTS {_name(day)} PARTITION OF probes_result FOR VALUES {bounds}")
    except Error as error:
        logger.warning("the partition of %s was not made, its results go to %s: %s", day, DEFAULT, error)
