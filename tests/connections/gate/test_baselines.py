"""The honest baselines: what they wait for, and what they do not."""

from typing import Any

import pytest

from connections.gate.strategies import (
    Action,
    AdaptiveDelay,
    FixedDelay,
    Immediate,
    Learned,
    Progress,
    ProgressiveDelay,
    Requirements,
    StatePoll,
    Strategy,
    Switches,
)

CHAT = Requirements(required=frozenset({"llm"}), authenticates=True)


def progress(requirements: Requirements = CHAT, **known: Any) -> Progress:
    switches = known.pop("switches", Switches())
    return Progress(requirements, switches, accepted_at=100.0, **known)


def opens_at(strategy: Strategy, known: Progress) -> float:
    """Follow `until` from accept on, as the gate does."""
    now = known.accepted_at
    while (verdict := strategy.decide(known, now)).action is Action.HOLD:
        assert verdict.until is not None
        assert verdict.until > now
        now = verdict.until
    assert verdict.action is Action.OPEN
    return now


def half_ready() -> Progress:
    return progress(reported=True, authenticated=True)


def all_ready(at: float = 100.0) -> Progress:
    return progress(reported=True, authenticated=True, services={"llm": True}, said_ready_at=at)


def test_immediate_waits_for_nothing() -> None:
    assert Immediate().decide(progress(), 100.0).action is Action.OPEN


def test_a_fixed_delay_opens_at_its_instant_whatever_is_ready() -> None:
    for known in (half_ready(), all_ready()):
        assert opens_at(FixedDelay(milliseconds=50.0), known) == pytest.approx(100.05)


def test_a_progressive_delay_opens_at_the_first_step_at_which_the_application_is_ready() -> None:
    strategy = ProgressiveDelay(steps_ms=(50.0, 100.0, 150.0))
    assert strategy.decide(all_ready(), 100.049).action is Action.HOLD
    assert opens_at(strategy, all_ready()) == pytest.approx(100.05)
    assert opens_at(strategy, all_ready(at=100.05)) == pytest.approx(100.05)
    assert opens_at(strategy, all_ready(at=100.051)) == pytest.approx(100.1)
    assert strategy.decide(half_ready(), 100.149).action is Action.HOLD


def test_a_progressive_delay_looks_at_its_steps_only() -> None:
    """Ready at 60 ms is seen at 100 ms: that is what a delay costs."""
    held = ProgressiveDelay().decide(all_ready(at=100.06), 100.06)
    assert held.action is Action.HOLD
    assert held.until == pytest.approx(100.1)


def test_a_progressive_delay_opens_at_its_last_step_whatever_is_ready() -> None:
    assert opens_at(ProgressiveDelay(), half_ready()) == pytest.approx(100.15)


def test_a_progressive_delay_takes_an_application_that_says_nothing_to_be_ready_at_the_first_step() -> None:
    assert opens_at(ProgressiveDelay(), progress()) == pytest.approx(100.05)


def test_an_adaptive_delay_waits_as_long_as_earlier_connections_needed() -> None:
    known = progress(learned=Learned(setup_s=0.4))
    assert opens_at(AdaptiveDelay(factor=1.5), known) == pytest.approx(100.6)


def test_an_adaptive_delay_counts_the_round_trip_where_that_is_longer() -> None:
    known = progress(learned=Learned(setup_s=0.02, round_trip_s=0.3))
    assert opens_at(AdaptiveDelay(factor=1.0), known) == pytest.approx(100.3)


@pytest.mark.parametrize(("setup_s", "opens"), [(0.0001, 100.01), (30.0, 102.0)])
def test_an_adaptive_delay_has_a_floor_and_a_cap(setup_s: float, opens: float) -> None:
    assert opens_at(AdaptiveDelay(), progress(learned=Learned(setup_s=setup_s))) == pytest.approx(opens)


@pytest.mark.parametrize("known", [all_ready(), half_ready()], ids=["ready", "not ready"])
def test_an_adaptive_delay_that_has_learned_nothing_or_may_not_is_a_progressive_one(known: Progress) -> None:
    static = ProgressiveDelay(steps_ms=(30.0, 60.0))
    assert opens_at(AdaptiveDelay(static=static), known) == opens_at(static, known)
    known.learned, known.switches = Learned(setup_s=5.0), Switches(adaptive_timing=False)
    assert opens_at(AdaptiveDelay(static=static), known) == opens_at(static, known)


def test_the_state_poll_opens_at_its_first_look_because_the_flag_was_true_all_along() -> None:
    assert opens_at(StatePoll(), half_ready()) == 100.0


def test_the_state_poll_does_poll() -> None:
    held = StatePoll(interval_ms=20.0).decide(progress(connected=False), 100.0)
    assert held.action is Action.HOLD
    assert held.until == pytest.approx(100.02)
    assert StatePoll().at_deadline(progress(connected=False)).action is Action.REJECT
