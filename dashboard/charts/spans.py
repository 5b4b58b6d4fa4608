"""Which stretch of time a page shows and in what steps, pure. A preset follows the present, a fixed one stays."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dashboard import sentences
from dashboard.charts.series import BY_KEY, DEFAULT_RANGE, Range, floor, raw_bucket, whole_seconds

MOST_POINTS = 360
"""Whole buckets that a chart shows; past this the next coarser ones are read. More would take the server over 100 ms,
and lie closer than two pixels."""
SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(days=720)
_FORMAT = "%Y%m%dT%H%M%SZ"
_SECONDS = (1, 2, 5, 10, 15, 30)
"""Buckets of single results. A minute and up comes from rollups."""
_RAW_POINTS = 30
_WITH_SECONDS = timedelta(minutes=5)
_MINUTE, _FIVE_MINUTES, _HOUR, _FOUR_HOURS = 60, 300, 3600, 14_400
_UNKNOWN_RANGE = f"range: one of {', '.join(BY_KEY)}."


class Step(NamedTuple):
    """A bucket's length, and the width of the rollup that it is read from in seconds."""

    bucket: timedelta
    width: int


STEPS = (
    Step(timedelta(minutes=1), _MINUTE),
    Step(timedelta(minutes=5), _FIVE_MINUTES),
    Step(timedelta(hours=1), _HOUR),
    Step(timedelta(hours=4), _FOUR_HOURS),
    Step(timedelta(days=1), _FOUR_HOURS),
    Step(timedelta(days=2), _FOUR_HOURS),
)
"""From fine to coarse."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Since when single results and minutes are still kept; hours are kept longest."""

    results: datetime
    minutes: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """What a page shows: [start, end] in UTC in buckets, read from rollups of `width` seconds, None: single results."""

    start: datetime
    end: datetime
    bucket: timedelta
    width: int | None
    label: str
    """ "15 min"; of a fixed one its two ends."""
    key: str = ""
    """Of the preset that follows the present; "" where both ends stay."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A stretch of time whose ends are both given, in UTC, as a zoom or somebody's link has them."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start


Wanted = Range | Fixed


def wanted(query: Mapping[str, str]) -> Wanted | None:
    """What an address asks for: `from` and `to`, or `range`; None where it says nothing.

    Raises ValueError with a sentence that starts with the field's name.
    """
    if "from" in query or "to" in query:
        return between(query.get("from", ""), query.get("to", ""))
    if "range" not in query:
        return None
    if query["range"] not in BY_KEY:
        raise ValueError(_UNKNOWN_RANGE)
    return BY_KEY[query["range"]]


def required(query: Mapping[str, str]) -> Wanted:
    """As `wanted`, where an address must say something."""
    found = wanted(query)
    if found is None:
        raise ValueError(_UNKNOWN_RANGE)
    return found


def between(first: str, last: str) -> Fixed:
    """Raises ValueError with a sentence that starts with the field's name."""
    start, end = instant(first, "from"), instant(last, "to")
    if not SHORTEST <= end - start <= LONGEST:
        raise ValueError(f"to: a second to {LONGEST.days} days after from.")
    return Fixed(start, end)


def instant(text: str, field: str) -> datetime:
    """An ISO 8601 instant with its offset, to the second, in UTC. ValueError: a sentence that starts with the field."""
    try:
        at = datetime.fromisoformat(text).astimezone(UTC) if text[-1:] in "Zz" or "+" in text else None
    except (ValueError, OverflowError):
        at = None
    if at is None or not 1970 <= at.year <= 9000:
        raise ValueError(f"{field}: an instant in UTC, such as 20261120T025100Z.")
    return at.replace(microsecond=0)


def written(at: datetime) -> str:
    """An instant as addresses have it: "20261120T025100Z"."""
    return at.astimezone(UTC).strftime(_FORMAT)


def query_of(asked: Wanted | None) -> str:
    """The part of an address that asks for it; "" for nothing."""
    if isinstance(asked, Fixed):
        return f"from={written(asked.start)}&to={written(asked.end)}"
    return f"range={asked.key}" if asked else ""


def span_of(asked: Wanted, interval: timedelta, now: datetime, kept: Kept, zone: ZoneInfo) -> Span:
    """The span of a target that is probed each `interval`."""
    if isinstance(asked, Range):
        bucket = raw_bucket(asked, interval) if asked.width is None else asked.bucket
        return Span(floor(now - asked.length, bucket), now, bucket, asked.width, asked.label, asked.key)
    step = _step(asked, interval, kept)
    return Span(floor(asked.start, step[0]), asked.end, *step, fixed_label(asked, zone, now))


def _step(asked: Fixed, interval: timedelta, kept: Kept) -> tuple[timedelta, int | None]:
    if asked.length <= DEFAULT_RANGE.length and asked.start >= kept.results:
        fine = next(size for size in _SECONDS if size * _RAW_POINTS >= asked.length.total_seconds())
        return max(timedelta(seconds=fine), min(whole_seconds(interval), asked.length)), None
    for step in STEPS:
        if asked.length <= step.bucket * MOST_POINTS and (step.width >= _HOUR or asked.start >= kept.minutes):
            return step
    return STEPS[-1]


def fixed_label(asked: Fixed, zone: ZoneInfo, now: datetime) -> str:
    """Both ends by the clock: "02:40 to 02:55", with seconds where it needs them, with the day where it is another."""
    seconds = asked.length < _WITH_SECONDS and bool(asked.start.second or asked.end.second)
    first, last = (sentences.clock(at, zone, now, seconds=seconds) for at in (asked.start, asked.end))
    if asked.start.astimezone(zone).date() == asked.end.astimezone(zone).date():
        last = last.rpartition(" ")[2]
    return f"{first} to {last}"
