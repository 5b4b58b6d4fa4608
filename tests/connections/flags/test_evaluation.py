"""What a flag is worth for a subject."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.flags.evaluation import ErrorCode, Evaluation, Reason, evaluate
from connections.flags.targeting import MAX_DEPTH, OPERATORS, bucket

CARDS = [["clubs", 25], ["diamonds", 25], ["hearts", 25], ["spades", 25]]
BY_FLAG_AND_NAME = {"fractional": [{"cat": [{"var": "$flagd.flagKey"}, {"var": "user.name"}]}, *CARDS]}
BY_SEED_AND_NAME = {"fractional": [{"cat": ["shared-seed", {"var": "user.name"}]}, *CARDS]}
BY_KEY = {"fractional": [{"var": "targetingKey"}, ["lower", 50], ["upper", 50]]}
SHORT = {"fractional": [["heads"], ["tails", 1]]}


def flag(targeting: Any = None, default: Any = "wild", state: str = "ENABLED", **more: Any) -> dict[str, Any]:
    names = ("clubs", "diamonds", "hearts", "spades", "wild", "heads", "tails", "lower", "upper", "yes", "no")
    variants = {name: f"value of {name}" for name in names}
    definition = {"state": state, "variants": variants, "defaultVariant": default, **more}
    return definition if targeting is None else {**definition, "targeting": targeting}


def worth(targeting: Any, context: Mapping[str, Any], key: str = "colour") -> Evaluation:
    return evaluate({key: flag(targeting)}, key, context)


@pytest.mark.parametrize(
    ("key", "rule", "subject", "variant"),
    [
        ("fractional-flag", BY_FLAG_AND_NAME, {"user": {"name": "jack"}}, "hearts"),
        ("fractional-flag", BY_FLAG_AND_NAME, {"user": {"name": "queen"}}, "spades"),
        ("fractional-flag", BY_FLAG_AND_NAME, {"user": {"name": "ten"}}, "clubs"),
        ("fractional-flag", BY_FLAG_AND_NAME, {"user": {"name": "nine"}}, "diamonds"),
        ("fractional-flag", BY_FLAG_AND_NAME, {"user": {"name": "3"}}, "clubs"),
        ("fractional-flag-shorthand", SHORT, {"targetingKey": "jon@company.com"}, "heads"),
        ("fractional-flag-shorthand", SHORT, {"targetingKey": "jane@company.com"}, "tails"),
        ("fractional-flag-A-shared-seed", BY_SEED_AND_NAME, {"user": {"name": "seven"}}, "hearts"),
        ("fractional-flag-A-shared-seed", BY_SEED_AND_NAME, {"user": {"name": "eight"}}, "diamonds"),
        ("fractional-flag-A-shared-seed", BY_SEED_AND_NAME, {"user": {"name": "nine"}}, "clubs"),
        ("fractional-flag-A-shared-seed", BY_SEED_AND_NAME, {"user": {"name": "two"}}, "spades"),
        ("fractional-hash-edge-flag", BY_KEY, {"targetingKey": "ejOoVL"}, "lower"),
        ("fractional-hash-edge-flag", BY_KEY, {"targetingKey": "bY9fO-"}, "lower"),
        ("fractional-hash-edge-flag", BY_KEY, {"targetingKey": "SI7p-"}, "lower"),
        ("fractional-hash-edge-flag", BY_KEY, {"targetingKey": "6LvT0"}, "upper"),
        ("fractional-hash-edge-flag", BY_KEY, {"targetingKey": "ceQdGm"}, "upper"),
    ],
)
def test_subjects_fall_where_flagd_puts_them(key: str, rule: Any, subject: dict[str, Any], variant: str) -> None:
    """flagd-testbed's published vectors (`@fractional-v2`)."""
    found = worth(rule, subject, key)
    assert (found.variant, found.reason) == (variant, Reason.SPLIT)


@pytest.mark.parametrize(
    ("subject", "colour", "value"),
    [("jon@company.com", "hearts", "hearts"), ("jon@company.com", "spades", "spades"), ("user1", "hearts", "clubs")],
)
def test_a_share_may_be_computed(subject: str, colour: str, value: str) -> None:
    """flagd-testbed's `@fractional-nested`: the first half is whatever the subject's colour is."""
    rule = {"fractional": [{"var": "targetingKey"}, [{"var": "colour"}, 50], ["clubs", 50]]}
    assert worth(rule, {"targetingKey": subject, "colour": colour}).variant == value


