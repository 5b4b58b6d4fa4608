"""Recording: each slot once, and rollups that equal a recount of the rows, however outcomes are delivered."""

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from probes.engine.outcome import FailureKind, Frame, Outcome
from probes.models import Flip, Result, Target, TargetStatus, Transcript
from probes.recent import microseconds, unpacked
from probes.recording import record
from probes.results_stream import Entry
from probes.signals import recorded
from tests.support.outcomes import NOON, entry, failure, lossy, recount, stored_rollups, stored_target, success

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
MISSED = Outcome(kind=FailureKind.MISSED)


def save(*entries: Entry) -> dict[Any, str]:
    return record(entries, now=NOON + timedelta(minutes=10))


def test_an_outcome_becomes_a_row_with_its_phases() -> None:
    target = stored_target()
    assert save(entry(target, NOON, success())) == {}
    result = Result.objects.get()
    assert (result.target_id, result.location_id, result.slot, result.ok, result.kind) == (
        target.pk, "local", NOON, True, "",
    )  # fmt: skip
    assert (result.dns_us, result.tcp_us, result.tls_us, result.upgrade_us) == (90, 210, None, 1150)
    assert (result.claimed_us, result.race_window_us, result.user_ready_us) == (28_500, 40_000, 42_200)
    assert (result.strategy, result.flags_revision, result.close_code) == ("dependency_gate", 4, 1000)
    assert result.events["delivered"] == result.events["expected"] == 5


def test_an_outcome_delivered_twice_counts_once() -> None:
    """In one batch, and in two."""
    target = stored_target()
    one = entry(target, NOON, success())
    save(one, one)
    once = stored_rollups()
    save(one)
    assert Result.objects.count() == 1
    assert stored_rollups() == once == recount()


def test_the_first_outcome_of_a_slot_stands() -> None:
    target = stored_target()
    save(entry(target, NOON, success()))
    save(entry(target, NOON, failure()))
    assert Result.objects.get().ok
    assert stored_rollups() == recount()


def test_a_late_outcome_replaces_a_miss_and_corrects_the_rollups() -> None:
    target = stored_target()
    save(entry(target, NOON, MISSED), entry(target, NOON + SECOND, MISSED))
    minute = (target.pk, "local", 60, NOON)
    assert stored_rollups()[minute]["kinds"] == {"missed": 2}
    save(entry(target, NOON, lossy()))
    assert Result.objects.get(slot=NOON).kind == "event_lost"
    assert stored_rollups()[minute]["kinds"] == {"missed": 1, "event_lost": 1}
    assert (stored_rollups()[minute]["probes"], stored_rollups()[minute]["ours"]) == (1, 1)
    assert stored_rollups() == recount()


def test_a_miss_never_replaces_an_outcome_nor_another_miss() -> None:
    target = stored_target()
    save(entry(target, NOON, success()), entry(target, NOON + SECOND, MISSED))
    before = stored_rollups()
    save(entry(target, NOON, MISSED), entry(target, NOON + SECOND, MISSED))
    assert Result.objects.filter(kind="missed").count() == 1
    assert stored_rollups() == before == recount()


KINDS = [success(), success(flagged=True), success(ready_us=900_000), failure(), failure(flagged=True), lossy(), MISSED,
         failure(FailureKind.DNS_FAILED, marks={}), Outcome(kind=FailureKind.PROBE_ERROR),
         Outcome(kind=FailureKind.POLICY_DENIED)]  # fmt: skip


@bounded(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 1), st.integers(0, 80), st.sampled_from(range(len(KINDS)))), max_size=12),
        max_size=5,
    )
)
def test_rollups_equal_a_recount_whatever_is_delivered(batches: list[list[tuple[int, int, int]]]) -> None:
    """Any kinds, in any order, as often as they like, over two minutes and two targets."""
    Target.objects.all().delete()
    targets = [stored_target("a"), stored_target("b", locations=("local", "far"))]
    for batch in batches:
        save(*(entry(targets[n], NOON + second * SECOND, KINDS[kind]) for n, second, kind in batch))
    assert stored_rollups() == recount()
    assert set(Result.objects.values_list("target_id", "slot")) == {
        (targets[n].pk, NOON + second * SECOND) for batch in batches for n, second, _ in batch
    }


def test_what_was_never_ready_counts_as_beyond_the_deadline_and_what_is_ours_does_not() -> None:
    target = stored_target()
    save(
        entry(target, NOON, failure()),
        entry(target, NOON + SECOND, MISSED),
        entry(target, NOON + 2 * SECOND, Outcome(kind=FailureKind.PROBE_ERROR)),
    )
    rollup = stored_rollups()[target.pk, "local", 60, NOON]
    assert (rollup["probes"], rollup["failed"], rollup["ours"]) == (1, 1, 2)
    assert rollup["histograms"]["race_window"].beyond == 1
    assert rollup["histograms"]["user_ready"].count == 1


def test_flagged_figures_stay_out_of_latencies_but_the_probe_counts() -> None:
    target = stored_target()
    save(entry(target, NOON, success(flagged=True)))
    rollup = stored_rollups()[target.pk, "local", 60, NOON]
    assert (rollup["probes"], rollup["flagged"]) == (1, 1)
    assert set(rollup["histograms"]) == {"start_delay"}


