"""What holds for every strategy, whatever is known and whenever it is asked."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.gate.lifecycle import State
from connections.gate.strategies import (
    STRATEGIES,
    Action,
    AdaptiveDelay,
    DependencyGate,
    Learned,
    Progress,
    Requirements,
    Strategy,
    Switches,
)

NAMES = ("auth", "llm", "redis", "search")
SETS = st.frozensets(st.sampled_from(NAMES))
KNOWN = st.dictionaries(st.sampled_from((*NAMES, "nobody")), st.booleans())
TIMES = st.floats(0, 100, allow_nan=False)


@st.composite
def progresses(draw: Any) -> Progress:
    required, required_checks = draw(SETS), draw(SETS)
    requirements = Requirements(
        required=required,
        optional=draw(SETS) - required,
        required_checks=required_checks,
        optional_checks=draw(SETS) - required_checks,
        authenticates=draw(st.booleans()),
    )
    flags = {name: draw(st.booleans()) for name in Switches.__slots__}
    facts = ("connected", "authenticated", "asked", "declared_ready", "reported", "client_spoke", "acknowledged")
    return Progress(
        requirements,
        Switches(**flags),
        accepted_at=0.0,
        announced_at=draw(st.none() | TIMES),
        said_ready_at=draw(st.none() | TIMES),
        learned=Learned(draw(st.none() | TIMES), draw(st.none() | TIMES)),
        services=draw(KNOWN),
        checks=draw(KNOWN),
        **{name: draw(st.booleans()) for name in facts},
    )


STRATEGY = st.sampled_from(sorted(STRATEGIES)).map(lambda name: STRATEGIES[name]())
GATES = st.sampled_from([name for name, cls in STRATEGIES.items() if issubclass(cls, DependencyGate)]).map(
    lambda name: STRATEGIES[name]()
)


def failed(known: Progress) -> bool:
    return False in {**known.services, **{f"check {name}": ok for name, ok in known.checks.items()}}.values()


@given(STRATEGY, progresses(), TIMES)
def test_asking_changes_nothing(strategy: Strategy, known: Progress, now: float) -> None:
    before = deepcopy(known)
    assert strategy.decide(known, now) == strategy.decide(known, now)
    strategy.at_deadline(known), strategy.confirm(known), strategy.unconfirmed(known)
    assert known == before


@given(STRATEGY, progresses())
def test_a_deadline_always_decides(strategy: Strategy, known: Progress) -> None:
    assert strategy.at_deadline(known).action is not Action.HOLD
    assert strategy.unconfirmed(known).action in (Action.OPEN, Action.REJECT)
    assert strategy.confirm(known).action in (Action.OPEN, Action.HOLD)


@given(STRATEGY, progresses(), TIMES)
def test_asking_again_is_always_later(strategy: Strategy, known: Progress, now: float) -> None:
    """Else the gate would ask in a busy loop."""
    verdict = strategy.decide(known, now)
    assert verdict.until is None or (verdict.action is Action.HOLD and verdict.until > now)


@given(STRATEGY, progresses(), TIMES)
def test_every_verdict_says_why(strategy: Strategy, known: Progress, now: float) -> None:
    for verdict in (strategy.decide(known, now), strategy.at_deadline(known), strategy.unconfirmed(known)):
        assert verdict.why
        assert (verdict.action is Action.DEGRADE) <= bool(verdict.missing)


@given(GATES, progresses(), TIMES)
def test_unknown_never_rejects_before_the_deadline(gate: Strategy, known: Progress, now: float) -> None:
    """The strictness regression, as a property: only what was said to have failed rejects, or degraded-mode off."""
    now = min(now, 0.99 * gate.limits_s[State.SERVICE_DEPENDENCY_CHECK])
    if not failed(known) and known.switches.degraded_mode:
        assert gate.decide(known, now).action is not Action.REJECT


@given(GATES, progresses(), TIMES)
def test_nothing_required_is_missing_when_a_gate_opens(gate: Strategy, known: Progress, now: float) -> None:
    now = min(now, 0.99 * gate.limits_s[State.SERVICE_DEPENDENCY_CHECK])
    if gate.decide(known, now).action not in (Action.OPEN, Action.DEGRADE):
        return
    needs = known.requirements
    assert all(known.services.get(name) for name in needs.required)
    assert known.authenticated or not needs.authenticates
    if known.switches.dependency_validation:
        assert all(known.checks.get(name) for name in needs.required_checks)


@given(GATES, progresses(), TIMES)
def test_more_good_news_never_closes_what_would_have_opened(gate: Strategy, known: Progress, now: float) -> None:
    if gate.decide(known, now).action is not Action.OPEN:
        return
    known.services.update(dict.fromkeys(NAMES, True))
    known.checks.update(dict.fromkeys(NAMES, True))
    assert gate.decide(known, now).action is Action.OPEN


@given(progresses(), st.floats(0, 10_000), st.floats(0, 10_000), st.floats(0.1, 10))
def test_an_adaptive_delay_stays_within_floor_and_cap(
    known: Progress, floor_ms: float, cap_ms: float, factor: float
) -> None:
    known.switches, known.learned = Switches(), Learned(known.learned.setup_s or 0.0, known.learned.round_trip_s)
    verdict = AdaptiveDelay(factor=factor, floor_ms=floor_ms, cap_ms=cap_ms).decide(known, 0.0)
    until = verdict.until if verdict.until is not None else 0.0
    assert min(floor_ms, cap_ms) / 1000 - 1e-9 <= until <= cap_ms / 1000 + 1e-9


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_is_registered_under_its_own_name_and_tells_what_it_does(name: str) -> None:
    cls = STRATEGIES[name]
    assert cls().name == name
    assert cls.opens_when
    assert cls.false_ready
    assert cls.false_not_ready


def test_all_nine_are_there() -> None:
    assert set(STRATEGIES) == {
        "adaptive_delay",
        "client_init",
        "deferred_accept",
        "dependency_gate",
        "fixed_delay",
        "immediate",
        "progressive_delay",
        "ready_ack",
        "state_poll",
    }
