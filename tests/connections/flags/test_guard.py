"""The guard's test, without a database: what it catches, what it leaves alone, what is no evidence."""

import json
import math
import random
from collections.abc import Iterable

import pytest

from benchmarks.guard import ALIKE, BLIPS, HEALTHY, OBJECTIVE, TENTH, THIRD, Cell, Found, guard, shots
from connections.flags.guard import (
    LONGEST_CLUSTER_SECONDS,
    NEAR_SECONDS,
    Count,
    Figure,
    GuardTest,
    Seen,
    Stakes,
    Verdict,
    _drawn,
    wilson,
)

TRIALS = 60


def found(cell: Cell, trials: int = TRIALS) -> list[Found]:
    return [guard(shots(cell, seed)) for seed in range(trials)]


def tripped(cell: Cell, trials: int = TRIALS) -> int:
    return sum(one.minute < 25 for one in found(cell, trials))


def of(seen: Iterable[Seen]) -> GuardTest:
    """The test after all of these, and long after."""
    test = GuardTest(OBJECTIVE)
    for one in seen:
        test.take(one)
    test.settle(10**9)
    return test


def pairs(count: int, *, canary_fails: bool = False, control_fails: bool = False, **told: bool) -> list[Seen]:
    """One canary and one control each second, in each of three seconds a cluster."""
    return [
        Seen("here", second, canary, failed=canary_fails if canary else control_fails, **told)
        for second in range(count)
        for canary in (True, False)
    ]


def test_a_failing_canary_is_caught_and_a_healthy_one_is_not() -> None:
    """A scaled version of benchmarks/guard: the whole of it runs by hand."""
    assert tripped(HEALTHY) == 0
    assert sum(one.minute <= 3.5 for one in found(THIRD)) >= 0.9 * TRIALS
    assert sum(one.minute <= 6.5 for one in found(TENTH)) >= 0.6 * TRIALS


@pytest.mark.parametrize("cell", [*BLIPS, ALIKE[1]], ids=lambda cell: cell.name)
def test_what_hits_both_cohorts_trips_next_to_nothing(cell: Cell) -> None:
    assert tripped(cell, 30) <= 2


def test_an_a_a_ramp_of_half_an_hour_trips_nothing_and_passes() -> None:
    """Time is an argument: thirty minutes of probes each second, the same variant on both sides."""
    draw = random.Random(7)
    test = GuardTest(OBJECTIVE)
    for second in range(1800):
        test.take(Seen("here", second, draw.random() < 0.5, failed=draw.random() < 0.005, slow=draw.random() < 0.01))
        test.settle(second - 4)
        assert test.verdict is not Verdict.TRIP
    assert test.verdict is Verdict.PASS


def test_no_data_and_no_control_hold() -> None:
    assert GuardTest(OBJECTIVE).verdict is Verdict.HOLD
    alone = of(Seen("here", second, canary=True, failed=True) for second in range(200))
    assert (alone.verdict, alone.clusters) == (Verdict.HOLD, 0)


def test_a_cohort_below_the_least_sample_says_nothing() -> None:
    """Four canaries beside any number of controls."""
    few = [Seen("here", 3 * at, True, failed=True) for at in range(4)]
    many = [Seen("here", at, False, failed=False) for at in range(60)]
    assert of([*few, *many]).verdict is Verdict.HOLD


def test_five_clean_comparisons_against_it_are_enough() -> None:
    assert of(pairs(16, canary_fails=True)).verdict is Verdict.HOLD
    assert of(pairs(20, canary_fails=True)).tripped_by is Figure.FAILED


def test_probes_of_one_second_and_place_count_once() -> None:
    """A thousand probes that failed together are one comparison, not a thousand."""
    together = [Seen("here", 5, number % 2 == 0, failed=number % 2 == 0) for number in range(1000)]
    assert of([*together, Seen("here", 9, True, failed=False)]).verdict is Verdict.HOLD


def test_where_the_control_fails_nearby_nothing_speaks_against_the_canary() -> None:
    """Each canary failure has a failure of the control within the seconds that count as near."""
    seen = []
    for start in range(0, 600, 12):
        seen += [Seen("here", start, True, failed=True), Seen("here", start + 3, False, failed=False)]
        seen += [Seen("here", start + 6, False, failed=True), Seen("here", start + 9, True, failed=False)]
    assert of(seen).figures[Figure.FAILED].against_control <= 0


def test_locations_are_compared_by_themselves() -> None:
    """The canary of one place is never compared with the control of another."""
    apart = [
        Seen("here" if canary else "there", at, canary, failed=canary) for at in range(99) for canary in (True, False)
    ]
    assert of(apart).clusters == 0


