"""Which strategy a connection gets: the flags where they make sense, coded defaults everywhere else."""

import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.gate.selection import CODED_DEFAULTS, CODED_VARIANT, Snapshot, StaticFlags, select
from tests.support.flag_server import strategy, variants

WHO = {"targetingKey": "connection-1"}


def test_without_any_flags_the_coded_defaults_hold() -> None:
    chosen = select(Snapshot(), WHO)
    assert chosen.strategy.name == "dependency_gate"
    assert chosen.revision is None
    assert chosen.switches.degraded_mode
    assert set(chosen.evaluations) >= {("readiness-strategy", CODED_VARIANT)}
    assert chosen.problems == ()


def test_flags_choose_the_strategy_its_parameters_and_the_switches() -> None:
    flags = {
        **strategy("fixed_delay"),
        "readiness-parameters": {
            "state": "ENABLED",
            "variants": {"quick": {"fixed_delay": {"milliseconds": 5}}},
            "defaultVariant": "quick",
        },
        "dependency-validation": {
            "state": "ENABLED",
            "variants": {"on": True, "off": False},
            "defaultVariant": "off",
        },
    }
    chosen = select(Snapshot(flags, 7, "staging"), WHO)
    assert (chosen.strategy.name, chosen.revision, chosen.environment) == ("fixed_delay", 7, "staging")
    assert chosen.strategy.milliseconds == 5  # type: ignore[attr-defined]
    assert not chosen.switches.dependency_validation
    assert ("dependency-validation", "off") in chosen.evaluations


def test_a_ramp_gives_each_connection_one_side_and_keeps_it_there() -> None:
    flag = variants("immediate", "dependency_gate", serve="immediate")
    flag["targeting"] = {"fractional": [["immediate", 50], ["dependency_gate", 50]]}
    snapshot = Snapshot({"readiness-strategy": flag}, 1)
    sides = [select(snapshot, {"targetingKey": f"c{n}"}).strategy.name for n in range(200)]
    assert sides == [select(snapshot, {"targetingKey": f"c{n}"}).strategy.name for n in range(200)]
    assert 60 <= sides.count("immediate") <= 140


@pytest.mark.parametrize(
    "flag",
    [
        {"state": "DISABLED", "variants": {"immediate": "immediate"}, "defaultVariant": "immediate"},
        {"state": "ENABLED", "variants": {"x": 5}, "defaultVariant": "x"},
        {"state": "ENABLED", "variants": {"x": "immediate"}, "defaultVariant": "y"},
        {"state": "ENABLED"},
    ],
)
def test_a_disabled_or_broken_flag_leaves_the_coded_default(flag: dict[str, Any]) -> None:
    assert select(Snapshot({"readiness-strategy": flag}, 1), WHO).strategy.name == "dependency_gate"


def test_a_flag_of_the_wrong_type_is_said_to_be_wrong() -> None:
    chosen = select(StaticFlags({"client-ack": "yes", "readiness-strategy": "telepathy"}).snapshot(), WHO)
    assert len(chosen.problems) == 2
    assert "client-ack" in chosen.problems[0]
    assert "telepathy" in chosen.problems[1]


def test_the_flags_that_every_environment_starts_with_are_understood() -> None:
    """The first version's parameters are this library's, by name and unit."""
    first = importlib.import_module("connections.migrations.0002_first_flags").flags_of("production")
    assert set(first) == set(CODED_DEFAULTS)
    for name in first["readiness-strategy"]["variants"]:
        flags = {**first, "readiness-strategy": {**first["readiness-strategy"], "defaultVariant": name}}
        assert select(Snapshot(flags, 1), WHO).problems == ()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["readiness-strategy", "readiness-parameters", "client-ack", "degraded-mode"])
DEFINITIONS = VALUES | st.fixed_dictionaries(
    {"state": st.just("ENABLED"), "variants": st.fixed_dictionaries({"v": VALUES}), "defaultVariant": st.just("v")}
)


@given(st.dictionaries(KEYS, DEFINITIONS))
def test_whatever_the_definitions_are_there_is_an_answer(flags: dict[str, Any]) -> None:
    chosen = select(Snapshot(flags, 1), WHO)
    assert chosen.strategy.name
