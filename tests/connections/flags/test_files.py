"""Flag sets as files: the same bytes again, and the place of every mistake."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connections.flags import reading
from connections.flags.errors import NothingToChange, StaleVersion
from connections.flags.files import BadFile, checked, read_flagd, read_yaml, write_flagd, write_yaml
from connections.flags.importing import import_flags, preview_import
from connections.flags.versions import canonical_json, same
from connections.models import AuditRecord
from tests.connections.flags.conftest import Flags

WHO: dict[str, Any] = {"author": "alice", "reason": "as the file says"}
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=30)
WORDS = st.sampled_from(
    ["on", "off", "Yes", "null", "~", "1.0", "1e3", "08:30", "2026-01-01", "", " a", "a: b", "- x", "#"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT | WORDS
KEYS = TEXT | WORDS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=12
)
FLAG_SETS = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=3)

GOOD = """format: readywire-flags-1
flags:
  beta:
    state: ENABLED   # a comment
    variants:
      on: true
      off: false
    defaultVariant: off
"""


@given(FLAG_SETS)
@example({"a key that YAML wants marked": {"k" * 1200: [{"k" * 1200: 1}]}})
@settings(max_examples=150, deadline=None)
def test_any_set_comes_back_and_gives_the_same_bytes(flags: dict[str, Any]) -> None:
    written = write_yaml(flags)
    read = read_yaml(written).flags
    assert same(dict(read), json.loads(canonical_json(flags)))
    assert write_yaml(read) == written
    flagd = write_flagd(flags)
    assert write_flagd(read_flagd(flagd).flags) == flagd


@given(FLAG_SETS)
@settings(max_examples=60, deadline=None)
def test_other_readers_of_yaml_understand_it(flags: dict[str, Any]) -> None:
    read = yaml.safe_load(write_yaml(flags))["flags"]
    assert same(read, json.loads(canonical_json(flags)))


def test_variants_are_named_on_and_off_without_quotes() -> None:
    beta = checked(read_yaml(GOOD))["beta"]
    assert beta["variants"] == {"on": True, "off": False}
    assert beta["defaultVariant"] == "off"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("state: ENABLED", "state: SOMETIMES", "line 4, flags.beta.state: state is one of ENABLED, DISABLED"),
        ("defaultVariant: off", "defaultVariant: maybe", "line 8, flags.beta.defaultVariant: defaultVariant is one of"),
        ("on: true", "on: 1", "line 5, flags.beta.variants: all variants have one type"),
        ("on: true", "on: [1]", "line 5, flags.beta.variants: a variant is"),
        ("state: ENABLED", "stat: ENABLED", "line 4, flags.beta.stat: unknown field 'stat'"),
        ("    state: ENABLED   # a comment\n", "", "line 3, flags.beta.state: state is one of"),
        ("off: false", "on: false", "line 7, flags.beta.variants.on: stands there twice"),
        ("  beta:", "  be ta:", "line 3, flags.be ta: a flag key has 1 to 100 letters"),
        ("off: false", "off: !!python/name:os.x x", "line 7, flags.beta.variants.off: anchors, aliases and tags"),
        ("off: false", "off: &a false", "line 7, flags.beta.variants.off: anchors, aliases and tags"),
        ("off: false", "off: [false", "line 8: no YAML: "),
        ("flags-1", "flags-2", "line 1, format: format is readywire-flags-1"),
        ("flags:\n", "flags: 3\nflag:\n", "line 3, flag: no field of the file"),
        ("defaultVariant: off", "defaultVariant: 1e999", "line 8, flags.beta.defaultVariant: a number that large"),
        ("defaultVariant: off", "targeting: {wrong: 1}", "line 8, flags.beta.targeting: targeting: "),
        ("defaultVariant: off", "metadata: {owner: [1]}", "line 8, flags.beta.metadata: metadata holds"),
        ("defaultVariant: off", "metadata: {safeVariant: x}", "line 8, flags.beta.metadata.safeVariant: metadata.safe"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_line_and_field(old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(BadFile) as error:
        checked(read_yaml(GOOD.replace(old, new)))
    assert str(error.value).startswith(told)
    assert str(error.value).endswith("Nothing was changed.")


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "a: b", "---\na\n---\nb", "\x00", "{" * 5000, "- " * 5000, "[" * 99_000]
)
def test_what_is_no_flag_set_is_refused(text: str) -> None:
    for read in (read_yaml, read_flagd):
        with pytest.raises(BadFile):
            checked(read(text))


FLAGD = """{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    "beta": {
      "state": "ENABLED",
      "variants": {"on": true, "off": false},
      "defaultVariant": "on",
      "targeting": {"if": [{"$ref": "staff"}, "on", "off"]}
    }
  },
  "$evaluators": {"staff": {"==": [{"var": "team"}, "staff"]}},
  "metadata": {"owner": "chat"}
}
"""


def test_flagd_evaluators_and_metadata_are_written_out() -> None:
    beta = checked(read_flagd(FLAGD))["beta"]
    assert beta["targeting"] == {"if": [{"==": [{"var": "team"}, "staff"]}, "on", "off"]}
    assert beta["metadata"] == {"owner": "chat"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"defaultVariant": "on"', '"defaultVariant": "x"', "line 7, flags.beta.defaultVariant: defaultVariant is one"),
        ('"state": "ENABLED"', '"state": "ENABLED", "state": "A"', "line 5, flags.beta.state: stands there twice"),
        ('{"$ref": "staff"}', '{"$ref": "stuff"}', "line 8, flags.beta.targeting: $ref: there is no evaluator 'stuff'"),
        (
            '{"==": [{"var": "team"}, "staff"]}',
            '{"$ref": "staff"}',
            "line 8, flags.beta.targeting: references go round",
        ),
        ('"variants"', "variants", "line 6: no JSON: "),
        ('"metadata": {', '"meta": {', "line 12, meta: no field of flagd's format"),
        ('"on": true, "off": false', '"on": NaN', "no JSON: NaN is no number"),
        ('"flags": {', '"flags": {"a": 3,', "line 3, flags.a: a flag is an object"),
    ],
)
def test_a_mistake_in_flagd_json_is_told_with_line_and_field(old: str, new: str, told: str) -> None:
    assert old in FLAGD
    with pytest.raises(BadFile) as error:
        checked(read_flagd(FLAGD.replace(old, new)))
    assert str(error.value).startswith(told)


def test_flagd_lists_flags_too() -> None:
    text = """{"flags": [
      {"key": "beta", "state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"},
      {"key": "gamma", "state": "ENABLED",
       "variants": {"on": true}, "defaultVariant": "off"}]}"""
    assert list(read_flagd(text).flags) == ["beta", "gamma"]
    with pytest.raises(BadFile, match=r"line 4, flags\.gamma\.defaultVariant: "):
        checked(read_flagd(text))
    with pytest.raises(BadFile, match=r"line 3, flags\.1: beta stands there twice"):
        read_flagd(text.replace("gamma", "beta"))
    with pytest.raises(BadFile, match=r"line 1, flags\.0: a flag in a list is an object with its key"):
        read_flagd('{"flags": [3]}')


def test_references_that_double_at_each_step_are_refused() -> None:
    evaluators = {f"e{n}": {"and": [{"$ref": f"e{n + 1}"}] * 2} for n in range(60)}
    beta = {"state": "ENABLED", "variants": {"on": True}, "defaultVariant": "on", "targeting": {"$ref": "e0"}}
    with pytest.raises(BadFile, match="references go round"):
        read_flagd(json.dumps({"flags": {"beta": beta}, "$evaluators": evaluators}))


def test_an_import_is_one_version_and_a_second_one_nothing(staging: Flags) -> None:
    definitions = checked(read_yaml(write_yaml(reading.flag_set("staging").definitions)))
    del definitions["client-ack"]
    definitions["beta"] = checked(read_yaml(GOOD))["beta"]
    preview = preview_import("staging", definitions)
    assert [(one.flag, one.before, one.after) for one in preview.diffs] == [
        ("beta", None, "off"),
        ("client-ack", "on", None),
    ]
    version = import_flags("staging", definitions, **WHO)
    assert (version.number, version.kind, staging.version) == (2, "import", 2)
    assert AuditRecord.objects.get(action="flags.import").subject == "version 2: beta, client-ack"
    with pytest.raises(NothingToChange):
        import_flags("staging", definitions, **WHO)
    assert [one.flag for one in preview_import("staging", {"beta": definitions["beta"]}, keep_others=True).diffs] == []


def test_an_import_does_not_overrun_somebody_elses_change(staging: Flags) -> None:
    definitions = reading.flag_set("staging").definitions
    staging.change(client_ack="off")
    with pytest.raises(StaleVersion):
        import_flags("staging", definitions, **WHO, expected_version=1)
    assert staging.version == 2


def test_an_export_imported_elsewhere_exports_the_same_bytes(staging: Flags) -> None:
    staging.change(readiness_strategy="immediate")
    written = write_yaml(reading.flag_set("staging").definitions)
    import_flags("production", checked(read_yaml(written)), **WHO)
    assert write_yaml(reading.flag_set("production").definitions) == written
