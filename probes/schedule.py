"""Slots: the instants at which a target is probed. Pure: the same answer in every process and after every restart.

Slots are aligned to the epoch and shifted by an offset that depends on the slug alone, so that targets spread over
their interval and nobody has to remember where a target's schedule began.
"""

from datetime import UTC, datetime, timedelta
from hashlib import blake2b

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def offset_of(slug: str, interval: timedelta) -> timedelta:
    """Where in its interval a target's slots lie: 0 <= offset < interval, the same share for every interval."""
    number = int.from_bytes(blake2b(slug.encode(), digest_size=8).digest())
    return timedelta(microseconds=number * (interval // _MICROSECOND) >> 64)


def slots_between(after: datetime, until: datetime, interval: timedelta, offset: timedelta) -> list[datetime]:
    """Every slot in the half-open window (after, until], ascending, in UTC. Raises ValueError for an interval <= 0."""
    step, shift = interval // _MICROSECOND, offset // _MICROSECOND
    if step <= 0:
        raise ValueError("an interval is longer than zero")
    first = (_microseconds(after) - shift) // step + 1
    last = (_microseconds(until) - shift) // step
    return [EPOCH + timedelta(microseconds=n * step + shift) for n in range(first, last + 1)]


def _microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // _MICROSECOND
