"""Ribbons and sparklines: the same letters always make the same paths."""

import math
import re
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from dashboard import shapes


def test_a_short_history_stands_at_the_right_after_slots_never_probed() -> None:
    assert shapes.ribbon_letters("ud") == "z" * 58 + "ud"


def drawn(paths: dict[str, str]) -> dict[int, str]:
    """Each bar's letter by its left edge, as a browser draws the dashed lines."""
    found: dict[int, str] = {}
    for letter, path in paths.items():
        for left, right in re.findall(r"M(\d+)(?:\.5)? [\d.]+(?:H(\d+)|h3v7h-3z)", path):
            found |= dict.fromkeys(range(int(left), int(right or left) + 1, 5), letter)
    return found


@given(st.text(alphabet="ugdmspz", max_size=80))
def test_every_slot_is_drawn_once_in_the_path_of_its_letter(letters: str) -> None:
    bars = drawn(shapes.ribbon_paths(letters))
    assert "".join(bars[x] for x in sorted(bars)) == shapes.ribbon_letters(letters)
    assert sorted(bars) == list(range(0, 300, 5))


def test_a_failure_is_as_high_as_the_ribbon_and_a_miss_is_hollow() -> None:
    assert shapes.ribbon_paths("d")["d"] == "M295 12H299"
    assert shapes.ribbon_paths("m")["m"] == "M295.5 16.5h3v7h-3z"


def test_a_healthy_hour_is_one_line() -> None:
    assert shapes.ribbon_paths("u" * 60) == {"u": "M0 20H299"}


def test_a_sparkline_rises_with_latency_and_never_runs_along_the_top() -> None:
    heights = [shapes.spark_y(us, 1000) for us in (10, 100, 1000, 5000, math.inf)]
    assert heights == sorted(heights, reverse=True)
    assert heights == [22.0, 14.0, 6.0, 6.0, 2.0]


def spark_letters(values: Sequence[float | None]) -> str:
    return shapes.spark_letters([shapes.spark_letter(value, 1000) for value in values])


def test_a_sparkline_breaks_where_nothing_was_measured() -> None:
    letters = spark_letters([100.0, 100.0, None, 100.0])
    assert letters == "." * 56 + "HH.H"
    assert shapes.spark_path(letters).count("M") == 2
    assert shapes.spark_path(spark_letters([])) == ""


@given(st.lists(st.one_of(st.none(), st.floats(0.1, 1e9), st.just(math.inf)), max_size=70))
def test_a_sparkline_s_letters_are_sixty_heights_within_half_a_pixel(values: list[float | None]) -> None:
    letters = spark_letters(values)
    shown = [None] * (60 - len(values[-60:])) + values[-60:]
    assert len(letters) == 60
    for letter, value in zip(letters, shown, strict=True):
        assert (letter == ".") == (value is None)
        if value is not None:
            assert abs((ord(letter) - ord("0")) / 2 + 2 - shapes.spark_y(value, 1000)) <= 0.25