def test_a_cluster_that_waits_too_long_for_its_control_is_dropped() -> None:
    late = LONGEST_CLUSTER_SECONDS + 10
    test = of([Seen("here", 0, True, failed=True), Seen("here", late, False, failed=False)])
    assert test.clusters == 0


def test_slow_and_undelivered_trip_by_themselves() -> None:
    slow = [Seen("here", at, canary, failed=False, slow=canary) for at in range(60) for canary in (True, False)]
    assert of(slow).tripped_by is Figure.SLOW
    lost = [Seen("here", at, canary, failed=False, undelivered=canary) for at in range(60) for canary in (True, False)]
    assert of(lost).tripped_by is Figure.UNDELIVERED


def test_what_a_probe_cannot_tell_is_not_counted() -> None:
    test = of(pairs(30))
    assert test.figures[Figure.SLOW].total == Count()
    assert test.verdict is Verdict.HOLD


def test_pass_needs_as_many_clean_clusters_as_it_says_and_is_asked_anew_in_each_step() -> None:
    test = GuardTest(OBJECTIVE)
    needed = test.clean_needed
    for one in pairs(4 * needed, slow=False):
        test.take(one)
    test.settle(4 * (needed - 1) + NEAR_SECONDS)
    assert (test.clusters, test.verdict, test.clean_needed) == (needed - 1, Verdict.HOLD, 1)
    test.settle(10**6)
    assert test.verdict is Verdict.PASS
    test.begin_step()
    assert (test.verdict, test.clean_needed) == (Verdict.HOLD, needed)


def test_both_failing_is_no_pass() -> None:
    assert of(pairs(600, canary_fails=True, control_fails=True, slow=False)).verdict is Verdict.HOLD


def test_the_control_fails_now_where_two_of_its_last_twenty_did() -> None:
    assert not of(pairs(40, canary_fails=True)).control_fails
    test = of([*pairs(40), Seen("here", 40, False, failed=True), Seen("here", 41, False, failed=True)])
    assert test.control_fails
    later = [Seen("here", 42 + at, False, failed=False) for at in range(30)]
    assert not of([*pairs(40), Seen("here", 40, False, failed=True), *later]).control_fails


def test_it_is_the_same_after_a_round_trip_at_any_time() -> None:
    """The recorder stores it between two flushes."""
    trial = shots(TENTH, 3)[:400]
    straight, stored = GuardTest(OBJECTIVE), GuardTest(OBJECTIVE)
    for number, shot in enumerate(trial):
        seen = Seen(f"place {number % 2}", int(shot.at_s), shot.canary, shot.failed)
        straight.take(seen)
        stored.take(seen)
        straight.settle(int(shot.at_s) - 4)
        stored.settle(int(shot.at_s) - 4)
        stored = GuardTest.read(json.loads(json.dumps(stored.as_json())))
    assert stored.as_json() == straight.as_json()


@pytest.mark.parametrize("cluster", [(1, 1), (2, 2), (1, 9), (9, 1), (3, 5), (40, 60)])
def test_the_bet_against_the_control_is_fair(cluster: tuple[int, int]) -> None:
    """Whatever failed, the factor's mean over all draws is 1, it is never negative, and it at most doubles."""
    canary, control = cluster
    for failed in range(canary + control + 1):
        deck = [True] * failed + [False] * (canary + control - failed)
        draws = _draws(canary, control, failed)
        factors = {bad: _drawn(Count(canary, bad, control, failed - bad)) for bad in draws}
        assert sum(share * factors[bad] for bad, share in draws.items()) == pytest.approx(1.0)
        assert all(0 < factor <= 2 for factor in factors.values()), deck


def _draws(canary: int, control: int, failed: int) -> dict[int, float]:
    all_draws = math.comb(canary + control, failed)
    least, most = max(0, failed - control), min(canary, failed)
    return {
        bad: math.comb(canary, bad) * math.comb(control, failed - bad) / all_draws for bad in range(least, most + 1)
    }


def test_the_bet_against_the_objective_is_fair() -> None:
    """At the objective's own rate the stake is expected to stay what it is."""
    for canary, failing in ((1, 0.01), (1, 0.001)):
        failed, clean = Stakes(failing), Stakes(failing)
        failed.take(Count(canary, 1, 1, 0), Count())
        clean.take(Count(canary, 0, 1, 0), Count())
        mean = failing * math.exp(failed.against_objective) + (1 - failing) * math.exp(clean.against_objective)
        assert mean == pytest.approx(1.0)


def test_bounds_are_wilsons() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
