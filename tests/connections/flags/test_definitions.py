"""What a definition must be before anybody serves it, and the verb that adds one."""

from itertools import pairwise
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
        {"targeting": {}},
        {"targeting": {"if": [{"matches": [{"var": "id"}, "^a"]}, "on", {"and": [{"var": "x"}, "off"]}]}},
        {"targeting": {"fractional": [{"var": "id"}, ["on", {"if": [{"var": "x"}, 1, 2]}], [None, 5]]}},
        {"tags": ["chat", "eu-west.1"], "schema": {"type": "boolean"}},
        {"metadata": {"owner": "chat team", "removeBy": "2027-02-28"}},
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
        ({"variants": {"on": True, "one": 1}}, "one type, these are boolean and integer"),
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
        ({"variants": {"on": 2**53}, "metadata": None}, "a whole number lies between"),
        ({"variants": {"on": 1, "off": "1"}}, "these are integer and string"),
        ({"variants": {"on": {}, "off": 0.5}}, "these are float and object"),
        ({"variants": {"on": True, "": False}}, "a variant's name has"),
        ({"metadata": {"removeBy": "2027-02-30"}}, "metadata.removeBy is a date"),
        ({"metadata": {"removeBy": 20270228}}, "metadata.removeBy is a date"),
        ({"tags": "chat"}, "tags is a list of words"),
        ({"tags": ["Chat rooms"]}, "tags are at most 20 words"),
        ({"targeting": {"if": [True, "on", "perhaps"]}}, "'perhaps' is no variant: use one of off, on"),
        ({"targeting": {"if": [False, "on", {"fractional": [["on", 1], ["perhaps", 1]]}]}}, "'perhaps' is no variant"),
        ({"targeting": {"if": [True, "on", {"unheard of": []}]}}, "unknown operator 'unheard of'"),
        ({"targeting": {"if": [True, "on", {"fractional": [["on", -1]]}]}}, "a weight is a whole number"),
        ({"targeting": {"fractional": [["on", 0], ["off", 0]]}}, "all weights are 0"),
        ({"targeting": {"fractional": ["on", 1]}}, "each share is a list"),
        ({"targeting": {"if": [{"matches": [{"var": "id"}, "(?=a)"]}, "on"]}}, "cannot be used"),
        ({"targeting": {"if": [{"matches": [{"var": "id"}, {"var": "pattern"}]}, "on"]}}, "the pattern is text"),
        ({"targeting": {"if": [{"sem_ver": [{"var": "v"}, "=>", "1.0.0"]}, "on"]}}, "sem_ver: write a value"),
        ({"targeting": {"if": [{"sem_ver": [{"var": "v"}, ">=", "1.x"]}, "on"]}}, "'1.x' is no version"),
        ({"targeting": {"if": [{"starts_with": [{"var": "v"}]}, "on"]}}, "starts_with compares 2 values, not 1"),
        ({"targeting": {"if": [{"<": [1]}, "on"]}}, "compares 2 values, or one between"),
        ({"targeting": {"or": [{"matches": [{"var": "v"}, "a"]}] * 21}}, "more than 20 times"),
        ({"schema": True}, "schema is an object"),
        ({"schema": {"type": "bool"}}, "schema.type: 'bool' is not valid"),
        ({"schema": {"type": "string"}}, "variants.on: True is not of type 'string'"),
        ({"schema": {"$ref": "https://example.com/schema"}}, "stays inside the schema"),
        ({"schema": {"$ref": "#"}}, "leads nowhere, or to itself"),
        ({"schema": {"$ref": "#/nowhere"}}, "leads nowhere, or to itself"),
        ({"schema": {"patternProperties": {"(a+)+$": {}}}}, "patternProperties cannot be used"),
        ({"schema": {"pattern": "(?=a)"}}, "the pattern '..=a.' cannot be used"),
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


