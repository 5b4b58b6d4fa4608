"""What the operators of targeting rules say of values; flagd-testbed's scenarios are told as such."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.flags.evaluation import ErrorCode, Evaluation, Reason, evaluate
from connections.flags.semantic_versions import parse
from connections.flags.targeting import OPERATORS

VERSION, ID = {"var": "version"}, {"var": "id"}
NAMES = (
    "equal", "greater", "lesser", "none", "minor", "major", "match", "no-match", "prefix", "postfix", "fallback",
    "yes", "no", "premium", "standard", "red", "green", "blue", "clubs", "diamonds", "hearts", "spades", "single",
)  # fmt: skip


def worth(targeting: Any, context: Mapping[str, Any], default: str = "fallback", key: str = "flag") -> Evaluation:
    definition = {
        "state": "ENABLED",
        "variants": {name: name for name in NAMES},
        "defaultVariant": default,
        "targeting": targeting,
    }
    return evaluate({key: definition}, key, context)


def compared(sign: str, target: Any) -> dict[str, Any]:
    return {"sem_ver": [VERSION, sign, target]}


BY_ORDER = {
    "if": [compared("=", "2.0.0"), "equal", compared(">", "2.0.0"), "greater", compared("<", "2.0.0"), "lesser", "none"]
}
BY_RANGE = {"if": [compared("~", "3.0.0"), "minor", compared("^", "3.0.0"), "major", "none"]}
ENDS = {"if": [{"starts_with": [ID, "abc"]}, "prefix", {"ends_with": [ID, "xyz"]}, "postfix", "none"]}


@pytest.mark.parametrize(
    ("rule", "context", "variant"),
    [
        (BY_ORDER, {"version": "2.0.0"}, "equal"),
        (BY_ORDER, {"version": "2.1.0"}, "greater"),
        (BY_ORDER, {"version": "1.9.0"}, "lesser"),
        (BY_ORDER, {"version": "2.0.0-alpha"}, "lesser"),
        (BY_ORDER, {"version": "2.0.0.0"}, "none"),
        (BY_RANGE, {"version": "3.0.1"}, "minor"),
        (BY_RANGE, {"version": "3.1.0"}, "major"),
        (BY_RANGE, {"version": "4.0.0"}, "none"),
        *[
            ({"if": [compared(*target), "match", "no-match"]}, {"version": version}, variant)
            for target, version, variant in [
                (("=", "v1.0.0"), "1.0.0", "match"),
                (("=", "v1.0.0"), "v1.0.0", "match"),
                (("=", "v1.0.0"), "2.0.0", "no-match"),
                (("^", "1"), "1.5.0", "match"),
                (("^", "1"), "1.0.0", "match"),
                (("^", "1"), "2.0.0", "no-match"),
                (("=", "1.0.0+build"), "1.0.0", "match"),
                (("=", "1.0.0+build"), "1.0.0+other", "match"),
                (("=", "1.0.0+build"), "2.0.0", "no-match"),
                ((">", "1.1"), 1.2, "match"),
            ]
        ],
        (ENDS, {"id": "abcdef"}, "prefix"),
        (ENDS, {"id": "uvwxyz"}, "postfix"),
        (ENDS, {"id": "abcxyz"}, "prefix"),
        (ENDS, {"id": "lmnopq"}, "none"),
    ],
)
def test_versions_and_texts_compare_as_in_flagds_testbed(rule: Any, context: dict[str, Any], variant: str) -> None:
    assert worth(rule, context).variant == variant


@pytest.mark.parametrize(
    ("rule", "context"),
    [
        (compared("=", "1.0.0"), {"version": "not-a-version"}),
        (compared("===", "1.0.0"), {"version": "1.0.0"}),
        ({"sem_ver": [VERSION, "="]}, {"version": "1.0.0"}),
        ({"starts_with": [{"var": "num"}, "abc"]}, {"num": 123}),
        ({"ends_with": [{"var": "num"}, "xyz"]}, {"num": 123}),
        ({"starts_with": ["abc"]}, {}),
        ({"matches": [{"var": "num"}, "a"]}, {"num": 123}),
        ({"matches": [ID, "("]}, {"id": "a"}),
        ({"matches": [ID, "a"]}, {"id": "a" * 501}),
        ({"<": [{"var": "num"}, 5]}, {}),
        ({"<": [{"var": "num"}, 5]}, {"num": float("nan")}),
        ({"fractional": [{"var": "missing"}, ["red", 50], ["blue", 50]]}, {}),
        ({"fractional": [{"var": "targetingKey"}, ["red", 0], ["blue", 0]]}, {"targetingKey": "any-user"}),
    ],
)
def test_what_cannot_be_compared_decides_nothing(rule: Any, context: dict[str, Any]) -> None:
    """Null, not false: flagd-testbed's `@operator-errors`."""
    found = worth(rule, context)
    assert (found.variant, found.reason) == ("fallback", Reason.DEFAULT)


