"""What a recorder remembers never changes what is stored: not after a rollback, nor when somebody else writes."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from pytest_django import Settings

from probes import recent as recent_module
from probes.engine.outcome import FailureKind, Outcome
from probes.histogram import Histogram
from probes.memory import Memory
from probes.models import Rollup, TargetStatus
from probes.pausing import pause
from probes.recent import STORED, Recent, microseconds, packed, unpacked
from probes.recording import record
from probes.results_stream import Entry
from tests.support.outcomes import NOON, entry, failure, lossy, recount, stored_rollups, stored_target, success

SECOND = timedelta(seconds=1)
LATER = NOON + timedelta(hours=2)
commits = pytest.mark.django_db(transaction=True)


def save(memory: Memory, *entries: Entry) -> None:
    record(entries, now=LATER, memory=memory)


@commits
def test_what_is_remembered_is_counted_on_and_equals_a_recount() -> None:
    """Minute after minute, over the hour's end, with duplicates, late slots, and misses that an outcome replaces."""
    memory, targets = Memory(), [stored_target("a"), stored_target("b")]
    missed = Outcome(kind=FailureKind.MISSED)
    for minute in range(58, 63):
        for second in (1, 20, 40):
            slot = NOON + timedelta(minutes=minute, seconds=second)
            save(memory, *(entry(target, slot, missed if second == 20 else success()) for target in targets))
            save(memory, entry(targets[0], slot, lossy()), entry(targets[1], slot - timedelta(minutes=3), failure()))
    assert stored_rollups() == recount()


@commits
def test_a_flush_that_is_remembered_reads_no_rollup_and_no_recent_slots() -> None:
    memory, target = Memory(), stored_target()
    save(memory, entry(target, NOON, success()))
    with CaptureQueriesContext(connection) as queries:
        save(memory, entry(target, NOON + SECOND, success()))
    reads = [each["sql"] for each in queries.captured_queries if each["sql"].startswith("SELECT")]
    assert reads
    assert not any("recent" in sql or "histograms" in sql for sql in reads)


@commits
def test_a_transaction_that_failed_is_not_remembered() -> None:
    memory, target = Memory(), stored_target()
    save(memory, entry(target, NOON, success()))
    with transaction.atomic():
        save(memory, entry(target, NOON + SECOND, failure()))
        transaction.set_rollback(True)
    save(Memory(), entry(target, NOON + SECOND, success()))  # which raises the sequence to that of the failed one
    save(memory, entry(target, NOON + 2 * SECOND, success()))
    assert stored_rollups() == recount()
    assert TargetStatus.objects.get().ribbon == "uuu"


@commits
def test_what_another_recorder_wrote_is_read_again() -> None:
    memory, target = Memory(), stored_target()
    save(memory, entry(target, NOON, success()))
    save(Memory(), entry(target, NOON + SECOND, failure()))
    save(memory, entry(target, NOON + 2 * SECOND, success()))
    assert stored_rollups() == recount()
    assert TargetStatus.objects.get().ribbon == "udu"


@commits
def test_a_pause_is_seen_though_the_target_is_remembered() -> None:
    memory, target = Memory(), stored_target()
    save(memory, entry(target, NOON, success()))
    assert pause(target, "Alice", None, "a deployment")
    save(memory, entry(target, NOON + SECOND, success()))
    assert TargetStatus.objects.get().state == "paused"
    assert TargetStatus.objects.get().why.startswith("Paused by Alice")


@commits
def test_the_memory_is_bounded_and_forgets_those_remembered_longest(settings: Settings) -> None:
    settings.RECORDER_MOST_TARGETS = 3
    memory, targets = Memory(), [stored_target(f"t{n}") for n in range(5)]
    for second in range(3):
        for target in targets:
            save(memory, entry(target, NOON + second * SECOND, success()))
    held = memory.take({target.pk: 3 for target in targets[2:]})
    assert len(held) == 3
    assert stored_rollups() == recount()


@commits
def test_old_minutes_are_forgotten() -> None:
    memory, target = Memory(), stored_target()
    for minute in range(5):
        save(memory, entry(target, NOON + timedelta(minutes=minute), success()))
    known = memory.take({target.pk: 5})[target.pk]
    starts = {start for _, _, width, start in known.tallies if width == Rollup.Width.MINUTE}
    assert starts == {NOON + timedelta(minutes=3), NOON + timedelta(minutes=4)}


def test_rows_that_an_earlier_version_stored_are_still_read() -> None:
    """It kept objects, with their instants as text."""
    row = {**dict.fromkeys(STORED), "slot": microseconds(NOON), "loc": "local", "letter": "d", "ok": False}
    assert unpacked([{**row, "slot": NOON.isoformat()}]) == unpacked([packed(row)]) == [row]


@bounded(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["a", "b"]), st.sampled_from("ugdm"))))
def test_recent_slots_are_the_newest_in_order_however_they_come(found: list[tuple[int, str, str]]) -> None:
    """With five instead of sixty, which few examples would reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent_module, "SLOTS", 5)
        _fill(found)


def _fill(found: list[tuple[int, str, str]]) -> None:
    recent = Recent()
    plain: dict[tuple[int, str], dict[str, Any]] = {}
    for slot, location, letter in found:
        row = {**dict.fromkeys(STORED), "slot": slot, "loc": location, "letter": letter, "ok": letter in "ug"}
        recent.add(row)
        plain[slot, location] = row
        ribbon = recent.ribbon()
        kept = sorted({slot for slot, _ in plain})[-5:]
        plain = {key: row for key, row in plain.items() if key[0] >= kept[0]}
        worst = {slot: [row["letter"] for key, row in plain.items() if key[0] == slot] for slot in kept}
        assert ribbon == "".join(min(letters, key="dgmu".index) for letters in worst.values())
    assert recent.rows == unpacked(json.loads(recent.text())) == [plain[key] for key in sorted(plain)]


@bounded(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 10**8), st.none(), st.just("text"))))
def test_a_histogram_s_text_is_its_json_at_any_time(steps: list[Any]) -> None:
    histogram = Histogram()
    for step in steps:
        if step == "text":
            histogram.to_text()
        elif step is None:
            histogram.add_beyond()
        else:
            histogram.add(step)
    assert json.loads(histogram.to_text()) == histogram.to_json()
    assert Histogram.from_json(json.loads(histogram.to_text())) == histogram
    counted = next((step for step in steps if isinstance(step, int)), None)
    if counted is not None:
        histogram.remove(counted)
        assert json.loads(histogram.to_text()) == histogram.to_json()
