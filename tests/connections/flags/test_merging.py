"""Two changes of one definition, field by field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.flags.merging import ABSENT, merge3, merge_sets
from connections.flags.versions import same

BASE: dict[str, Any] = {
    "state": "ENABLED",
    "variants": {"slow": {"ms": 100, "steps": [1, 2]}, "fast": {"ms": 10, "steps": []}},
    "defaultVariant": "slow",
    "metadata": {"description": "how long", "owner": "chat"},
}


def changed(**fields: Any) -> dict[str, Any]:
    return {**BASE, **fields}


def test_changes_of_different_fields_come_together() -> None:
    theirs = changed(defaultVariant="fast")
    yours = changed(metadata={"description": "how long it waits", "owner": "chat"})
    merged = merge3(BASE, theirs, yours)
    assert merged.definition == {**theirs, "metadata": yours["metadata"]}
    assert merged.conflicts == ()
    assert [(field.name, field.by) for field in merged.fields] == [
        ("defaultVariant", "theirs"),
        ("metadata.description", "yours"),
    ]


def test_fields_inside_a_variant_are_fields_too() -> None:
    theirs = changed(variants={**BASE["variants"], "slow": {"ms": 200, "steps": [1, 2]}})
    yours = changed(variants={**BASE["variants"], "slow": {"ms": 100, "steps": [3]}, "none": {"ms": 0, "steps": []}})
    merged = merge3(BASE, theirs, yours)
    assert merged.definition is not None
    assert merged.definition["variants"] == {
        "slow": {"ms": 200, "steps": [3]},
        "fast": {"ms": 10, "steps": []},
        "none": {"ms": 0, "steps": []},
    }


def test_what_both_changed_otherwise_is_for_a_person_to_choose() -> None:
    theirs, yours = changed(state="DISABLED"), changed(state="ENABLED", defaultVariant=None)
    yours_too = changed(state="PAUSED")
    assert merge3(BASE, theirs, yours).conflicts == ()
    merged = merge3(BASE, theirs, yours_too)
    assert [(one.name, one.base, one.theirs, one.yours) for one in merged.conflicts] == [
        ("state", "ENABLED", "DISABLED", "PAUSED")
    ]
    assert merged.definition == theirs
    assert merge3(BASE, theirs, yours_too, choose={"state": "yours"}).definition == yours_too


@pytest.mark.parametrize("name", ["targeting", "schema"])
def test_rules_and_schemas_are_merged_as_a_whole_or_not_at_all(name: str) -> None:
    base = changed(**{name: {"if": {"a": 1, "b": 1}}})
    theirs, yours = changed(**{name: {"if": {"a": 2, "b": 1}}}), changed(**{name: {"if": {"a": 1, "b": 2}}})
    assert [one.name for one in merge3(base, theirs, yours).conflicts] == [name]


def test_a_variant_called_targeting_is_a_variant() -> None:
    base = changed(variants={"targeting": {"a": 1, "b": 1}})
    theirs = changed(variants={"targeting": {"a": 2, "b": 1}})
    yours = changed(variants={"targeting": {"a": 1, "b": 2}})
    merged = merge3(base, theirs, yours)
    assert merged.definition is not None
    assert merged.definition["variants"] == {"targeting": {"a": 2, "b": 2}}


def test_removing_against_changing_is_a_conflict() -> None:
    merged = merge3(BASE, None, changed(state="DISABLED"))
    assert [(one.name, one.theirs) for one in merged.conflicts] == [("", ABSENT)]
    assert merged.definition is None
    assert merge3(BASE, None, changed(state="DISABLED"), choose={"": "yours"}).definition == changed(state="DISABLED")
    assert merge3(BASE, BASE, None).definition is None


def test_true_is_not_one() -> None:
    merged = merge3(changed(metadata={"n": 1}), changed(metadata={"n": True}), changed(metadata={"n": 1.0}))
    assert [one.name for one in merged.conflicts] == ["metadata.n"]


def test_a_set_is_merged_flag_by_flag() -> None:
    theirs = {"a": changed(state="DISABLED"), "b": BASE}
    merged = merge_sets({"a": BASE, "b": BASE}, theirs, {"a": changed(defaultVariant="fast"), "c": BASE})
    assert merged["a"].definition == changed(state="DISABLED", defaultVariant="fast")
    assert merged["c"].definition == BASE
    assert "b" not in merged


leaves = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "b"]) | st.just([1])
bodies = st.recursive(
    leaves, lambda inner: st.dictionaries(st.sampled_from(["a", "b", "targeting"]), inner, max_size=3), max_leaves=8
)
definitions = st.none() | st.dictionaries(st.sampled_from(["state", "variants", "targeting"]), bodies, max_size=3)


@given(base=definitions, theirs=definitions, yours=definitions)
def test_what_only_one_changed_is_that_ones(base: Any, theirs: Any, yours: Any) -> None:
    assert merge3(base, base, yours).definition == yours
    assert merge3(base, theirs, base).definition == theirs
    assert merge3(base, yours, yours).definition == yours
    assert not merge3(base, yours, yours).conflicts
    assert not merge3(base, base, base).fields


@given(base=definitions, theirs=definitions, yours=definitions)
def test_nothing_is_lost_and_nobody_is_preferred(base: Any, theirs: Any, yours: Any) -> None:
    """Swapped, the same fields differ and the same conflict; choosing one side's conflicts keeps the other's rest."""
    merged, swapped = merge3(base, theirs, yours), merge3(base, yours, theirs)
    assert [one.path for one in merged.conflicts] == [one.path for one in swapped.conflicts]
    settled = merge3(base, theirs, yours, choose={one.name: "yours" for one in merged.conflicts})
    assert (settled.definition is None) == (swapped.definition is None)
    assert same(settled.definition, swapped.definition)
    for one in merged.fields:
        assert not (same_or_absent(one.theirs, one.base) and same_or_absent(one.yours, one.base))


def same_or_absent(left: Any, right: Any) -> bool:
    return left is right if ABSENT in (left, right) else same(left, right)


@given(base=definitions, theirs=definitions, yours=definitions)
def test_merging_changes_none_of_its_arguments(base: Any, theirs: Any, yours: Any) -> None:
    before = repr((base, theirs, yours))
    merge3(base, theirs, yours, choose={"": "yours"})
    assert repr((base, theirs, yours)) == before
