"""Which stretch of time a page shows: what addresses ask for, in which steps it is drawn, and the cursor over it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts.cursor import cursor
from dashboard.charts.series import BY_KEY, Bucket, Window, floor, histogram_of
from dashboard.charts.spans import (
    LONGEST,
    MOST_POINTS,
    Fixed,
    Kept,
    Span,
    fixed_label,
    instant,
    query_of,
    required,
    span_of,
    wanted,
    written,
)

UTC_ZONE = ZoneInfo("UTC")
NOW = datetime(2026, 11, 20, 3, 6, 10, tzinfo=UTC)
KEPT = Kept(NOW - timedelta(days=7), NOW - timedelta(days=35))
SLOT = timedelta(seconds=5)


def spanned(start: datetime, length: timedelta, interval: timedelta = SLOT) -> Span:
    return span_of(Fixed(start, start + length), interval, NOW, KEPT, UTC_ZONE)


def test_an_address_asks_for_a_preset_for_two_instants_or_for_nothing() -> None:
    fixed = Fixed(NOW - timedelta(minutes=10), NOW)
    assert wanted({}) is None
    assert wanted({"range": "6h"}) is BY_KEY["6h"]
    assert wanted({"range": "6h", "from": "20261120T025610Z", "to": "2026-11-20T03:06:10Z"}) == fixed
    assert wanted({"from": "2026-11-20T03:56:10+01:00", "to": "2026-11-20T03:06:10Z"}) == fixed
    assert [query_of(each) for each in (fixed, BY_KEY["6h"], None)] == [
        "from=20261120T025610Z&to=20261120T030610Z",
        "range=6h",
        "",
    ]


@pytest.mark.parametrize(
    ("query", "start"),
    [
        ({"range": "2h"}, "range: one of 15m, 1h,"),
        ({}, "range: one of"),
        ({"from": "yesterday", "to": "20261120T030610Z"}, "from: an instant in UTC"),
        ({"from": "2026-11-20T02:56:10", "to": "20261120T030610Z"}, "from: an instant in UTC"),
        ({"from": "20261120T030610Z"}, "to: an instant in UTC"),
        ({"from": "20261120T030610Z", "to": "20261120T030610Z"}, "to: a second to 720 days"),
        ({"from": "20201120T030610Z", "to": "20261120T030610Z"}, "to: a second to 720 days"),
        ({"from": "0001-01-01T00:00:00+14:00", "to": "20261120T030610Z"}, "from: an instant in UTC"),
        ({"from": "9999-12-31T23:59:59-12:00", "to": "20261120T030610Z"}, "from: an instant in UTC"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_name(query: dict[str, str], start: str) -> None:
    with pytest.raises(ValueError, match=f"^{start}"):
        required(query)


@given(st.integers(0, 200_000_000_000))
def test_an_instant_is_read_as_it_was_written(seconds: int) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    assert instant(written(moment), "from") == moment


@given(
    seconds=st.integers(1, int(LONGEST.total_seconds())),
    ago=st.integers(0, 60 * 86_400),
    interval=st.sampled_from([0.25, 5, 45.5, 3600]),
)
def test_no_stretch_has_more_columns_than_may_be_drawn(seconds: int, ago: int, interval: float) -> None:
    """From whole, aligned buckets: the columns of two links to one time are the same ones."""
    length = timedelta(seconds=seconds)
    shown = spanned(NOW - timedelta(seconds=ago) - length, length, timedelta(seconds=interval))
    assert (shown.end - shown.start) / shown.bucket <= MOST_POINTS + 1
    assert shown.start == floor(shown.start, shown.bucket)
    assert shown.bucket >= timedelta(seconds=1)
    assert shown.width is None or shown.bucket.total_seconds() % shown.width == 0


@pytest.mark.parametrize(
    ("length", "bucket", "width"),
    [
        (timedelta(minutes=1), timedelta(seconds=5), None),
        (timedelta(minutes=5), timedelta(seconds=10), None),
        (timedelta(minutes=15), timedelta(seconds=30), None),
        (timedelta(minutes=16), timedelta(minutes=1), 60),
        (timedelta(hours=6), timedelta(minutes=1), 60),
        (timedelta(hours=7), timedelta(minutes=5), 300),
        (timedelta(days=3), timedelta(hours=1), 3600),
        (timedelta(days=31), timedelta(hours=4), 14_400),
        (timedelta(days=300), timedelta(days=1), 14_400),
    ],
)
def test_the_longer_the_coarser(length: timedelta, bucket: timedelta, width: int | None) -> None:
    shown = spanned(NOW - length, length)
    assert (shown.bucket, shown.width) == (bucket, width)


def test_what_is_no_longer_kept_is_read_from_what_is() -> None:
    quarter = timedelta(minutes=15)
    assert [spanned(NOW - timedelta(days=days), quarter).width for days in (6, 8, 40)] == [None, 60, 3600]


def test_a_fixed_stretch_is_named_by_its_ends() -> None:
    def label(start: datetime, seconds: int) -> str:
        return fixed_label(Fixed(start, start + timedelta(seconds=seconds)), UTC_ZONE, NOW)

    assert label(datetime(2026, 11, 20, 2, 40, tzinfo=UTC), 900) == "02:40 to 02:55"
    assert label(datetime(2026, 11, 20, 2, 40, 5, tzinfo=UTC), 20) == "02:40:05 to 02:40:25"
    assert label(datetime(2026, 11, 3, 2, 40, tzinfo=UTC), 900) == "3 Nov 02:40 to 02:55"


def minute(at: datetime, never: int, ready: int = 15) -> Bucket:
    found = Bucket(at, probes=ready + never, failed=never)
    found.histograms["race_window"] = histogram_of([200_000] * ready, beyond=never)
    return found


def test_the_cursor_says_what_each_column_found() -> None:
    start = datetime(2026, 11, 20, 2, 51, tzinfo=UTC)
    step = timedelta(minutes=1)
    buckets = [minute(start, 9), Bucket(start + 2 * step, ours=2), minute(start + 3 * step, 0)]
    window = Window(start, start + 4 * step, step, buckets, width=60)
    told = cursor(window, ZoneInfo("Europe/Berlin"))
    assert [text.replace("\u00a0", " ") for text in told["says"]] == [
        "03:51, p95 never, 9 of 24 failed",
        "03:52, no probe",
        "03:53, no probe, 2 slots not measured",
        "03:54, p95 200 ms, 0 of 15 failed",
    ]
    assert (told["first"], told["step"]) == (start.timestamp() * 1000, 60_000)
    assert told["offsets"] == [(0, 3_600_000)]


def test_the_cursor_knows_when_the_clocks_are_changed() -> None:
    """Plots show the clock of the page: at the end of summer time an hour of them lies over another."""
    start = datetime(2026, 10, 24, 20, 0, tzinfo=UTC)
    window = Window(start, start + timedelta(hours=10), timedelta(hours=1), [], width=3600)
    assert cursor(window, ZoneInfo("Europe/Berlin"))["offsets"] == [(0, 7_200_000), (5, 3_600_000)]
