"""The rule of restarting: quick at first, then slower, forgiven after steady work."""

from hypothesis import given
from hypothesis import strategies as st

from dashboard import supervision
from dashboard.supervision import FIRST_DELAY_S, LONGEST_DELAY_S, STEADY_AFTER_S, Life, State

NEW = Life("web", State.STARTING, since=0.0)


def test_each_death_in_a_row_waits_twice_as_long_up_to_the_bound() -> None:
    life, delays = NEW, []
    for _ in range(8):
        life = supervision.answered(supervision.started(life, 0), 0)
        life, delay = supervision.died(life, 1, "exit status 1")
        delays.append(delay)
    assert delays[:4] == [FIRST_DELAY_S, 1, 2, 4]
    assert delays[-1] == LONGEST_DELAY_S


def test_a_child_that_ran_steadily_starts_again_at_once() -> None:
    life, _ = supervision.died(supervision.answered(NEW, 0), 1, "x")
    life, _ = supervision.died(supervision.answered(supervision.started(life, 2), 2), 3, "x")
    life, delay = supervision.died(supervision.answered(supervision.started(life, 5), 5), 5 + STEADY_AFTER_S, "x")
    assert delay == FIRST_DELAY_S
    assert life.restarts == 3


def test_an_answer_does_not_move_the_time_since_which_it_runs() -> None:
    life = supervision.answered(supervision.answered(NEW, 3), 9)
    assert (life.state, life.since) == (State.RUNNING, 3)


@given(st.lists(st.floats(0, 100), max_size=30))
def test_the_wait_is_always_bounded(runs: list[float]) -> None:
    life, now = NEW, 0.0
    for run in runs:
        life = supervision.answered(supervision.started(life, now), now)
        now += run
        life, delay = supervision.died(life, now, "x")
        assert FIRST_DELAY_S <= delay <= LONGEST_DELAY_S
        now += delay
    assert life.restarts == len(runs)