def test_a_split_may_be_a_condition() -> None:
    """flagd-testbed's "fractional as condition": 0 % of false, 100 % of true."""
    rule = {"if": [{"fractional": [[False, 0], [True, 100]]}, "yes", "no"]}
    found = worth(rule, {"targetingKey": "some-targeting-key"})
    assert (found.variant, found.reason) == ("yes", Reason.SPLIT)


def test_without_targeting_the_default_is_served_as_static() -> None:
    found = evaluate({"colour": flag()}, "colour", {})
    assert (found.value, found.variant, found.reason, found.ok) == ("value of wild", "wild", Reason.STATIC, True)


def test_targeting_that_says_nothing_serves_the_default() -> None:
    found = worth({"if": [{"==": [{"var": "role"}, "admin"]}, "yes"]}, {"role": "guest"})
    assert (found.variant, found.reason) == ("wild", Reason.DEFAULT)


def test_a_matching_rule_serves_its_variant() -> None:
    rule = {"if": [{"in": [{"var": "role"}, ["admin", "owner"]]}, "yes", {"var": "missing"}, "upper", "no"]}
    assert worth(rule, {"role": "owner"}).variant == "yes"
    assert worth(rule, {"role": "guest"}).variant == "no"
    assert worth(rule, {"role": "guest"}).reason == Reason.TARGETING_MATCH


def test_a_subject_without_a_targeting_key_gets_the_default_of_a_split() -> None:
    found = worth(SHORT, {"email": "jon@company.com"})
    assert (found.variant, found.reason) == ("wild", Reason.DEFAULT)


def test_a_disabled_flag_serves_no_variant() -> None:
    found = evaluate({"colour": flag(state="DISABLED")}, "colour", {})
    assert (found.value, found.variant, found.reason, found.ok) == (None, None, Reason.DISABLED, True)


def test_a_flag_without_a_default_leaves_it_to_the_caller() -> None:
    found = evaluate({"colour": flag(default=None)}, "colour", {})
    assert (found.variant, found.reason, found.ok) == (None, Reason.DEFAULT, True)


@pytest.mark.parametrize(
    ("definition", "code"),
    [
        (None, ErrorCode.FLAG_NOT_FOUND),
        ("text", ErrorCode.PARSE_ERROR),
        ({"state": "ENABLED"}, ErrorCode.PARSE_ERROR),
        (flag(default="absent"), ErrorCode.PARSE_ERROR),
        (flag(default=["list"]), ErrorCode.PARSE_ERROR),
        (flag("absent"), ErrorCode.GENERAL),
        (flag({"unheard of": [1]}), ErrorCode.PARSE_ERROR),
        (flag({"if": [True, "yes"], "and": []}), ErrorCode.PARSE_ERROR),
        (flag({"fractional": [["yes", -1], ["no", 1]]}), ErrorCode.PARSE_ERROR),
        (flag({"fractional": [["yes", 1.5], ["no", 1]]}), ErrorCode.PARSE_ERROR),
        (flag({"fractional": [["yes", 2**31 - 1], ["no", 1]]}), ErrorCode.PARSE_ERROR),
    ],
)
def test_a_broken_definition_is_an_error_that_names_it(definition: Any, code: ErrorCode) -> None:
    found = evaluate({} if definition is None else {"colour": definition}, "colour", {"targetingKey": "a"})
    assert (found.reason, found.error_code, found.variant) == (Reason.ERROR, code, None)
    assert "colour" in (found.error_details or "")


def test_rules_nested_too_deeply_are_refused() -> None:
    rule: Any = "yes"
    for _ in range(MAX_DEPTH + 1):
        rule = {"if": [True, rule]}
    assert worth(rule, {}).error_code == ErrorCode.PARSE_ERROR


@pytest.mark.parametrize(
    ("rule", "context", "truth"),
    [
        ({"==": [{"var": "n"}, "1"]}, {"n": 1}, True),
        ({"==": [{"var": "n"}, 1]}, {"n": True}, True),
        ({"==": [{"var": "n"}, {"var": "n"}]}, {"n": float("nan")}, False),
        ({"==": [{"var": "n"}, {"var": "n"}]}, {"n": {"deep": 1}}, False),
        ({"!=": [{"var": "n"}, None]}, {}, False),
        ({"in": ["ell", {"var": "word"}]}, {"word": "hello"}, True),
        ({"in": [1, {"var": "list"}]}, {"list": ["1", True]}, False),
        ({"!": [{"var": "list"}]}, {"list": []}, True),
        ({"and": [{"var": "a"}, {"var": "b"}]}, {"a": 1, "b": 0}, False),
        ({"or": [{"var": "a"}, {"var": "b"}]}, {"a": 0, "b": "0"}, True),
        ({"var": "a.1.b"}, {"a": [0, {"b": True}]}, True),
        ({"var": ["a.b", True]}, {"a": "text"}, True),
    ],
)
def test_operators_follow_jsonlogic(rule: Any, context: dict[str, Any], truth: bool) -> None:
    assert worth({"if": [rule, "yes", "no"]}, context).variant == ("yes" if truth else "no")


