"""Whether a location's probes are ill, since when and why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from probes.fleet.condition import Condition, Machinery, Minute, Place, State, Worker, judge

NOW = datetime(2026, 11, 20, 3, 6, 30, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
WELL = Machinery(True, NOW + 2 * SECOND, NOW - SECOND)
WORKER = Worker("virginia@one:1", "virginia", NOW - SECOND)
PLACE = Place(
    "virginia", "Virginia", 5 * SECOND, NOW - timedelta(days=1), NOW - SECOND, NOW - 20 * SECOND, workers=(WORKER,)
)


def minutes(*ill: int, slots: int = 60) -> tuple[Minute, ...]:
    """The last minutes, the newest last and still running, with so many ill slots each."""
    newest = NOW.replace(second=0)
    return tuple(
        Minute(newest - age * MINUTE, slots, count) for age, count in zip(range(len(ill) - 1, -1, -1), ill, strict=True)
    )


def judged(place: Place, machinery: Machinery = WELL) -> Condition:
    (found,) = judge([place], machinery, NOW)
    return found


def test_a_location_that_answers_in_time_is_on_time() -> None:
    assert judged(replace(PLACE, minutes=minutes(0, 0, 0))).state is State.ON_TIME


def test_a_location_without_targets_has_nothing_to_probe() -> None:
    assert judged(replace(PLACE, interval=None, answered=None, workers=())).state is State.IDLE


@pytest.mark.parametrize(
    ("place", "machinery", "cause"),
    [
        (PLACE, replace(WELL, redis=False), "Redis does not answer"),
        (PLACE, replace(WELL, recorded_until=NOW - MINUTE), "results wait for the recorder since {at}"),
        (
            PLACE,
            replace(WELL, recorded_until=NOW - MINUTE, deaths={"recorder": "signal SIGKILL"}),
            "results wait for the recorder since {at} (recorder: signal SIGKILL)",
        ),
        (PLACE, replace(WELL, recorded_until=None), "results wait for the recorder"),
        (PLACE, replace(WELL, dispatched_until=NOW - MINUTE), "no slot is handed out since {at}"),
        (
            PLACE,
            replace(WELL, dispatched_until=NOW - MINUTE, deaths={"beat": "", "worker": "it broke"}),
            "no slot is handed out since {at} (beat)",
        ),
        (replace(PLACE, workers=()), WELL, "no worker runs there"),
        (replace(PLACE, workers=(replace(WORKER, heard=NOW - MINUTE),)), WELL, "its worker was last heard at {at}"),
        (
            replace(PLACE, workers=(replace(WORKER, heard=NOW - MINUTE),) * 2),
            replace(WELL, deaths={"worker-2": "signal SIGKILL"}),
            "its 2 workers were last heard at {at} (signal SIGKILL)",
        ),
        (replace(PLACE, queued=12), WELL, "12 batches of slots wait in its queue, and its worker takes none"),
        (
            replace(PLACE, workers=(replace(WORKER, waiting=40),)),
            WELL,
            "its worker has outcomes that do not reach Redis",
        ),
        (PLACE, WELL, "its worker runs, but no outcome comes"),
    ],
)
def test_a_location_without_outcomes_is_silent_since_its_last_one_and_says_why(
    place: Place, machinery: Machinery, cause: str
) -> None:
    last = NOW - timedelta(minutes=4)
    found = judged(replace(place, answered=last), machinery)
    assert (found.state, found.since, found.cause) == (State.SILENT, last, cause)
    assert ("{at}" in cause) == (found.cause_at is not None)


@pytest.mark.parametrize(
    ("interval", "ago", "living", "silent"),
    [
        (5, 19, True, False),
        (5, 21, True, True),
        (5, 14, False, False),
        (5, 16, False, True),  # without a worker nothing can come
        (60, 100, True, False),  # no slot was due
        (60, 131, True, True),
        (0.25, 9, True, False),
    ],
)
def test_a_location_is_silent_when_its_next_outcome_is_overdue(
    interval: float, ago: int, living: bool, silent: bool
) -> None:
    workers = (WORKER,) if living else ()
    place = replace(PLACE, interval=interval * SECOND, answered=NOW - ago * SECOND, workers=workers)
    assert (judged(place).state is State.SILENT) is silent


def test_a_location_that_was_just_begun_is_given_time() -> None:
    """Processes start one after the other; what is never heard is told after all."""
    fresh = replace(PLACE, answered=None, expected_since=NOW - 25 * SECOND, workers=())
    assert judged(fresh).state is State.ON_TIME
    stuck = judged(replace(fresh, expected_since=NOW - 40 * SECOND))
    assert (stuck.state, stuck.since) == (State.SILENT, NOW - 40 * SECOND)


def test_a_location_whose_targets_were_paused_is_not_silent_when_they_go_on() -> None:
    resumed = replace(PLACE, answered=NOW - timedelta(hours=2), expected_since=NOW - 3 * SECOND)
    assert judged(resumed).state is State.ON_TIME


@pytest.mark.parametrize(
    ("ill", "state"),
    [
        ((0, 0, 0), State.ON_TIME),
        ((0, 0, 2), State.ON_TIME),  # too few to tell
        ((0, 1, 4), State.ON_TIME),  # 4 % of two minutes
        ((0, 2, 4), State.LATE),
        ((0, 60, 0), State.LATE),
        ((0, 60, 0, 0), State.ON_TIME),  # over
        ((60,), State.ON_TIME),  # probing began in it
    ],
)
def test_a_location_is_late_when_some_of_its_last_two_minutes_were(ill: tuple[int, ...], state: State) -> None:
    assert judged(replace(PLACE, minutes=minutes(*ill))).state is state


def test_a_location_is_late_no_longer_when_its_slots_have_been_on_time_for_a_while() -> None:
    late = replace(PLACE, minutes=minutes(0, 60, 20))
    assert judged(late).state is State.LATE
    assert judged(replace(late, ill_at=NOW - 41 * SECOND)).state is State.ON_TIME


def test_the_first_minute_after_a_pause_counts_for_nobody() -> None:
    """As when probing begins: workers may not be there yet."""
    newest = NOW.replace(second=0)
    paused = (Minute(newest - 30 * MINUTE, 60, 0), Minute(newest, 60, 20))
    assert judged(replace(PLACE, minutes=paused)).state is State.ON_TIME


def test_lateness_began_with_the_first_of_the_late_minutes_in_a_row() -> None:
    found = judged(replace(PLACE, minutes=minutes(9, 0, 0, 6, 6, 6, 6)))
    assert found.since == NOW.replace(second=0) - 3 * MINUTE
    assert judged(replace(PLACE, minutes=minutes(0, 0, 0, 20))).since == NOW.replace(second=0)


@pytest.mark.parametrize(
    ("place", "cause"),
    [
        (
            replace(PLACE, workers=(replace(WORKER, exceeded=1200, over_capacity=1200),)),
            "virginia@one:1 left 1,200 slots out; start another worker",
        ),
        (replace(PLACE, queued=9), "9 batches of slots wait in its queue; start another worker"),
        (replace(PLACE, workers=(replace(WORKER, clock_offset_us=-3_200_000),)), "a worker's clock is 3.2 s off"),
        (
            replace(PLACE, workers=(replace(WORKER, lag_us=420_000),)),
            "its worker lags by 420 ms: the machine is too busy",
        ),
        (PLACE, "30 of 120 slots of the last two minutes began late or were missed"),
    ],
)
def test_a_late_location_says_why(place: Place, cause: str) -> None:
    assert judged(replace(place, minutes=minutes(0, 0, 0, 20, 10))).cause == cause


def test_the_worst_come_first() -> None:
    silent = replace(PLACE, key="c", name="C", answered=NOW - MINUTE)
    late = replace(PLACE, key="b", name="B", minutes=minutes(0, 20, 20))
    well, idle = replace(PLACE, key="z", name="Z"), replace(PLACE, key="a", name="A", interval=None)
    assert [one.place.name for one in judge([idle, well, late, silent], WELL, NOW)] == ["C", "B", "Z", "A"]
