"""A ramp's steps as a person types them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connections.flags.errors import BadRamp
from connections.flags.ramps import Step
from dashboard.ramp_steps import PRESETS, lines_of, steps_of

shares = st.lists(st.integers(1, 1000), min_size=1, max_size=20, unique=True).map(sorted)


@given(shares, st.lists(st.integers(0, 30 * 86_400), min_size=20, max_size=20), st.booleans())
def test_what_is_written_reads_back_the_same(percentages: list[int], holds: list[int], guarded: bool) -> None:
    steps = tuple(
        Step(share / 10, float(hold), guarded and hold > 0) for share, hold in zip(percentages, holds, strict=False)
    )
    assert steps_of(lines_of(steps)) == steps


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("10", Step(10, 0)),
        ("10%", Step(10, 0)),
        ("0.5 % for 45 s", Step(0.5, 45)),
        ("10 % FOR 1 h 30 min", Step(10, 5400)),
        ("50% for 2h if the guard passes", Step(50, 7200, needs_pass=True)),
        ("50 % if the guard passes", Step(50, 0, needs_pass=True)),
        (" 100 % for 1 d. ", Step(100, 86_400)),
    ],
)
def test_a_line_is_read_as_people_write_it(line: str, step: Step) -> None:
    assert steps_of(f"\n{line}\n") == (step,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1 to 20 steps"),
        ("ten percent", "Line 1 is not a step"),
        ("10 %\n20 % for ever", "Line 2 is not a step"),
        ("10 % for 5", "Line 1: write a time"),
        ("10 % for 5 weeks", "Line 1: write a time"),
        ("50 %\n20 %", "Step 2 must serve more"),
        ("120 %", "Step 1: percentage"),
    ],
)
def test_what_cannot_be_read_names_its_line(text: str, says: str) -> None:
    with pytest.raises(BadRamp, match=says):
        steps_of(text)


@pytest.mark.parametrize("lines", [lines for _, lines in PRESETS])
def test_what_the_page_offers_can_be_read(lines: str) -> None:
    assert lines_of(steps_of(lines)) == lines
