"""One strategy against another: counts, bounds, and the three ways in which plain shares deceive."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.comparing import (
    LEAST_PROBES,
    Comparison,
    Stretch,
    all_pairs,
    compare,
    difference,
    score_bounds,
)

Z = 1.959964


def stretches(*counts: tuple[int, int], place: str = "chat", first: int = 0) -> list[Stretch]:
    """(bad, probes) of one stretch after the other."""
    return [Stretch(place, first + n, probes, bad) for n, (bad, probes) in enumerate(counts)]


def compared(ours: list[Stretch], theirs: list[Stretch], z: float = Z) -> Comparison:
    found = compare("a", ours, "b", theirs, z)
    assert found is not None
    return found


def test_none_of_many_against_many_of_many_is_better() -> None:
    found = compared(stretches(*[(0, 231)] * 10), stretches(*[(19, 230)] * 10))
    assert (found.better, found.worse) == (found.a, found.b)
    assert (found.a.bad, found.a.probes, found.b.bad, found.b.probes) == (0, 2310, 190, 2300)
    assert found.high < 0


def test_the_bounds_are_those_that_newcombe_published() -> None:
    # Statistics in Medicine 17 (1998), table II: 56/70 less 48/80, and 0/20 less 0/10, by method 10.
    assert difference(56 / 70, 70, 48 / 80, 80, Z) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert difference(0, 20, 0, 10, Z) == pytest.approx((-0.2775, 0.1611), abs=1e-4)
    assert score_bounds(0, 0, Z) == (0.0, 1.0)


def test_few_probes_decide_nothing_however_bad_they_are() -> None:
    few = LEAST_PROBES - 1
    assert compared(stretches((0, 500)), stretches((few, few))).better is None


def test_one_burst_is_no_evidence_and_the_same_failures_spread_out_are() -> None:
    calm = stretches(*[(0, 60)] * 40)
    assert compared(calm, stretches((48, 60), *[(0, 60)] * 39)).better is None
    assert compared(calm, stretches(*[(1, 60), (2, 60), (1, 60), (1, 60)] * 10)).better is not None


def test_who_served_the_easy_targets_is_not_better_for_it() -> None:
    # On each target both fail alike; one served mostly the good one (Simpson's paradox).
    ours = [*stretches(*[(1, 100)] * 9, place="good"), *stretches((50, 100), place="bad")]
    theirs = [*stretches((1, 100), place="good"), *stretches(*[(50, 100)] * 9, place="bad")]
    found = compared(ours, theirs)
    assert found.a.share == pytest.approx(found.b.share)
    assert found.better is None


def test_without_a_common_target_nothing_is_compared() -> None:
    assert compare("a", stretches((0, 90)), "b", stretches((9, 90), place="feed"), Z) is None
    assert all_pairs([{"a": stretches((0, 90)), "b": stretches((9, 90), place="feed")}]) == [{}]


def test_it_says_how_far_both_served_at_the_same_time() -> None:
    assert compared(stretches((0, 60), (0, 60)), stretches((5, 30), (5, 30))).together == 1
    assert compared(stretches((0, 60), (0, 60)), stretches((5, 30), (5, 30), first=2)).together == 0
    assert compared(stretches((0, 60), (0, 60)), stretches((5, 30), (5, 30), first=1)).together == 0.5


def test_it_says_how_many_more_probes_would_tell() -> None:
    found = compared(stretches((1, 50)), stretches((4, 50)))
    assert found.better is None
    assert found.more is not None
    times = (50 + found.more) / 50
    assert compared(
        stretches((round(1 * times), round(50 * times))), stretches((round(4 * times), round(50 * times)))
    ).better
    assert compared(stretches((1, 50)), stretches((1, 50))).more is None


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(20, 40)), min_size=1, max_size=6), st.randoms())
def test_the_order_of_the_two_and_of_time_changes_nothing(counts: list[tuple[int, int]], chance: random.Random) -> None:
    ours, theirs = stretches(*counts), stretches(*[(chance.randint(0, 20), n) for _, n in counts])
    one, other = compared(ours, theirs[::-1]), compared(theirs, ours)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))
    assert -1 <= one.low <= one.a.share - one.b.share <= one.high <= 1


def test_strategies_that_are_alike_are_hardly_ever_told_apart() -> None:
    """Three that fail alike, in bursts, by three figures: at most one page in twenty may say otherwise."""
    chance, wrong = random.Random(20261121), 0

    def figure() -> dict[str, list[Stretch]]:
        return {name: stretches(*[(_drawn(chance), 30) for _ in range(36)]) for name in "abc"}

    for _ in range(100):
        wrong += any(one.better for found in all_pairs([figure() for _ in range(3)]) for one in found.values())
    assert wrong <= 8


def _drawn(chance: random.Random) -> int:
    share = 0.4 if chance.random() < 0.1 else 0.02
    return sum(chance.random() < share for _ in range(30))
