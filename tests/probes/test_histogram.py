"""Histograms: what may be merged, undone and asked of them."""

import json
import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.histogram import Histogram, bounds, read

durations = st.integers(min_value=0, max_value=10**9)
samples = st.lists(st.one_of(durations, st.none()), max_size=60)
"""Durations in microseconds; None stands for one beyond its deadline."""


def histogram_of(observed: Sequence[int | None]) -> Histogram:
    histogram = Histogram()
    for us in observed:
        if us is None:
            histogram.add_beyond()
        else:
            histogram.add(us)
    return histogram


@given(samples, samples, samples)
def test_merging_is_associative_and_commutative(a: list[int | None], b: list[int | None], c: list[int | None]) -> None:
    """Rollups may be merged in any order and grouping, and equal the histogram of all observations at once."""
    first, second, third = map(histogram_of, (a, b, c))
    assert first.merge(second).merge(third) == first.merge(second.merge(third)) == histogram_of(a + b + c)
    assert first.merge(second) == second.merge(first)


@given(samples, samples)
def test_merging_changes_neither_side(a: list[int | None], b: list[int | None]) -> None:
    first, second = histogram_of(a), histogram_of(b)
    merged = first.merge(second)
    merged.add(7)
    merged.add_beyond()
    assert (first, second) == (histogram_of(a), histogram_of(b))


@given(st.lists(durations, min_size=1, max_size=60), st.floats(0, 1))
def test_a_percentile_is_wrong_by_at_most_one_percent(observed: list[int], q: float) -> None:
    """Against the nearest-rank percentile of the observations themselves."""
    exact = sorted(observed)[max(1, math.ceil(q * len(observed) - 1e-9)) - 1]
    assert histogram_of(observed).percentile(q) == pytest.approx(exact, rel=0.01)


@given(samples.filter(bool), st.floats(0, 1), st.floats(0, 1))
def test_percentiles_rise_with_their_share(observed: list[int | None], a: float, b: float) -> None:
    histogram = histogram_of(observed)
    assert histogram.percentile(min(a, b)) <= histogram.percentile(max(a, b))


@given(samples, st.one_of(durations, st.none()))
def test_removing_undoes_adding(observed: list[int | None], one: int | None) -> None:
    histogram = histogram_of([*observed, one])
    if one is None:
        histogram.remove_beyond()
    else:
        histogram.remove(one)
    assert histogram == histogram_of(observed)


@given(samples)
def test_json_keeps_everything(observed: list[int | None]) -> None:
    assert Histogram.from_json(histogram_of(observed).to_json()) == histogram_of(observed)


@given(samples)
def test_bins_hold_every_observation_once_in_ascending_order(observed: list[int | None]) -> None:
    bins = histogram_of(observed).bins()
    assert sum(n for _, _, n in bins) == len(observed) == histogram_of(observed).count
    assert [low for low, _, _ in bins] == sorted(low for low, _, _ in bins)
    for us in observed:
        assert any(low * (1 - 1e-9) <= (math.inf if us is None else us) <= high * (1 + 1e-9) for low, high, _ in bins)


def test_a_percentile_that_falls_beyond_the_deadline_reads_never() -> None:
    """Nineteen answered, one never did: p95 is a time, p99 is never."""
    histogram = histogram_of([1000] * 19 + [None])
    assert histogram.percentile(0.95) == pytest.approx(1000, rel=0.01)
    assert histogram.percentile(0.99) == math.inf


def test_an_empty_histogram_has_no_percentile() -> None:
    assert math.isnan(Histogram().percentile(0.5))


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_share_outside_zero_to_one_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Histogram().percentile(q)


def test_what_was_not_counted_cannot_be_removed() -> None:
    histogram = histogram_of([5])
    with pytest.raises(ValueError, match="no duration of 900"):
        histogram.remove(900)
    with pytest.raises(ValueError, match="nothing beyond"):
        histogram.remove_beyond()
    assert histogram == histogram_of([5])


def test_no_failure_in_a_thousand_proves_only_less_than_three_in_a_thousand() -> None:
    """The rule of three, at both ends."""
    assert bounds(0, 1000) == (0.0, 0.003)
    assert bounds(1000, 1000) == (0.997, 1.0)
    assert bounds(0, 0) == (0.0, 1.0)


def test_bounds_are_wilsons() -> None:
    """Known answer: 10 of 100 lies within 5.52 % and 17.44 %."""
    assert bounds(10, 100) == pytest.approx((0.05523, 0.17437), abs=1e-4)


@given(st.integers(0, 500), st.integers(0, 500))
def test_bounds_enclose_the_share_and_stay_proportions(k: int, more: int) -> None:
    low, high = bounds(k, k + more)
    assert 0 <= low <= high <= 1
    if k + more:
        assert low <= k / (k + more) <= high


def test_more_than_all_is_no_proportion() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        bounds(3, 2)


@given(st.lists(samples, max_size=6), st.booleans())
def test_a_sum_is_what_absorbing_each_gives(parts: list[list[int | None]], a_fortnight: bool) -> None:
    """Also where one lasted longer than any probe does."""
    histograms = [*map(histogram_of, parts), *([histogram_of([0, 14 * 86_400 * 10**6])] if a_fortnight else [])]
    total = Histogram()
    for each in histograms:
        total.absorb(each)
    assert Histogram.sum(histograms) == total
    assert [Histogram.sum(histograms).percentile(q) for q in (0.01, 0.5, 1)] == pytest.approx(
        [total.percentile(q) for q in (0.01, 0.5, 1)], nan_ok=True
    )


@given(samples, durations, samples)
def test_a_percentile_asked_before_a_change_does_not_outlive_it(
    before: list[int | None], one: int, more: list[int | None]
) -> None:
    histogram = histogram_of(before)
    changes: list[Callable[[], None]] = [
        lambda: histogram.add(one),
        histogram.add_beyond,
        lambda: histogram.absorb(histogram_of(more)),
        lambda: histogram.remove(one),
        histogram.remove_beyond,
    ]
    for change in changes:
        histogram.percentile(0.5)
        change()
        anew = Histogram.from_json(histogram.to_json())
        assert histogram.percentile(0.5) == pytest.approx(anew.percentile(0.5), nan_ok=True)


@given(
    st.dictionaries(st.sampled_from(("dns", "tcp", "claimed")), samples.map(histogram_of)),
    st.sampled_from(((",", ":"), (", ", ": "))),
)
def test_some_figures_are_read_from_the_text_of_all(stored: dict[str, Histogram], separators: tuple[str, str]) -> None:
    """As SQLite keeps the text, and as PostgreSQL writes it."""
    text = json.dumps({figure: each.to_json() for figure, each in stored.items()}, separators=separators)
    wanted = ("dns", "tcp", "tls")
    assert read(text, wanted) == {figure: each for figure, each in stored.items() if figure in wanted}