DELAY: dict[str, Any] = {
    "type": "object",
    "properties": {"ms": {"$ref": "#/$defs/ms"}, "name": {"pattern": "^[a-z]+$"}},
    "required": ["ms"],
    "additionalProperties": False,
    "$defs": {"ms": {"type": "integer", "minimum": 0}},
}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"ms": -1}, r"variants.slow.ms: -1 is less than the minimum of 0"),
        ({"ms": "1"}, r"variants.slow.ms: '1' is not of type 'integer'"),
        ({}, r"variants.slow: 'ms' is a required property"),
        ({"ms": 1, "more": 1}, r"variants.slow: Additional properties are not allowed"),
        ({"ms": 1, "name": "A"}, r"variants.slow.name: 'A' does not match"),
        ({"ms": 1, "name": "a" * 501}, r"variants.slow.name: .* does not match"),
    ],
)
def test_a_value_against_its_schema_names_the_place(value: Any, message: str) -> None:
    flag = {
        "state": "ENABLED",
        "variants": {"slow": value, "fast": {"ms": 0}},
        "defaultVariant": "fast",
        "schema": DELAY,
    }
    with pytest.raises(BadDefinition, match=message):
        check("flag", flag)
    check("flag", {**flag, "variants": {"slow": {"ms": 5, "name": "a"}, "fast": {"ms": 0}}})


def test_a_schema_that_grows_without_end_is_refused_at_once() -> None:
    """Ten references to ten references to ten: a thousand million checks, if anybody let it."""
    names = "abcdefghi"
    defs: dict[str, Any] = {
        name: {"allOf": [{"$ref": f"#/$defs/{following}"}] * 10} for name, following in pairwise(names)
    }
    schema = {"$defs": {**defs, "i": {"type": "boolean"}}, "$ref": "#/$defs/a"}
    with pytest.raises(BadDefinition, match="more than 1000 references"):
        check("flag", {**GOOD, "schema": schema})


@pytest.mark.parametrize(
    ("key", "variants", "message"),
    [
        ("client-ack", {"on": "yes"}, "reads this flag as boolean, these variants are string"),
        ("readiness-strategy", {"on": True}, "as string, these variants are boolean"),
        (
            "readiness-parameters",
            {"a": {"fixed_delay": {"milliseconds": -5}}},
            "fixed_delay.milliseconds: -5 is not valid",
        ),
        ("readiness-parameters", {"a": {"fixed_delay": {"ms": 5}}}, "no such parameter"),
        ("readiness-parameters", {"a": {"no_such": {}}}, "variants.a.no_such: no such strategy"),
        ("readiness-parameters", {"a": {"fixed_delay": []}}, "not an object"),
    ],
)
def test_what_a_gate_could_not_use_of_its_own_flags_is_refused(key: str, variants: Any, message: str) -> None:
    with pytest.raises(BadDefinition, match=message):
        check(key, {"state": "ENABLED", "variants": variants, "defaultVariant": next(iter(variants))})


def test_the_flags_that_are_brought_pass(staging: Flags) -> None:
    for key, body in reading.flag_set("staging").definitions.items():
        check(key, body)


def test_a_flag_keeps_its_type(staging: Flags) -> None:
    """Every client that asks for a boolean would get its own default from then on."""
    who: dict[str, Any] = {"author": "alice", "reason": WHY}
    control.define("staging", {"our-flag": GOOD}, expected_version=1, **who)
    other = {**GOOD, "variants": {"on": "yes", "off": "no"}}
    with pytest.raises(BadDefinition, match="it is a flag of type boolean, not string"):
        control.define("staging", {"our-flag": other}, expected_version=2, **who)
    control.define("staging", {"our-flag": None}, expected_version=2, **who)
    control.define("staging", {"our-flag": other}, expected_version=3, **who)
    assert staging.served("our-flag") == "on"


def test_schema_and_tags_are_stored_and_versioned_and_never_served(staging: Flags) -> None:
    stored = {**GOOD, "tags": ["chat"], "schema": {"type": "boolean"}}
    control.define("staging", {"our-flag": stored}, author="alice", reason=WHY, expected_version=1)
    flags = reading.flag_set("staging")
    assert flags.definitions["our-flag"] == stored
    assert flags.served["our-flag"] == GOOD
    control.change("staging", {"our-flag": "off"}, author="alice", reason=WHY, expected_version=2)
    assert reading.flag_set("staging").definitions["our-flag"]["schema"] == {"type": "boolean"}


def test_a_bad_definition_writes_nothing(staging: Flags) -> None:
    with pytest.raises(BadDefinition):
        control.define("staging", {"our flag": GOOD}, author="alice", reason=WHY, expected_version=1)
    assert staging.revision == 1
