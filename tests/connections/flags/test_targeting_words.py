"""Rules as the page tells them: one line each, in the order in which they are tried."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.flags.layers import Layer, LayerKind, laid_over
from connections.flags.targeting import OPERATORS
from connections.flags.targeting_words import MOST, rules_in_words

TEAM, VERSION, EMAIL = {"var": "team"}, {"var": "version"}, {"var": "email"}


def flag(targeting: Any = None, default: Any = "off", state: str = "ENABLED") -> dict[str, Any]:
    body = {"state": state, "variants": {"on": True, "off": False}, "defaultVariant": default}
    return body if targeting is None else {**body, "targeting": targeting}


@pytest.mark.parametrize(
    ("definition", "lines"),
    [
        (flag(), ["Everybody gets off."]),
        (flag(default=None), ["Everybody gets the caller's own default."]),
        (flag(state="DISABLED"), ["Nobody gets a variant: the flag is disabled, and each caller's own default holds."]),
        (
            flag({"if": [{"==": [TEAM, "red"]}, "on"]}),
            ['If team is "red": on.', "Everybody else gets the default, off."],
        ),
        (
            flag(
                {
                    "if": [
                        {"and": [{"in": [TEAM, ["red", "blue"]]}, {"sem_ver": [VERSION, ">=", "2.0.0"]}]},
                        "on",
                        {"or": [{"ends_with": [EMAIL, "@a.org"]}, {"in": ["x", EMAIL]}]},
                        {"fractional": [["on", 10], ["off", 90]]},
                        {"if": [{"!": [TEAM]}, "off", "on"]},
                    ]
                }
            ),
            [
                'If team is one of "red", "blue" and version is at least 2.0.0: on.',
                (
                    'Otherwise, if email ends with "@a.org" or email contains "x": '
                    "10 % on, 90 % off, split by the targeting key."
                ),
                "Otherwise, if team is not set: off.",
                "Everybody else gets on.",
            ],
        ),
        (
            flag({"fractional": [{"var": "user.id"}, ["on", 1], ["off", 2]]}),
            ["Everybody is split by user.id: 33.33 % on, 66.67 % off.", "Whoever has none gets off."],
        ),
        (
            flag({"if": [{"<": [1, {"var": "age"}, 65]}, "on", {"matches": [EMAIL, "^a"]}, None]}),
            [
                "If 1 is below age, and age is below 65: on.",
                'Otherwise, if email matches "^a": the default, off.',
                "Everybody else gets the default, off.",
            ],
        ),
        (flag({"var": "colour"}), ["Everybody gets the variant named by: colour; where it names none, off."]),
        (
            flag({"if": [{"or": [{"and": [TEAM, EMAIL]}, {"!=": [None, VERSION]}]}, "on"]}),
            [
                "If (team is set and email is set) or version is there: on.",
                "Everybody else gets the default, off.",
            ],
        ),
    ],
)
def test_rules_are_told_in_the_order_in_which_they_are_tried(definition: Any, lines: list[str]) -> None:
    assert rules_in_words(definition) == lines


def test_a_ramp_is_told_after_the_flags_own_rules() -> None:
    own = flag({"if": [{"==": [TEAM, "red"]}, "on"]})
    ramp = Layer("f", LayerKind.RAMP, "on", "off", share=105)
    assert rules_in_words(laid_over({"f": own}, [ramp])["f"]) == [
        'If team is "red": on.',
        "Everybody else is split by the targeting key: 10.5 % on, 89.5 % off.",
        "Whoever has none gets off.",
    ]


def test_a_line_ends_somewhere() -> None:
    lines = rules_in_words(flag({"if": [{"in": [TEAM, ["a" * 50] * 1_000]}, "on"]}))
    assert len(lines[0]) == MOST


anything: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*OPERATORS, "x"]), inner, max_size=2),
    max_leaves=12,
)


@given(targeting=anything, default=anything, state=anything)
def test_whatever_stands_there_is_told(targeting: Any, default: Any, state: Any) -> None:
    lines = rules_in_words({"state": state, "variants": {}, "defaultVariant": default, "targeting": targeting})
    assert lines
    assert all(line.endswith((".", "…")) for line in lines)
