"""Parameters of strategies: typed, bounded, and wrong ones said, never fatal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.gate.errors import InvalidParameters
from connections.gate.lifecycle import State
from connections.gate.strategies import (
    STRATEGIES,
    AdaptiveDelay,
    DependencyGate,
    FixedDelay,
    ProgressiveDelay,
    ReadyAck,
    build,
)
from connections.gate.strategies.parameters import described


def test_parameters_come_from_the_strategys_own_member() -> None:
    parameters = {"fixed_delay": {"milliseconds": 7}, "dependency_gate": {"timeout_seconds": 3}}
    assert build("fixed_delay", parameters) == (FixedDelay(milliseconds=7.0), ())
    assert build("dependency_gate", parameters).strategy.limits_s == {State.SERVICE_DEPENDENCY_CHECK: 3}


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"milliseconds": -1}, "fixed_delay.milliseconds"),
        ({"milliseconds": None}, "fixed_delay.milliseconds"),
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


@pytest.mark.parametrize(
    ("name", "parameters", "cure"),
    [
        ("progressive_delay", {"steps_ms": []}, "rising numbers"),
        ("progressive_delay", {"steps_ms": [50, 50]}, "rising numbers"),
        ("progressive_delay", {"steps_ms": [50, "100"]}, "rising numbers"),
        ("progressive_delay", {"steps_ms": list(range(11))}, "1 to 10"),
        ("ready_ack", {"legacy": "ignore"}, '"open" or "close"'),
        ("ready_ack", {"legacy": ["open"]}, '"open" or "close"'),
        ("dependency_gate", {"required": "redis"}, 'a list of names, such as ["redis"]'),
        ("dependency_gate", {"optional": [1]}, "a list of names"),
        ("immediate", {"milliseconds": 1}, "none at all"),
    ],
)
def test_what_would_be_right_is_said(name: str, parameters: dict[str, Any], cure: str) -> None:
    (problem,) = build(name, {name: parameters}).problems
    assert problem.startswith(f"readiness-parameters.{name}.")
    assert cure in problem
    assert build(name, {name: parameters}).strategy == STRATEGIES[name]()


def test_progressive_delay_has_the_origins_defaults_per_environment() -> None:
    assert build("progressive_delay", {}, "development").strategy == ProgressiveDelay(steps_ms=(10.0,))
    for environment in ("staging", "production", ""):
        assert build("progressive_delay", {}, environment).strategy == ProgressiveDelay(steps_ms=(50.0, 100.0, 150.0))
    given_in_flags = build("progressive_delay", {"progressive_delay": {"steps_ms": [5]}}, "development")
    assert given_in_flags.strategy == ProgressiveDelay(steps_ms=(5.0,))


def test_adaptive_delay_falls_back_on_progressive_delay_as_the_flag_sets_it() -> None:
    built = build("adaptive_delay", {"adaptive_delay": {"cap_ms": 400}, "progressive_delay": {"steps_ms": [7]}})
    assert built.strategy == AdaptiveDelay(cap_ms=400.0, static=ProgressiveDelay(steps_ms=(7.0,)))
    assert build("adaptive_delay", {}, "development").strategy == AdaptiveDelay(static=ProgressiveDelay((10.0,)))
    wrong = build("adaptive_delay", {"progressive_delay": {"steps_ms": 7}})
    assert "progressive_delay.steps_ms" in wrong.problems[0]


def test_ready_ack_takes_what_the_dependency_gate_takes_and_more() -> None:
    names = {each.name for each in described(ReadyAck)}
    assert names > {each.name for each in described(DependencyGate)}


@pytest.mark.parametrize("cls", STRATEGIES.values(), ids=list(STRATEGIES))
def test_every_parameter_tells_what_it_takes_and_its_default_is_right(cls: Any) -> None:
    for each in described(cls):
        assert each.takes
        assert each.meaning
        value = sorted(each.default) if isinstance(each.default, frozenset) else each.default
        value = list(value) if isinstance(value, tuple) else value
        if value is not None:
            assert getattr(cls.from_parameters({each.name: value}), each.name) == each.default


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MEMBER = st.sampled_from(sorted({each.name for cls in STRATEGIES.values() for each in described(cls)}))


@given(
    st.sampled_from(sorted(STRATEGIES)),
    st.dictionaries(st.sampled_from(sorted(STRATEGIES)), JSON | st.dictionaries(MEMBER, JSON, max_size=3), max_size=3),
    st.sampled_from(["", "development", "staging"]),
)
def test_whatever_the_parameters_are_there_is_a_strategy_and_what_was_wrong_is_said(
    name: str, parameters: dict[str, Any], environment: str
) -> None:
    built = build(name, parameters, environment)
    assert built.strategy.name == name
    own = parameters.get(name, {})
    try:
        STRATEGIES[name].from_parameters(own if isinstance(own, dict) else {"no": "object"})
    except InvalidParameters:
        assert any(problem.startswith(f"readiness-parameters.{name}") for problem in built.problems)
