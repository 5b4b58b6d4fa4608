"""The bounded pattern engine against Python's own, and against patterns that hang backtracking engines."""

import re
import time

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from connections.flags.text_patterns import MAX_PATTERN, MAX_TEXT, PatternError, compiled

ATOMS = st.sampled_from(
    [
        "a",
        "b",
        "B",
        "-",
        r"\.",
        ".",
        r"\d",
        r"\D",
        r"\w",
        r"\W",
        r"\s",
        "[ab]",
        "[^ab]",
        "[a-c1]",
        r"[\d-]",
        "[]a]",
        "[^-b]",
    ]
)
patterns = st.recursive(
    ATOMS | st.sampled_from(["^", "$", ""]).map(lambda edge: f"(?:{edge})"),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{0,2}", "*?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)
texts = st.text(alphabet="abcABC1.- ", max_size=12)


@given(pattern=patterns, text=texts, insensitive=st.booleans())
def test_the_answer_is_that_of_pythons_engine(pattern: str, text: str, insensitive: bool) -> None:
    pattern = f"(?i){pattern}" if insensitive else pattern
    try:
        found = compiled(pattern).found_in(text)
    except PatternError:
        reject()  # it has too many states
    assert found == bool(re.search(pattern, text, re.ASCII))


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^chat-\d+\.eu$", "chat-12.eu", True),
        (r"^chat-\d+\.eu$", "chat-12.eus", False),
        (r"@example\.(com|org)$", "jane@example.org", True),
        (r"(?i)^ÉCOLE", "école", True),
        (r"^a{3,5}$", "a" * 6, False),
        ("", "anything", True),
        ("^$", "", True),
        (r"\{x\}", "{x}", True),
    ],
)
def test_patterns_read_as_people_write_them(pattern: str, text: str, found: bool) -> None:
    assert compiled(pattern).found_in(text) is found


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (r"(a)\1", r"\\1 cannot be used"),
        ("(?=a)", r"\(\? begins"),
        ("(?P<x>a)", r"\(\? begins"),
        ("(a", r"without its \)"),
        ("a)", r"without its \("),
        ("[a", "ends in the middle"),
        ("a\\", "ends in the middle"),
        ("[b-a]", "goes from"),
        ("*a", "nothing stands before"),
        ("a**", "needs a group"),
        ("^*", "cannot be repeated"),
        ("a{2,1}", "at least the first"),
        ("a{1000}", "a count is at most"),
        ("a{x}", "write a count"),
        ("((((((a{9}){9}){9}){9}){9}){9})", "states"),
        ("(" * 50 + ")" * 50, "nested deeper"),
        ("a" * (MAX_PATTERN + 1), "at most 200 characters"),
        (r"\bword", r"\\b cannot be used"),
    ],
)
def test_a_pattern_that_cannot_be_used_says_why(pattern: str, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        compiled(pattern)


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*a){20}$", "((a?){20}a{20})$", "(((){100}){100}){100}"]
)
def test_what_hangs_a_backtracking_engine_costs_milliseconds(pattern: str) -> None:
    found = compiled(pattern)
    began = time.process_time()
    found.found_in("a" * (MAX_TEXT - 1) + "!")
    assert time.process_time() - began < 0.5
