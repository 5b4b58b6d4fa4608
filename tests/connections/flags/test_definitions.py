"""What a definition must be before anybody serves it, and the verb that adds one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.flags import control, reading
from connections.flags.definitions import check
from connections.flags.errors import BadDefinition, NothingToChange, StaleVersion
from connections.flags.evaluation import evaluate
from connections.models import Revision
from tests.connections.flags.conftest import Flags

WHY = "chat answers vanish"
GOOD: dict[str, Any] = {
    "state": "ENABLED",
    "variants": {"on": True, "off": False},
    "defaultVariant": "on",
    "metadata": {"description": "why", "safeVariant": "off"},
}


@pytest.mark.parametrize(
    "other",
    [
        {},
        {"state": "DISABLED"},
        {"defaultVariant": None},
        {"metadata": None},
        {"variants": {"whole": 1, "half": 0.5}, "defaultVariant": "half", "metadata": {}},
        {"variants": {"small": {"deep": [1]}, "none": {}}, "defaultVariant": "none", "metadata": {}},
        {"targeting": {"fractional": [["on", 1], ["off", 99]]}},
    ],
)
def test_good_definitions_pass(other: dict[str, Any]) -> None:
    check("a.good-KEY_1", {**GOOD, **other})


@pytest.mark.parametrize("key", ["", "a/b", "a b", "é", "a?b", "a" * 101, "a\n"])
def test_keys_that_clients_cannot_ask_for_are_refused(key: str) -> None:
    with pytest.raises(BadDefinition, match="a flag key has"):
        check(key, GOOD)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"state": "on"}, "state is one of"),
        ({"variants": {}}, "at least one variant"),
        ({"variants": ["on"]}, "at least one variant"),
        ({"variants": {"on": True, "one": 1}}, "one type, these are boolean and number"),
        ({"variants": {"on": None}}, "a variant is"),
        ({"variants": {"on": float("nan")}}, "finite"),
        ({"variants": {"on": "half \ud800"}}, "Unicode"),
        ({"variants": {"on": "\u0000"}}, "no NUL"),
        ({"variants": {"on": "a" * 70_000}}, "at most 65536 bytes"),
        ({"variants": {"on": object()}}, "plain JSON"),
        ({"defaultVariant": "perhaps"}, "defaultVariant is one of the variants"),
        ({"defaultVariant": ["on"]}, "defaultVariant is one of the variants"),
        ({"targeting": "on"}, "targeting is an object"),
        ({"targeting": {"unheard of": []}}, "unknown operator 'unheard of'"),
        ({"metadata": {"nested": {}}}, "metadata holds"),
        ({"metadata": {"safeVariant": "perhaps"}}, "safeVariant is one of the variants"),
        ({"extra": 1}, "unknown field 'extra'"),
    ],
)
def test_a_definition_that_clients_would_misread_names_the_mistake(other: dict[str, Any], message: str) -> None:
    with pytest.raises(BadDefinition, match=message):
        check("flag", {**GOOD, **other})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["on", "if", "var"]), inner),
    max_leaves=6,
)
fields = st.dictionaries(st.sampled_from([*sorted(GOOD), "targeting"]), json_values)


@given(other=fields)
def test_what_passes_can_be_evaluated(other: dict[str, Any]) -> None:
    definition = {**GOOD, **other}
    try:
        check("flag", definition)
    except BadDefinition:
        return
    found = evaluate({"flag": definition}, "flag", {"targetingKey": "somebody"})
    assert found.ok or found.error_code == "GENERAL"


def test_a_team_adds_replaces_and_removes_flags_as_versions(staging: Flags) -> None:
    def define(definition: dict[str, Any] | None, expected: int) -> None:
        control.define("staging", {"our-flag": definition}, author="alice", reason=WHY, expected_version=expected)

    define(GOOD, 1)
    define({**GOOD, "defaultVariant": "off"}, 2)
    with pytest.raises(NothingToChange):
        define({**GOOD, "defaultVariant": "off"}, 3)
    with pytest.raises(StaleVersion):
        define(GOOD, 2)
    define(None, 3)
    served = [
        reading.flag_set("staging", number).definitions.get("our-flag", {}).get("defaultVariant")
        for number in (1, 2, 3, 4)
    ]
    assert served == [None, "on", "off", None]
    assert Revision.objects.get(environment="staging", number=4).summary == [
        {"flag": "our-flag", "before": "off", "after": None}
    ]
    control.revert("staging", 2, author="alice", reason=WHY, expected_version=4)
    assert staging.served("our-flag") == "on"


def test_a_bad_definition_writes_nothing(staging: Flags) -> None:
    with pytest.raises(BadDefinition):
        control.define("staging", {"our flag": GOOD}, author="alice", reason=WHY, expected_version=1)
    assert staging.revision == 1
