"""Strategies are pure: progress and time in, one verdict out."""

from typing import Any

import pytest

from connections.gate.errors import InvalidParameters
from connections.gate.strategies import (
    STRATEGIES,
    Action,
    DependencyGate,
    FixedDelay,
    Immediate,
    Progress,
    Requirements,
    Switches,
    build,
)

CHAT = Requirements(required=frozenset({"redis", "llm"}), optional=frozenset({"search"}), authenticates=True)


def progress(requirements: Requirements = CHAT, **known: Any) -> Progress:
    switches = known.pop("switches", Switches())
    return Progress(requirements, switches, accepted_at=100.0, **known)


def ready(**more: Any) -> Progress:
    services = {"redis": True, "llm": True, **more.pop("services", {})}
    return progress(authenticated=True, reported=True, services=services, **more)


def test_immediate_waits_for_nothing() -> None:
    assert Immediate().decide(progress(), 100.0).action is Action.OPEN


def test_a_fixed_delay_opens_at_its_instant_whatever_is_ready() -> None:
    strategy = FixedDelay(milliseconds=50)
    early = strategy.decide(progress(), 100.049)
    assert early.action is Action.HOLD
    assert early.until == pytest.approx(100.05)
    assert strategy.decide(progress(), 100.05).action is Action.OPEN


def test_the_gate_waits_for_authentication_and_every_required_service() -> None:
    gate = DependencyGate()
    assert gate.decide(progress(), 100.0).missing == ("authentication", "llm", "redis")
    assert gate.decide(progress(authenticated=True), 100.0).missing == ("llm", "redis")
    assert gate.decide(progress(authenticated=True, services={"llm": True}), 100.0).missing == ("redis",)
    assert gate.decide(ready(services={"search": True}), 100.0).action is Action.OPEN


def test_unknown_is_not_no() -> None:
    """The strictness regression: "not registered yet" was read as "not ready" and good connections were closed."""
    assert DependencyGate().decide(progress(), 111.9).action is Action.HOLD


def test_a_required_service_that_failed_rejects_at_once_and_is_named() -> None:
    verdict = DependencyGate().decide(progress(services={"redis": False}), 100.0)
    assert verdict.action is Action.REJECT
    assert verdict.missing == ("redis",)


def test_a_silent_optional_service_is_waited_for_briefly_then_degrades() -> None:
    gate = DependencyGate(optional_wait_seconds=2)
    held = gate.decide(ready(), 101.0)
    assert (held.action, held.until) == (Action.HOLD, 102.0)
    late = gate.decide(ready(), 102.0)
    assert (late.action, late.missing) == (Action.DEGRADE, ("search",))


def test_a_failed_optional_service_degrades_at_once() -> None:
    assert DependencyGate().decide(ready(services={"search": False}), 100.0).action is Action.DEGRADE


def test_without_degraded_mode_a_missing_optional_service_rejects() -> None:
    strict = Switches(degraded_mode=False)
    verdict = DependencyGate().decide(ready(services={"search": False}, switches=strict), 100.0)
    assert verdict.action is Action.REJECT


def test_at_the_deadline_a_setup_that_began_and_did_not_finish_is_rejected() -> None:
    verdict = DependencyGate().at_deadline(progress(authenticated=True, reported=True))
    assert (verdict.action, verdict.missing) == (Action.REJECT, ("llm", "redis"))


def test_at_the_deadline_an_application_that_never_reports_is_not_punished_for_it() -> None:
    """Services were declared and nobody marks them: a forgotten line must not close good connections."""
    assert DependencyGate().at_deadline(progress(asked=True)).action is Action.DEGRADE


def test_an_application_that_declares_nothing_is_ready_when_it_asks_for_a_message() -> None:
    gate = DependencyGate()
    assert gate.decide(progress(Requirements()), 100.0).action is Action.HOLD
    assert gate.decide(progress(Requirements(), asked=True), 100.0).action is Action.OPEN
    assert gate.decide(progress(Requirements(), declared_ready=True), 100.0).action is Action.OPEN


def test_checks_count_only_while_dependency_validation_is_on() -> None:
    """Rollback phase 1 switches it off: the application's own marks still hold."""
    needs = Requirements(required=frozenset({"redis"}), required_checks=frozenset({"ping"}))
    marked = {"services": {"redis": True}}
    gate = DependencyGate()
    assert gate.decide(progress(needs, **marked), 100.0).missing == ("check ping",)
    assert gate.decide(progress(needs, checks={"ping": False}, **marked), 100.0).action is Action.REJECT
    off = Switches(dependency_validation=False)
    assert gate.decide(progress(needs, switches=off, **marked), 100.0).action is Action.OPEN
    assert gate.decide(progress(needs, switches=off), 100.0).action is Action.HOLD


def test_parameters_may_make_a_declared_service_optional_but_not_invent_one() -> None:
    """A misspelt name in a flag must not hold every connection for a service that nobody marks."""
    strategy = build("dependency_gate", {"dependency_gate": {"required": ["redis", "redsi"]}}).strategy
    verdict = strategy.decide(progress(authenticated=True, services={"redis": True}), 103.0)
    assert (verdict.action, verdict.missing) == (Action.DEGRADE, ("llm", "search"))


def test_parameters_come_from_the_strategys_own_member() -> None:
    parameters = {"fixed_delay": {"milliseconds": 7}, "dependency_gate": {"timeout_seconds": 3}}
    assert build("fixed_delay", parameters) == (FixedDelay(milliseconds=7.0), ())
    assert build("dependency_gate", parameters).strategy.hold_limit_s == 3


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"milliseconds": -1}, "fixed_delay.milliseconds"),
        ({"milliseconds": True}, "fixed_delay.milliseconds"),
        ({"milliseconds": "50"}, "fixed_delay.milliseconds"),
        ({"milliseconds": float("nan")}, "fixed_delay.milliseconds"),
        ({"millis": 5}, "fixed_delay.millis"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_cure(parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidParameters) as caught:
        FixedDelay.from_parameters(parameters)
    assert caught.value.field == field
    assert caught.value.cure


def test_a_wrong_parameter_never_stops_a_connection() -> None:
    """The strategy runs on its defaults, and says so."""
    built = build("fixed_delay", {"fixed_delay": {"milliseconds": 1e9}})
    assert built.strategy == FixedDelay()
    assert "fixed_delay.milliseconds" in built.problems[0]
    assert build("fixed_delay", {"fixed_delay": 5}).problems


def test_an_unknown_strategy_falls_back_to_the_dependency_gate_and_says_so() -> None:
    built = build("telepathy", {})
    assert built.strategy == DependencyGate()
    assert "telepathy" in built.problems[0]


def test_every_strategy_is_registered_under_its_own_name_and_runs_without_parameters() -> None:
    assert {"immediate", "fixed_delay", "dependency_gate"} <= set(STRATEGIES)
    for name, cls in STRATEGIES.items():
        assert cls().name == name
        assert cls().decide(progress(), 100.0).action in Action