@pytest.mark.parametrize(
    ("rule", "context", "variant"),
    [
        # flagd-testbed, `@fractional-nested`
        *[
            (
                {
                    "fractional": [
                        {"var": "targetingKey"},
                        [{"if": [{"==": [{"var": "tier"}, "premium"]}, "premium", "standard"]}, 50],
                        ["standard", 50],
                    ]
                },
                {"targetingKey": key, "tier": tier},
                variant,
            )
            for key, tier, variant in [
                ("jon@company.com", "premium", "premium"),
                ("jon@company.com", "basic", "standard"),
                ("user1", "premium", "standard"),
                ("user1", "basic", "standard"),
            ]
        ],
        *[
            (
                {
                    "fractional": [
                        {"var": "targetingKey"},
                        ["red", {"if": [{"==": [{"var": "tier"}, "premium"]}, 100, 0]}],
                        ["blue", 10],
                    ]
                },
                {"targetingKey": key, "tier": tier},
                variant,
            )
            for key, tier, variant in [
                ("jon@company.com", "premium", "red"),
                ("jon@company.com", "basic", "blue"),
                ("user1", "premium", "red"),
                ("user1", "basic", "blue"),
            ]
        ],
        (
            {"if": [{"fractional": [[False, 100], [True, 0]]}, "yes", "no"]},
            {"targetingKey": "some-targeting-key"},
            "no",
        ),
        ({"fractional": [["single", 1]]}, {"targetingKey": "anybody"}, "single"),
    ],
)
def test_nested_splits_fall_as_in_flagds_testbed(rule: Any, context: dict[str, Any], variant: str) -> None:
    assert worth(rule, context).variant == variant


@pytest.mark.parametrize("colour", ["yellow", ""])
def test_a_share_that_names_no_variant_is_an_error(colour: str) -> None:
    """flagd-testbed: the caller's own default holds."""
    rule = {"fractional": [{"var": "targetingKey"}, [{"var": "color"}, 50], ["blue", 50]]}
    found = worth(rule, {"targetingKey": "jon@company.com", "color": colour})
    assert (found.variant, found.error_code) == (None, ErrorCode.GENERAL)


def test_two_flags_with_one_seed_split_their_subjects_alike() -> None:
    """flagd-testbed's `fractional-flag-B-shared-seed`."""
    shares = [["clubs", 25], ["diamonds", 25], ["hearts", 25], ["spades", 25]]
    rule = {"fractional": [{"cat": ["shared-seed", {"var": "user.name"}]}, *shares]}
    for name, variant in {"seven": "hearts", "eight": "diamonds", "nine": "clubs", "two": "spades"}.items():
        for key in ("fractional-flag-A-shared-seed", "fractional-flag-B-shared-seed"):
            assert worth(rule, {"user": {"name": name}}, key=key).variant == variant


@pytest.mark.parametrize(
    ("rule", "truth"),
    [
        ({"<": [{"var": "age"}, 18]}, False),
        ({"<": [1, {"var": "age"}, 65]}, True),
        ({"<=": [{"var": "age"}, "30"]}, True),
        ({">": [{"var": "name"}, "abc"]}, True),
        ({">=": [{"var": "name"}, 5]}, False),
        ({">=": [{"var": "on"}, 1]}, True),
        ({"===": [{"var": "age"}, "30"]}, False),
        ({"!==": [{"var": "age"}, "30"]}, True),
        ({"!!": [{"var": "name"}]}, True),
        ({"matches": [{"var": "name"}, "^ja(ne|ck)$"]}, True),
        ({"<": [{"var": "huge"}, 1.5]}, False),
    ],
)
def test_order_and_truth(rule: Any, truth: bool) -> None:
    context = {"age": 30, "name": "jane", "on": True, "huge": 10**400}
    assert worth({"if": [rule, "yes", "no"]}, context).variant == ("yes" if truth else "no")


@pytest.mark.parametrize("text", ["", "1.2.3.4", "1.02.3", "1.2.3-", "1.2.3-01", "a", "1.2-rc", None, True, "9" * 300])
def test_what_is_no_version(text: Any) -> None:
    assert parse(text) is None


def test_versions_follow_the_precedence_of_the_specification() -> None:
    """semver.org, section 11."""
    rising = (
        "1.0.0-alpha < 1.0.0-alpha.1 < 1.0.0-alpha.beta < 1.0.0-beta < 1.0.0-beta.2 < 1.0.0-beta.11 < 1.0.0-rc.1 "
        "< 1.0.0 < 1.0.1 < 1.2.0 < 1.10.0 < 2.0.0"
    )
    versions = [parse(text) for text in rising.split(" < ")]
    assert None not in versions
    assert versions == sorted(version for version in versions if version)


def test_a_text_built_without_end_is_refused() -> None:
    rule: Any = {"var": "big"}
    for _ in range(40):
        rule = {"cat": [rule, rule]} if len(str(rule)) < 2_000 else rule
    found = worth({"==": [rule, "x"]}, {"big": "a" * 100_000})
    assert found.error_code == ErrorCode.PARSE_ERROR


values: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]) | st.just({"a": 1})
)


@given(name=st.sampled_from(sorted(OPERATORS)), arguments=st.lists(values, max_size=4))
def test_every_operator_takes_anything(name: str, arguments: list[Any]) -> None:
    found = worth({"if": [{name: arguments}, "yes", "no"]}, {"targetingKey": "somebody"})
    assert found.reason in Reason
