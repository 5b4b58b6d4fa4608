"""Slots: every process and every restart agrees on them, and windows neither skip nor repeat one."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.schedule import EPOCH, offset_of, slots_between

intervals = st.integers(min_value=1_000, max_value=10_000_000).map(lambda us: timedelta(microseconds=us))
instants = st.datetimes(datetime(2024, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  the strategy adds the zone itself
steps = st.lists(st.timedeltas(timedelta(0), timedelta(seconds=2)), min_size=1, max_size=8)
slugs = st.text(min_size=1, max_size=40)


@given(slugs, intervals)
def test_an_offset_lies_within_the_interval_and_never_changes(slug: str, interval: timedelta) -> None:
    assert timedelta(0) <= offset_of(slug, interval) < interval
    assert offset_of(slug, interval) == offset_of(slug, interval)


def test_an_offset_is_the_same_on_every_machine() -> None:
    """A known answer: results of two versions must name the same slots."""
    assert offset_of("staging-chat", timedelta(seconds=5)) == timedelta(microseconds=2_984_293)


def test_targets_spread_over_their_interval() -> None:
    """A thousand targets leave no tenth of the interval empty or crowded."""
    interval = timedelta(seconds=5)
    tenths = [0] * 10
    for n in range(1000):
        tenths[offset_of(f"target-{n}", interval) * 10 // interval] += 1
    assert min(tenths) > 60
    assert max(tenths) < 150


@given(slugs, intervals, instants, steps)
def test_consecutive_windows_hold_every_slot_exactly_once(
    slug: str, interval: timedelta, start: datetime, windows: list[timedelta]
) -> None:
    """However the ticks fall, their windows join into the slots of the whole."""
    offset = offset_of(slug, interval)
    found, at = [], start
    for width in windows:
        found += slots_between(at, at + width, interval, offset)
        at += width
    assert found == slots_between(start, at, interval, offset)
    assert all(later - sooner == interval for sooner, later in itertools.pairwise(found))


@given(slugs, intervals, instants, st.timedeltas(timedelta(0), timedelta(seconds=5)))
def test_slots_are_aligned_to_the_epoch_and_lie_in_their_half_open_window(
    slug: str, interval: timedelta, after: datetime, width: timedelta
) -> None:
    offset = offset_of(slug, interval)
    for slot in slots_between(after, after + width, interval, offset):
        assert after < slot <= after + width
        assert (slot - EPOCH - offset) % interval == timedelta(0)


def test_the_end_of_a_window_belongs_to_it_and_the_start_does_not() -> None:
    second = timedelta(seconds=1)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert slots_between(start, start + 2 * second, second, timedelta(0)) == [start + second, start + 2 * second]
    assert slots_between(start, start, second, timedelta(0)) == []


def test_a_window_that_ends_before_it_starts_is_empty() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert slots_between(start, start - timedelta(hours=1), timedelta(seconds=1), timedelta(0)) == []


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than zero"):
        slots_between(EPOCH, EPOCH, timedelta(0), timedelta(0))
