"""Race checks, pure: their states, what may be asked for, what they find."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.engine.outcome import FailureKind, Outcome
from probes.race_checks import (
    ACTIVE,
    NEXT,
    SILENT_AFTER,
    TAKEN_WITHIN,
    TOLD_WITHIN,
    Assignment,
    Bounds,
    Ending,
    Entry,
    Request,
    RequestError,
    State,
    before,
    expired,
    is_entry,
)
from probes.race_report import SAMPLES, SAMPLES_PER_KIND, Report, Tally, difference
from probes.results_stream import Entry as Result
from probes.results_stream import encode
from tests.support.outcomes import NOON, failure, lossy, success

BOUNDS = Bounds(most=1000, at_once=50, per_second=200)


def tallied(*outcomes: Outcome) -> Tally:
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    return tally


def test_every_check_ends_and_what_ended_stays() -> None:
    """Each active state reaches every end; no end has a way out."""
    assert set(NEXT) == set(State)
    ends = {State.FINISHED, State.CANCELLED, State.EXPIRED}
    for state in State:
        assert NEXT[state] >= ends if state in ACTIVE else not NEXT[state]
    assert before(State.RUNNING) == (State.QUEUED,)
    assert before(State.EXPIRED) == (State.QUEUED, State.RUNNING)


@pytest.mark.parametrize(("field", "value"), [("count", 0), ("count", 1001), ("at_once", 0), ("at_once", 51)])
def test_what_lies_outside_the_bounds_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(RequestError, match=f"{field}: {value} does not lie between 1 and") as caught:
        replace(Request(), **{field: value}).checked(BOUNDS)
    assert caught.value.field == field


def test_the_longest_time_is_told_before() -> None:
    """Two hundred probes, twenty at once, each waiting five seconds, two hundred starts a second."""
    assert Request(200, 20).most_seconds(5.0, 200) == 51
    assert Request(1, 20).most_seconds(5.0, 200) == pytest.approx(5.005)


def test_an_assignment_survives_its_journey() -> None:
    told = Assignment(7, Request(10, 2, early_send=False, location="west"), 50.0, {"url": "ws://x/", "script": {}})
    assert Assignment.from_text(told.to_text()) == told


def test_what_a_worker_tells_survives_its_journey_and_is_no_result() -> None:
    report = tallied(success(), failure(FailureKind.ACCEPT_RACE), lossy()).report(1.5)
    for entry in (
        Entry(7, "local@host:1", 3, 1),
        Entry(7, "local@host:1", 3, 1, Ending.DONE, "", report),
        Entry(7, "local@host:1", ending=Ending.REFUSED, why="No."),
    ):
        assert Entry.from_text(entry.to_text()) == entry
        assert is_entry(entry.to_text())
    assert not is_entry(encode(Result(1, "local", NOON, success())))


def test_the_state_follows_from_why_the_worker_ended() -> None:
    assert Entry(1, "w").state is State.RUNNING
    assert [Entry(1, "w", ending=ending).state for ending in Ending] == [
        State.FINISHED, State.CANCELLED, State.EXPIRED, State.EXPIRED, State.EXPIRED,
    ]  # fmt: skip


def test_a_check_that_nobody_took_expires_with_a_sentence() -> None:
    limit = TAKEN_WITHIN + TOLD_WITHIN
    assert expired(State.QUEUED, NOON, None, 0, "west", NOON + limit) == ""
    late = expired(State.QUEUED, NOON, None, 0, "west", NOON + limit + timedelta(seconds=1))
    assert late == "No worker at west took it within 30 s. Check that one runs there and is not overloaded."


def test_a_check_whose_worker_went_silent_expires_with_a_sentence() -> None:
    assert expired(State.RUNNING, NOON, NOON, 41, "local", NOON + SILENT_AFTER) == ""
    late = expired(State.RUNNING, NOON, NOON, 41, "local", NOON + SILENT_AFTER + timedelta(seconds=1))
    assert late.startswith("Its worker went silent after 41 probes")
    for state in set(State) - set(ACTIVE):
        assert expired(state, NOON, NOON, 41, "local", NOON + timedelta(days=1)) == ""


def test_a_report_counts_the_race_and_keeps_our_own_errors_apart() -> None:
    ours = Outcome(kind=FailureKind.PROBE_ERROR, detail="Ours.")
    report = tallied(
        *[success()] * 6, *[failure(FailureKind.ACCEPT_RACE)] * 3, failure(FailureKind.FALSE_READY), ours
    ).report(2.0)  # fmt: skip
    assert (report.probes, report.failed, report.race, report.ours) == (10, 4, 4, 1)
    assert report.kinds == {"accept_race": 3, "false_ready": 1, "probe_error": 1}
    assert (report.expected, report.undelivered) == (50, 20)
    assert report.served == [("dependency_gate", 4, 10)]
    assert report.percentile_us("race_window", 50) == pytest.approx(40_000, rel=0.01)
    assert report.percentile_us("race_window", 95) == float("inf")


def test_a_report_keeps_a_few_transcripts_of_each_kind_with_advice() -> None:
    kinds = [FailureKind.ACCEPT_RACE, FailureKind.NOT_READY, FailureKind.EVENT_LOST, FailureKind.CLOSED_EARLY]
    samples = tallied(*(failure(kind) for kind in kinds for _ in range(5))).report(1.0).samples
    assert len(samples) == SAMPLES
    assert [sample["kind"] for sample in samples[:SAMPLES_PER_KIND]] == ["accept_race"] * SAMPLES_PER_KIND
    assert samples[0]["frames"][0]["text"] == "hello"
    assert "dependency_gate" in samples[0]["next"]


@given(
    st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
)
def test_the_bounds_of_a_difference_hold_it_and_turn_with_it(first: tuple[int, int], second: tuple[int, int]) -> None:
    low, high = difference(*first, *second)
    change = second[0] / second[1] - first[0] / first[1]
    assert -1.001 <= low <= change <= high <= 1.001
    assert difference(*second, *first) == pytest.approx((-high, -low))


def test_a_published_difference() -> None:
    """Newcombe 1998, table II, example (a): 56/70 against 48/80, 0.0524 to 0.3339."""
    assert difference(48, 80, 56, 70) == pytest.approx((0.0524, 0.3339), abs=0.0001)
    assert difference(0, 0, 1, 2) == (-1.0, 1.0)


def test_an_empty_report_is_one() -> None:
    assert Report.from_json(Tally().report(0.0).to_json()).probes == 0
