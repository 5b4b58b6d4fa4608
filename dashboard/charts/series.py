"""Buckets of time that charts are drawn from, pure. Times are aware datetimes, durations microseconds."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Literal

from probes import packed
from probes.histogram import Histogram

FIGURES = ("race_window", "dns", "tcp", "tls", "upgrade", "start_delay")
"""The histograms that charts read."""
MOST_DOTS = 1_800
"""Single probes drawn over a raw range; SVG markers cost 25 µs each."""


@dataclass(frozen=True, slots=True)
class Range:
    """A length of time that a page can show. `bucket` is what one point stands for; `width` the rollup that it is
    read from in seconds, None for single results."""

    key: str
    label: str
    length: timedelta
    bucket: timedelta
    width: int | None


RANGES = (
    Range("15m", "15 min", timedelta(minutes=15), timedelta(seconds=30), None),
    Range("1h", "1 h", timedelta(hours=1), timedelta(minutes=1), 60),
    Range("6h", "6 h", timedelta(hours=6), timedelta(minutes=1), 60),
    Range("24h", "24 h", timedelta(hours=24), timedelta(minutes=5), 300),
    Range("7d", "7 d", timedelta(days=7), timedelta(hours=1), 3600),
    Range("30d", "30 d", timedelta(days=30), timedelta(hours=4), 14_400),
)
BY_KEY = {each.key: each for each in RANGES}
DEFAULT_RANGE = BY_KEY["15m"]


@dataclass(slots=True)
class Bucket:
    """What all probes of one stretch of time found. `start` is the key; the length is the window's."""

    start: datetime
    probes: int = 0
    failed: int = 0
    ours: int = 0
    flagged: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    events: dict[str, Counter[str]] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)

    def merge(self, other: "Bucket", figures: Collection[str] = FIGURES) -> None:
        """Add the other bucket's counts, and its histograms of these figures, to this one."""
        self.probes += other.probes
        self.failed += other.failed
        self.ours += other.ours
        self.flagged += other.flagged
        _add(self.kinds, other.kinds)
        for event, counts in other.events.items():
            mine = self.events.get(event)
            if mine is None:
                mine = self.events[event] = Counter()
            _add(mine, counts)
        for figure in figures:
            histogram = other.histograms.get(figure)
            if histogram is None:
                continue
            summed = self.histograms.get(figure)
            if summed is None:
                self.histograms[figure] = histogram.copy()
            else:
                summed.absorb(histogram)

    def percentile(self, figure: str, q: float) -> float | None:
        """Microseconds, `math.inf` for "never", None where nothing was measured."""
        histogram = self.histograms.get(figure)
        us = histogram.percentile(q) if histogram is not None else math.nan
        return None if math.isnan(us) else us


def _add(counts: Counter[str], more: Mapping[str, int]) -> None:
    """`Counter.update`, in a third of its time: charts add up thousands of small ones."""
    for name, n in more.items():
        counts[name] = counts.get(name, 0) + n