def test_metadata_that_clients_would_refuse_is_left_out() -> None:
    metadata = {"text": "a", "number": 1.5, "bad": {"nested": 1}, "nan": float("nan"), "none": None}
    found = evaluate({"colour": flag(metadata=metadata)}, "colour", {})
    assert found.metadata == {"text": "a", "number": 1.5}


class Hostile(Mapping[str, Any]):
    """A context object of somebody else's that fails whenever it is touched."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("boo")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("boo")

    def __len__(self) -> int:
        return 1


def test_a_context_that_fails_when_read_is_an_error_not_an_exception() -> None:
    assert worth(SHORT, Hostile()).error_code == ErrorCode.INVALID_CONTEXT


def test_a_bottomless_context_is_no_trouble() -> None:
    deep: dict[str, Any] = {}
    deep["self"] = deep
    context = {"targetingKey": "a" * 1_000_000, "deep": deep, "nan": float("nan"), "huge": 10**5000}
    assert worth({"if": [{"==": [{"var": "deep.self.self"}, {"var": "huge"}]}, "yes", SHORT]}, context).ok


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
rules = st.recursive(
    anything | st.just({"var": "targetingKey"}) | st.sampled_from(["yes", "no", "wild"]),
    lambda inner: st.builds(
        lambda name, arguments: {name: arguments}, st.sampled_from(sorted(OPERATORS)), st.lists(inner, max_size=4)
    ),
    max_leaves=12,
)
contexts = st.dictionaries(st.sampled_from(["targetingKey", "role", "n"]) | st.text(max_size=5), anything, max_size=5)


@given(rule=rules, context=contexts, definition=anything)
def test_evaluation_is_total_and_deterministic(rule: Any, context: dict[str, Any], definition: Any) -> None:
    """Any rule, any context, any definition: an answer, and the same one again."""
    for flags in ({"colour": flag(rule)}, {"colour": definition}):
        first, again = evaluate(flags, "colour", context), evaluate(flags, "colour", context)
        assert repr(first) == repr(again)
        assert first.reason in Reason
        assert (first.error_code is None) or first.variant is None


@given(subject=st.text(), noise=contexts, weight=st.integers(0, 100))
def test_a_split_is_sticky_by_targeting_key(subject: str, noise: dict[str, Any], weight: int) -> None:
    """Nothing else about the subject moves it."""
    rule = {"fractional": [["yes", weight], ["no", 100 - weight]]}
    alone = worth(rule, {"targetingKey": subject})
    assert worth(rule, {**noise, "targetingKey": subject}).variant == alone.variant


@given(subject=st.text(), low=st.integers(0, 100), high=st.integers(0, 100))
def test_ramping_up_moves_nobody_out(subject: str, low: int, high: int) -> None:
    low, high = sorted((low, high))

    def served(percent: int) -> str | None:
        rule = {"fractional": [["yes", percent], ["no", 100 - percent]]}
        return worth(rule, {"targetingKey": subject}).variant

    assert not (served(low) == "yes" and served(high) == "no")


def test_a_split_follows_its_weights() -> None:
    """30 % of 20,000 subjects, within one percentage point (more than three standard deviations)."""
    rule = {"fractional": [["yes", 30], ["no", 70]]}
    hits = sum(worth(rule, {"targetingKey": f"subject-{n}"}).variant == "yes" for n in range(20_000))
    assert 0.29 < hits / 20_000 < 0.31


@given(text=st.text(), total=st.integers(1, 2**31 - 1))
def test_a_bucket_lies_within_its_weights(text: str, total: int) -> None:
    assert 0 <= bucket(text, total) < total


@given(context=contexts)
def test_the_context_is_never_changed(context: dict[str, Any]) -> None:
    before = json.dumps(context, sort_keys=True)
    worth(BY_FLAG_AND_NAME, context)
    assert json.dumps(context, sort_keys=True) == before
