"""What a gate learns of its connections: bounded, and nothing from too little."""

from hypothesis import given
from hypothesis import strategies as st

from connections.gate.strategies import Learned
from connections.gate.timing import ENOUGH, REMEMBERED, Timing, percentile

SECONDS = st.floats(0, 100)


def taught(*setups: float) -> Timing:
    timing = Timing()
    for seconds in setups:
        timing.set_up(seconds)
    return timing


def test_too_few_measurements_say_nothing() -> None:
    assert taught(*[0.1] * (ENOUGH - 1)).learned == Learned(None, None)
    assert taught(*[0.1] * ENOUGH).learned == Learned(0.1, None)


def test_setups_and_round_trips_are_kept_apart() -> None:
    timing = taught(*[0.4] * ENOUGH)
    for _ in range(ENOUGH):
        timing.round_trip(0.05)
    assert timing.learned == Learned(0.4, 0.05)


def test_the_slowest_in_twenty_do_not_count() -> None:
    assert taught(*[0.1] * 19, 9.0).learned.setup_s == 0.1
    assert taught(*[0.1] * 18, 9.0, 9.0).learned.setup_s == 9.0


def test_what_was_long_ago_is_forgotten() -> None:
    """A spike does not slow a gate for ever, and memory is bounded."""
    timing = taught(*[9.0] * 10_000)
    for _ in range(REMEMBERED):
        timing.set_up(0.1)
    assert timing.learned.setup_s == 0.1


@given(st.lists(SECONDS, min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_one_of_the_values_with_its_share_at_or_below(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9