@dataclass(frozen=True, slots=True)
class Dot:
    """One probe of a raw range. `race_us`: microseconds, `math.inf` for "never"."""

    at: datetime
    race_us: float
    kind: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A change drawn over the charts: revision `label` ("r42"), or deploy `label` ("5.12.0"), at an instant."""

    at: datetime
    label: str
    text: str = ""
    kind: Literal["revision", "deploy"] = "revision"
    href: str = ""
    """The page about it, of ours or (a deploy's link) not; "" where there is none."""


@dataclass(frozen=True, slots=True)
class Line:
    """The race window of all probes that one strategy served: a histogram of `probes.packed`, and those never ready."""

    strategy: str
    packed: int
    never: int

    @property
    def probes(self) -> int:
        return packed.total(self.packed) + self.never


@dataclass(frozen=True)
class Window:
    """What one view of a target shows: its buckets in order of time, marks, and what they are judged by."""

    start: datetime
    end: datetime
    bucket: timedelta
    buckets: Sequence[Bucket]
    dots: Sequence[Dot] = ()
    """Every single probe, where the range is read from single results."""
    marks: Sequence[Mark] = ()
    events: Sequence[str] = ()
    deadline_us: int = 5_000_000
    objective_us: int = 2_000_000
    failing_since: datetime | None = None
    """Since when the target is down or degraded, where it is: drawn as a tint."""
    width: int | None = None
    newest: datetime | None = None
    """The newest slot with a result of any age, where none lies in the window."""
    served: Sequence[Line] = ()
    """The race window of each strategy that served its probes, with the most probes first."""

    sums: dict[int, tuple[frozenset[str], list[Bucket]]] = field(default_factory=dict, compare=False, repr=False)
    """What `coarser` has summed: by how many buckets are one, the figures that it holds, and the buckets."""

    @cached_property
    def total(self) -> Bucket:
        """All buckets as one. Every chart's sentence reads it."""
        total = Bucket(self.start)
        for bucket in self.buckets:
            total.merge(bucket, ())
        for figure in FIGURES:
            if parts := [each.histograms[figure] for each in self.buckets if figure in each.histograms]:
                total.histograms[figure] = Histogram.sum(parts)
        return total


def floor(at: datetime, bucket: timedelta) -> datetime:
    """The start of the bucket that holds `at`; buckets are counted from the Unix epoch in UTC."""
    size = bucket.total_seconds()
    return datetime.fromtimestamp(at.timestamp() // size * size, UTC)


def merged(buckets: Iterable[Bucket], size: timedelta, figures: Collection[str] = FIGURES) -> list[Bucket]:
    """Buckets merged to a coarser size, in order of time, with the histograms of these figures."""
    found: dict[datetime, list[Bucket]] = {}
    for bucket in buckets:
        found.setdefault(floor(bucket.start, size), []).append(bucket)
    return [_sum(start, found[start], figures) for start in sorted(found)]


def _sum(start: datetime, buckets: Sequence[Bucket], figures: Collection[str]) -> Bucket:
    if len(buckets) == 1 and buckets[0].start == start:
        return buckets[0]
    total = Bucket(start)
    for bucket in buckets:
        total.merge(bucket, figures)
    return total


def coarser(window: Window, most: int, *figures: str) -> tuple[list[Bucket], timedelta]:
    """At most `most` buckets over the window, and their size: whole multiples of the window's own. Only the histograms
    of `figures` are summed."""
    columns = (window.end - window.start) / window.bucket
    factor = max(1, -(-int(columns) // most))
    if factor == 1:
        return list(window.buckets), window.bucket
    size = window.bucket * factor
    known = window.sums.get(factor)
    if known is None or not known[0].issuperset(figures):
        # The widest is asked for first: where the time lies, then the events of the same columns.
        known = window.sums[factor] = frozenset(figures), merged(window.buckets, size, figures)
    return known[1], size


def raw_bucket(range_: Range, interval: timedelta) -> timedelta:
    """The bucket of a raw range: half a minute, or one slot where those come less often."""
    return max(range_.bucket, min(whole_seconds(interval), range_.length))


def whole_seconds(length: timedelta) -> timedelta:
    """Rounded up: addresses name buckets to the second."""
    return timedelta(seconds=math.ceil(length.total_seconds()))


def histogram_of(values: Iterable[int | None], beyond: int = 0) -> Histogram:
    """A histogram of durations in microseconds; None is left out."""
    histogram = Histogram()
    for value in values:
        if value is not None:
            histogram.add(value)
    for _ in range(beyond):
        histogram.add_beyond()
    return histogram


def event_counts(
    expected: Iterable[str], marks: Mapping[str, int], defects: Mapping[str, str]
) -> dict[str, Counter[str]]:
    """One probe's events as the counts that rollups keep."""
    counts: dict[str, Counter[str]] = {}
    for event in expected:
        counts[event] = Counter(expected=1, delivered=int(event in marks))
        if event in defects:
            counts[event][defects[event]] = 1
    return counts
