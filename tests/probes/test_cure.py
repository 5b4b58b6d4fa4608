"""Did a change cure it? The verdict of cases, and how often it is wrong when nothing has changed."""

import math
import random
from collections import Counter
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.cure import ALPHA, CALM, LEAST, Slot, Verdict, against, block_of, judge, longest_calm

OBJECTIVE = 0.999
CLEAN, BAD = Slot(0, 1), Slot(1, 1)


def slots(bad: int, probes: int) -> list[Slot]:
    """So many bad probes, spread evenly."""
    return [BAD if n * bad % probes < bad else CLEAN for n in range(probes)]


@pytest.mark.parametrize(
    ("before", "since", "verdict"),
    [
        ((139, 366), (0, 0), Verdict.WAITING),
        ((139, 366), (0, 29), Verdict.UNPROVEN),
        ((139, 366), (0, 30), Verdict.CURED),
        ((139, 366), (0, 48), Verdict.CURED),
        ((139, 366), (1, 400), Verdict.CURED),
        ((139, 366), (6, 60), Verdict.BETTER),
        ((139, 366), (21, 55), Verdict.UNCURED),
        ((139, 366), (8, 29), Verdict.UNPROVEN),
        ((2, 366), (21, 55), Verdict.WORSE),
        ((0, 60), (5, 5), Verdict.WORSE),
        ((0, 60), (4, 4), Verdict.UNPROVEN),
        ((0, 366), (0, 29), Verdict.UNPROVEN),
        ((0, 366), (0, 30), Verdict.SAME),
        ((0, 0), (0, 30), Verdict.SAME),
        ((5, 366), (0, 400), Verdict.UNPROVEN),
    ],
)
def test_the_verdict_of(before: tuple[int, int], since: tuple[int, int], verdict: Verdict) -> None:
    assert judge(slots(*before) if before[1] else [], slots(*since) if since[1] else [], OBJECTIVE).verdict is verdict


def test_what_is_still_needed_is_what_cures() -> None:
    for seen in (0, 12, 40):
        before, since = slots(40, 366), slots(0, seen) if seen else [CLEAN]
        needed = judge(before, since, OBJECTIVE).clean_slots_needed
        assert needed
        assert judge(before, [*since, *[CLEAN] * (needed - 1)], OBJECTIVE).verdict is Verdict.UNPROVEN
        assert judge(before, [*since, *[CLEAN] * needed], OBJECTIVE).verdict is Verdict.CURED


def test_probes_of_one_slot_are_one_observation() -> None:
    """Thirty locations that all succeed in one slot are not thirty pieces of evidence."""
    assert judge([Slot(5, 10)] * 40, [Slot(0, 30)], OBJECTIVE).verdict is Verdict.UNPROVEN


def test_a_fault_that_comes_and_goes_is_not_cured_by_its_calm() -> None:
    before = ([BAD] * 20 + [CLEAN] * 40) * 3
    assert longest_calm(before) == 40
    assert block_of(before) > 10
    early = judge(before, [CLEAN] * CALM * 40, OBJECTIVE)
    assert early.verdict is Verdict.UNPROVEN
    assert early.clean_slots_needed
    assert judge(before, [CLEAN] * (CALM * 40 + early.clean_slots_needed), OBJECTIVE).verdict is Verdict.CURED


def test_cured_waits_for_twice_the_longest_calm() -> None:
    before = [*slots(20, 40), *[CLEAN] * 25, *slots(20, 40)]
    assert block_of(before) == 1
    assert judge(before, [CLEAN] * (CALM * 26 - 1), OBJECTIVE).clean_slots_needed == CALM * longest_calm(before) - 51
    assert judge(before, [CLEAN] * CALM * longest_calm(before), OBJECTIVE).verdict is Verdict.CURED


def test_where_each_slot_is_drawn_anew_it_is_an_observation_of_its_own() -> None:
    for seed in range(5):
        draw = random.Random(seed)
        assert block_of([Slot(int(draw.random() < 0.4), 1) for _ in range(200)]) <= 2


@given(share=st.floats(0.05, 0.6), seed=st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_the_stake_is_a_bound_on_every_common_share(share: float, seed: int) -> None:
    """What is told is never above the stake at the true share: that one is what Ville's inequality bounds."""
    draw = random.Random(seed)
    before = [float(draw.random() < share) for _ in range(80)]
    since = [float(draw.random() < share) for _ in range(40)]
    told = against(Counter(before), Counter(since))
    assert told == pytest.approx(min(_at(before, since, n / 400) for n in range(1, 400)), abs=0.06)


def _at(higher: list[float], lower: list[float], p: float) -> float:
    above = [sum(math.log1p(bet * (x / p - 1)) for x in higher) for bet in (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)]
    below = [sum(math.log1p(bet * (p - x) / (1 - p)) for x in lower) for bet in (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)]
    return math.log(sum(map(math.exp, above)) / len(above)) + math.log(sum(map(math.exp, below)) / len(below))


def test_looking_after_every_probe_seldom_finds_a_cure_where_nothing_has_changed() -> None:
    """At most the bound, with what chance may add to it (benchmarks/verdicts.py has more)."""
    wrong = sum(_ever_cured(random.Random(seed), 0.1) for seed in range(30))
    assert wrong <= 30 * ALPHA + 2


def _ever_cured(draw: random.Random, share: float) -> bool:
    before = [Slot(int(draw.random() < share), 1) for _ in range(120)]
    since = [Slot(int(draw.random() < share), 1) for _ in range(60)]
    looks = accumulate(([one] for one in since), lambda seen, one: seen + one)
    likely = (seen for seen in looks if len(seen) >= LEAST and sum(slot.bad for slot in seen) <= 2)
    return any(
        judge(before, seen, OBJECTIVE, forecast=False).verdict in (Verdict.CURED, Verdict.BETTER) for seen in likely
    )
