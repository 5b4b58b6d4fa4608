"""Histograms as numbers: adding numbers is adding counts, and what is read back is wrong by 5 % at most."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from probes import packed
from probes.histogram import Histogram, bucket_of

SECOND_US = 1_000_000
durations = st.integers(100, 60 * SECOND_US)


def packed_of(values: list[int]) -> int:
    return sum(packed.one_in(bucket_of(us)) for us in values)


@settings(max_examples=50)
@given(st.lists(durations), st.lists(durations))
def test_to_add_the_numbers_is_to_add_the_counts(ours: list[int], theirs: list[int]) -> None:
    both = packed.from_bytes(packed.to_bytes(packed_of(ours))) + packed_of(theirs)
    assert both == packed_of(ours + theirs)
    assert packed.total(both) == len(ours) + len(theirs)


@settings(max_examples=50)
@given(st.lists(durations, min_size=1, max_size=60), st.integers(0, 5), st.floats(0, 1))
def test_a_percentile_is_that_of_the_exact_histogram_within_its_error(values: list[int], never: int, q: float) -> None:
    exact = Histogram()
    for us in values:
        exact.add(us)
    for _ in range(never):
        exact.add_beyond()
    found, right = packed.percentile(packed_of(values), never, q), exact.percentile(q)
    assert found == right or abs(found - right) <= (packed.RELATIVE_ERROR + 0.01) * right


def test_what_lies_outside_counts_at_the_ends() -> None:
    assert [packed.lane_of(bucket_of(us)) for us in (-5, 0, 1, 95)] == [0, 0, 0, 0]
    assert packed.lane_of(bucket_of(100)) == 1
    assert packed.lane_of(bucket_of(60 * SECOND_US)) < packed.LANES
    assert packed.lane_of(bucket_of(10**12)) == packed.LANES - 1


def test_nothing_is_nothing() -> None:
    assert (packed.to_bytes(0), packed.total(0), list(packed.counts(0))) == (b"", 0, [])
    assert math.isnan(packed.percentile(0, 0, 0.5))
    assert packed.percentile(0, 3, 0.5) == math.inf
