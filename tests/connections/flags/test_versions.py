"""Flag sets, their hashes and differences."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.flags.versions import (
    FieldDiff,
    FlagDiff,
    FlagSet,
    canonical_json,
    definition_hash,
    diff,
    same,
    set_hash,
    set_hash_of,
)

ON = {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"}
OFF = {**ON, "defaultVariant": "off"}


def test_the_canonical_text_does_not_depend_on_order() -> None:
    assert canonical_json({"b": 1, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1}'
    assert definition_hash(dict(reversed(ON.items()))) == definition_hash(ON)


def test_a_set_is_hashed_by_its_flags_and_names() -> None:
    assert set_hash({"a": ON, "b": OFF}) == set_hash({"b": OFF, "a": ON})
    assert len({set_hash({"a": ON}), set_hash({"a": OFF}), set_hash({"b": ON}), set_hash({})}) == 4


def test_the_etag_is_strong_and_moves_with_the_revision() -> None:
    flags = FlagSet("staging", 3, 7, {"a": ON})
    assert flags.etag == f'"7-{set_hash({"a": ON})[:16]}"'


def test_a_diff_names_flags_and_fields() -> None:
    before, after = {"a": ON, "b": ON, "c": ON}, {"a": OFF, "b": ON, "d": ON}
    changes = {one.flag: one for one in diff(before, after)}
    assert changes["a"] == FlagDiff("a", "on", "off", (FieldDiff("defaultVariant", "on", "off"),))
    assert (changes["c"].before, changes["c"].after) == ("on", None)
    assert (changes["d"].before, changes["d"].after) == (None, "on")
    assert set(changes) == {"a", "c", "d"}
    assert all(one.served_changes for one in changes.values())


def test_a_new_description_changes_nothing_that_is_served() -> None:
    (change,) = diff({"a": ON}, {"a": {**ON, "metadata": {"description": "why"}}})
    assert [one.field for one in change.fields] == ["metadata"]
    assert not change.served_changes


@pytest.mark.parametrize(("left", "right"), [(True, 1), (1, 1.0), ([False], [0]), ({"a": 0}, {"a": False})])
def test_values_that_only_python_takes_for_equal_differ(left: Any, right: Any) -> None:
    assert left == right
    assert not same(left, right)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
sets = st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xyz"), json_values), max_size=3)


@given(before=sets, after=sets)
def test_two_sets_differ_exactly_when_their_hashes_do(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert (diff(before, after) == []) == (set_hash(before) == set_hash(after))


@given(st.dictionaries(st.text(max_size=4), st.text("0123456789abcdef", min_size=4, max_size=4)))
def test_the_hash_of_a_set_is_that_of_its_canonical_json(hashes: dict[str, str]) -> None:
    assert set_hash_of(hashes) == hashlib.sha256(canonical_json(hashes).encode()).hexdigest()
