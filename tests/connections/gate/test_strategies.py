"""Strategies are pure: progress and time in, one verdict out. Those that wait for what is needed."""

from typing import Any

from connections.gate.lifecycle import State
from connections.gate.strategies import (
    Action,
    ClientInit,
    DeferredAccept,
    DependencyGate,
    Progress,
    ReadyAck,
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


def test_with_ready_ack_the_client_must_answer_what_it_was_told() -> None:
    """dependency_gate first; then the answer, or its time."""
    strategy = ReadyAck()
    assert strategy.decide(progress(), 100.0).action is Action.HOLD
    assert strategy.decide(ready(services={"search": True}), 100.0).action is Action.OPEN
    assert strategy.confirm(ready()).action is Action.HOLD
    assert strategy.confirm(ready(acknowledged=True)).action is Action.OPEN
    assert strategy.limits_s == {State.SERVICE_DEPENDENCY_CHECK: 12, State.SERVICES_READY: 2}


def test_a_client_that_never_answers_is_opened_or_closed_as_legacy_says() -> None:
    assert ReadyAck().unconfirmed(ready()).action is Action.OPEN
    closing = ReadyAck(legacy="close").unconfirmed(ready())
    assert (closing.action, closing.code) == (Action.REJECT, 4408)


def test_with_client_ack_off_nothing_waits_for_the_client() -> None:
    off = Switches(client_ack=False)
    assert ReadyAck(legacy="close").confirm(ready(switches=off)).action is Action.OPEN
    assert ReadyAck(legacy="close").unconfirmed(ready(switches=off)).action is Action.OPEN


def test_the_dependency_gate_does_not_wait_for_an_answer() -> None:
    assert DependencyGate().confirm(ready()).action is Action.OPEN


def test_client_init_opens_with_the_first_frame_and_closes_4408_without_one() -> None:
    strategy = ClientInit()
    held = strategy.decide(progress(), 102.9)
    assert (held.action, held.until) == (Action.HOLD, 103.0)
    assert strategy.decide(progress(client_spoke=True), 100.0).action is Action.OPEN
    assert (strategy.decide(progress(), 103.0).action, strategy.decide(progress(), 103.0).code) == (Action.REJECT, 4408)


def test_a_deferred_accept_decides_by_its_own_time_whatever_state_it_waits_in() -> None:
    """The client, its proxy and the server are all waiting in their handshakes."""
    strategy = DeferredAccept(timeout_seconds=4.0)
    held = strategy.decide(progress(reported=True), 103.9)
    assert (held.action, held.until) == (Action.HOLD, 104.0)
    assert strategy.decide(progress(reported=True), 104.0).action is Action.REJECT
    assert strategy.decide(ready(services={"search": True}), 100.0).action is Action.OPEN
