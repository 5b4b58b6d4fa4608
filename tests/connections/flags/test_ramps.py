"""The machine of a ramp: its table, its clock, and its steps; everything without a database."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.flags.errors import BadRamp
from connections.flags.evaluation import evaluate
from connections.flags.layers import WHOLE, Layer, LayerKind, laid_over
from connections.flags.ramps import (
    TABLE,
    Event,
    IllegalMoveError,
    Progress,
    State,
    Step,
    due,
    moved,
    read_steps,
    started,
)

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
STEPS = (Step(10, 60), Step(50, 60, needs_pass=True), Step(100, 60))
tenths = st.integers(min_value=1, max_value=1000)
steps_strategy = st.builds(
    lambda shares, holds, passes: tuple(
        Step(share / 10, hold, needs) for share, hold, needs in zip(sorted(shares), holds, passes, strict=False)
    ),
    st.lists(tenths, min_size=1, max_size=6, unique=True),
    st.lists(st.integers(min_value=0, max_value=100), min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_a_step_is_due_after_its_hold_and_not_before() -> None:
    assert due(started(NOON), STEPS, "none", at(59.9)) is None
    assert due(started(NOON), STEPS, "none", at(60)) is Event.STEP


def test_a_step_that_needs_a_pass_waits_for_exactly_that() -> None:
    second = Progress(State.RUNNING, 1, 0.0, NOON)
    assert [due(second, STEPS, verdict, at(1000)) for verdict in ("none", "hold", "trip", "pass")] == [
        None,
        None,
        None,
        Event.STEP,
    ]


def test_the_last_step_completes_only_at_100_percent() -> None:
    last = Progress(State.RUNNING, 2, 0.0, NOON)
    assert due(last, STEPS, "none", at(60)) is Event.COMPLETE
    assert due(Progress(State.RUNNING, 0, 0.0, NOON), STEPS[:1], "none", at(6000)) is None


def test_however_late_the_clock_comes_it_skips_no_step() -> None:
    after = moved(started(NOON), Event.STEP, STEPS, at(100_000))
    assert (after.step, after.held(at(100_000))) == (1, 0.0)
    assert due(after, STEPS, "pass", at(100_001)) is None


def test_while_paused_no_time_passes() -> None:
    paused = moved(started(NOON), Event.PAUSE, STEPS, at(40))
    assert due(paused, STEPS, "pass", at(10_000)) is None
    again = moved(paused, Event.RESUME, STEPS, at(10_000))
    assert again.held(at(10_019)) == 59
    assert due(again, STEPS, "none", at(10_020)) is Event.STEP


def test_a_clock_set_back_takes_no_time_away() -> None:
    paused = moved(started(NOON), Event.PAUSE, STEPS, at(-500))
    assert paused.held_seconds == 0


def test_set_back_a_ramp_stands_still_at_the_step_before() -> None:
    second = Progress(State.RUNNING, 1, 30.0, NOON)
    assert moved(second, Event.BACK, STEPS, at(5)) == Progress(State.PAUSED, 0, 0.0, None)
    with pytest.raises(IllegalMoveError):
        moved(started(NOON), Event.BACK, STEPS, at(5))


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", list(Event))
def test_every_move_that_is_not_in_the_table_is_refused(state: State, event: Event) -> None:
    progress = Progress(state, 1, 0.0, NOON if state is State.RUNNING else None)
    if (state, event) in TABLE:
        assert moved(progress, event, STEPS, at(1)).state is TABLE[state, event]
    else:
        with pytest.raises(IllegalMoveError):
            moved(progress, event, STEPS, at(1))


@given(
    steps_strategy,
    st.lists(st.tuples(st.sampled_from([*Event, None]), st.integers(0, 200), st.booleans()), max_size=40),
)
def test_whatever_happens_a_ramp_climbs_in_order_after_its_holds_and_ends_once(
    steps: tuple[Step, ...], happenings: list[tuple[Event | None, int, bool]]
) -> None:
    """`None` is the clock: it takes what is due."""
    progress, now = started(NOON), NOON
    for event, seconds, passes in happenings:
        now += timedelta(seconds=seconds)
        before, held = progress, progress.held(now)
        what = due(progress, steps, "pass" if passes else "none", now) if event is None else event
        if what is None:
            continue
        try:
            progress = moved(progress, what, steps, now)
        except IllegalMoveError:
            continue
        assert before.state not in (State.ABORTED, State.COMPLETED)
        assert abs(progress.step - before.step) <= 1
        assert (progress.counting_since is None) == (progress.state is not State.RUNNING)
        if event is None:
            assert before.state is State.RUNNING
            assert held >= steps[before.step].hold_seconds
            assert passes or not steps[before.step].needs_pass
            assert what is Event.STEP or steps[before.step].percentage == 100


@given(st.lists(st.text(min_size=1, max_size=12), max_size=60), tenths, tenths)
def test_a_greater_share_moves_nobody_out(subjects: list[str], one: int, other: int) -> None:
    definition = {"state": "ENABLED", "variants": {"a": "a", "b": "b"}, "defaultVariant": "a"}
    ramped = [
        laid_over({"flag": definition}, [Layer("flag", LayerKind.RAMP, "b", "a", share)])
        for share in (min(one, other), max(one, other))
    ]
    for subject in subjects:
        fewer, more = (evaluate(flags, "flag", {"targetingKey": subject}).variant for flags in ramped)
        assert (fewer, more) != ("b", "a")


def test_ten_percent_is_about_ten_percent_and_twenty_keeps_them() -> None:
    definition = {"state": "ENABLED", "variants": {"a": "a", "b": "b"}, "defaultVariant": "a"}
    served = {
        share: laid_over({"f": definition}, [Layer("f", LayerKind.RAMP, "b", "a", share * WHOLE // 100)])
        for share in (10, 20)
    }
    inside = {
        share: {n for n in range(10_000) if evaluate(flags, "f", {"targetingKey": f"s{n}"}).variant == "b"}
        for share, flags in served.items()
    }
    assert inside[10] < inside[20]
    assert 900 < len(inside[10]) < 1100
    assert 1850 < len(inside[20]) < 2150


@given(steps_strategy)
def test_steps_read_back_as_they_were_written(steps: tuple[Step, ...]) -> None:
    assert read_steps([step.as_json() for step in steps]) == steps
    assert all(one.percentage < other.percentage for one, other in pairwise(read_steps(steps)))


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([], "1 to 20 steps"),
        ([{"percentage": n} for n in range(1, 22)], "1 to 20 steps"),
        ("ten", "1 to 20 steps"),
        (None, "1 to 20 steps"),
        ([10], "Step 1 is an object"),
        ([{"percentage": 10, "speed": 1}], "Step 1 is an object"),
        ([{"percentage": 0}], "Step 1: percentage"),
        ([{"percentage": 10.55}], "Step 1: percentage"),
        ([{"percentage": float("nan")}], "Step 1: percentage"),
        ([{"percentage": True}], "Step 1: percentage"),
        ([{"percentage": 10}, {"percentage": 101}], "Step 2: percentage"),
        ([{"percentage": 10}, {"percentage": 10}], "Step 2 must serve more than step 1"),
        ([{"percentage": 10, "hold_seconds": -1}], "Step 1: hold_seconds"),
        ([{"percentage": 10, "hold_seconds": float("inf")}], "Step 1: hold_seconds"),
        ([{"percentage": 10, "needs_pass": "yes"}], "Step 1: needs_pass"),
    ],
)
def test_wrong_steps_are_refused_by_number(steps: Any, says: str) -> None:
    with pytest.raises(BadRamp, match=says):
        read_steps(steps)