def test_transcripts_are_kept_of_every_failure_and_of_the_chosen_share_of_successes(settings: Settings) -> None:
    settings.TRANSCRIPT_SUCCESS_SHARE = 0.1
    target = stored_target()
    save(*(entry(target, NOON + n * SECOND, success()) for n in range(400)))
    kept = Transcript.objects.count()
    assert 15 < kept < 75
    save(*(entry(target, NOON - n * SECOND, failure()) for n in range(1, 21)))
    assert Transcript.objects.count() == kept + 20


def test_a_transcript_is_bounded_and_counts_from_the_slot(settings: Settings) -> None:
    settings.TRANSCRIPT_BYTES = 2000
    frames = tuple(Frame(n, "in", "text", "x" * 100) for n in range(100))
    save(entry(stored_target(), NOON, failure(frames=frames)))
    transcript = Transcript.objects.get()
    assert transcript.marks["intended"] == 0
    assert transcript.marks["started"] == 700
    assert transcript.marks["upgraded"] == 2200
    assert transcript.frames[0]["at_us"] == 700
    assert transcript.frames[-1]["kind"] == "cut"
    assert len(str(transcript.frames)) < 2500


def test_the_status_shows_the_last_sixty_slots_in_their_order() -> None:
    """However they arrive."""
    target = stored_target()
    slots = [NOON + n * SECOND for n in range(70)]
    outcomes = [(slot, failure() if n == 65 else MISSED if n == 66 else success()) for n, slot in enumerate(slots)]
    random.Random(7).shuffle(outcomes)
    for slot, outcome in outcomes:
        save(entry(target, slot, outcome))
    status = TargetStatus.objects.get()
    rows = unpacked(status.recent)
    assert [row["slot"] for row in rows] == [microseconds(slot) for slot in slots[10:]]
    assert status.ribbon == "u" * 55 + "dmuuu"
    assert status.last_slot == slots[-1]
    assert status.sequence == 70
    assert set(rows[0]) == {
        "slot", "loc", "ok", "kind", "race_us", "delivered", "expected", "strategy", "revision", "letter",
    }  # fmt: skip


def test_a_slot_shows_the_worst_of_its_locations() -> None:
    target = stored_target(locations=("local", "far"))
    save(entry(target, NOON, success(), "local"), entry(target, NOON, failure(), "far"))
    assert TargetStatus.objects.get().ribbon == "d"


def test_each_change_of_state_is_a_flip() -> None:
    """Up, down after three failures, up after three successes: from, to, when, why."""
    target = stored_target()
    for n, outcome in enumerate([success(), failure(), failure(), failure(), success(), success(), success()]):
        save(entry(target, NOON + n * SECOND, outcome))
    flips = [(flip.before, flip.after) for flip in Flip.objects.order_by("pk")]
    assert flips == [("unknown", "up"), ("up", "degraded"), ("degraded", "down"), ("down", "up")]
    assert Flip.objects.get(after="down").why == "3 of the last 4 probes failed, mostly not_ready."
    assert TargetStatus.objects.get().state == "up"


def test_a_paused_target_stays_paused_when_an_outcome_comes_late() -> None:
    target = stored_target(paused_by="Alice")
    save(entry(target, NOON, success()))
    assert TargetStatus.objects.get().state == "paused"


def test_what_nobody_can_store_is_named_and_the_rest_is_stored() -> None:
    """A deleted target, an unknown location, a slot of last month and one of next week."""
    target = stored_target()
    reasons = save(
        entry(target, NOON, success()),
        Entry(987_654, "local", NOON, success()),
        entry(target, NOON, success(), "nowhere"),
        entry(target, NOON - timedelta(days=30), success()),
        entry(target, NOON + timedelta(days=7), success()),
    )
    assert sorted(reason.split(" ")[-1] for reason in reasons.values()) == ["RAW_DAYS", "exist", "exist", "future"]
    assert Result.objects.count() == 1


def test_recorded_is_announced_on_commit_and_only_when_something_was_stored(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    target = stored_target()
    heard: list[frozenset[int]] = []

    def listen(target_ids: frozenset[int], **_: Any) -> None:
        heard.append(target_ids)

    recorded.connect(listen)
    try:
        for _ in range(2):
            with django_capture_on_commit_callbacks(execute=True):
                save(entry(target, NOON, success()))
                assert heard in ([], [frozenset([target.pk])])
    finally:
        recorded.disconnect(listen)
    assert heard == [frozenset([target.pk])]


def test_long_texts_of_a_peer_are_cut_to_their_columns() -> None:
    save(entry(stored_target(), NOON, success(strategy="s" * 500, address="a" * 500, phase="p" * 500)))
    assert len(Result.objects.get().strategy) == 40


def test_a_flush_of_many_targets_uses_few_statements(
    django_assert_max_num_queries: Any,
) -> None:
    """No row is saved on its own: 200 outcomes of 100 targets."""
    targets = [stored_target(f"t{n}") for n in range(100)]
    entries = [entry(target, NOON + n * SECOND, success()) for target in targets for n in range(2)]
    with django_assert_max_num_queries(27):
        save(*entries)
    assert stored_rollups() == recount()
    assert connection.vendor in ("sqlite", "postgresql")
