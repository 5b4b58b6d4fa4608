"""The tick: every slot is dispatched once, whatever the ticks do."""

import threading
from datetime import datetime, timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as bounded
from hypothesis import strategies as st
from pytest_django import Settings

from probes.credentials import seal
from probes.dispatch import BATCH_SLOTS, Batch, dispatch
from probes.expectation import first_expected
from probes.models import Target, Watermark
from probes.pausing import pause
from probes.schedule import offset_of, slots_between
from tests.support.outcomes import NOON, stored_target

pytestmark = pytest.mark.django_db(transaction=True)
SECOND = timedelta(seconds=1)


def tick(now: datetime) -> list[Batch]:
    sent: list[Batch] = []
    dispatch(now, sent.append)
    return sent


def slots(batches: list[Batch]) -> list[tuple[int, str, datetime]]:
    return [(target_id, batch.location, slot) for batch in batches for slot, target_id in batch.slots]


def expected(target: Target, after: datetime, until: datetime) -> list[tuple[int, str, datetime]]:
    found = slots_between(after, until, target.interval, offset_of(target.slug, target.interval))
    return [(target.pk, "local", slot) for slot in found]


def test_the_first_tick_dispatches_its_horizon() -> None:
    target = stored_target()
    assert slots(tick(NOON)) == expected(target, NOON, NOON + 2 * SECOND)


def test_consecutive_ticks_dispatch_every_slot_once() -> None:
    """Beat drifts, doubles and skips a second: the slots do not notice."""
    target = stored_target(interval_ms=250)
    sent = [slot for after in (0, 0.9, 1.0, 2.9, 2.95, 4.4) for slot in slots(tick(NOON + after * SECOND))]
    assert sent == expected(target, NOON, NOON + 6.4 * SECOND)


@bounded(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.floats(0, 2), min_size=1, max_size=12),
    st.lists(st.sampled_from([250, 700, 1000, 5000]), min_size=1, max_size=3),
)
def test_arbitrary_ticks_never_repeat_a_slot_nor_skip_one_they_could_reach(
    gaps: list[float], intervals: list[int]
) -> None:
    Watermark.objects.all().delete()
    Target.objects.all().delete()
    targets = [stored_target(f"t{n}", interval_ms=ms) for n, ms in enumerate(intervals)]
    sent, now = [], NOON
    for gap in gaps:
        sent += slots(tick(now))
        now += gap * SECOND
    assert len(sent) == len(set(sent))
    end = now - gaps[-1] * SECOND + 2 * SECOND
    assert set(sent) == {slot for target in targets for slot in expected(target, NOON, end)}


def test_slots_that_passed_during_an_outage_are_not_dispatched() -> None:
    target = stored_target()
    tick(NOON)
    later = NOON + timedelta(minutes=5)
    assert slots(tick(later)) == expected(target, later, later + 2 * SECOND)


def test_two_ticks_at_the_same_instant_dispatch_each_slot_once() -> None:
    """Four schedulers, truly at once, ten times."""
    target = stored_target(interval_ms=250)
    sent = tick(NOON)
    gate = threading.Barrier(4)

    def run() -> None:
        try:
            for n in range(1, 11):
                gate.wait(10)
                dispatch(NOON + n * SECOND, sent.append)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(slots(sent)) == expected(target, NOON, NOON + 12 * SECOND)


def test_paused_targets_and_those_without_a_location_get_none() -> None:
    stored_target("nowhere", locations=())
    assert pause(stored_target("resting"), "Alice", None, "maintenance")
    assert tick(NOON) == []


def test_a_target_is_dispatched_from_when_it_is_active() -> None:
    target = stored_target(interval_ms=250, active_since=NOON + SECOND)
    assert slots(tick(NOON)) == expected(target, NOON + SECOND, NOON + 2 * SECOND)


def test_a_new_target_expects_no_slot_that_a_tick_passed_before_it_was_known(settings: Settings) -> None:
    """The tick of the very instant before may have dispatched up to its horizon."""
    tick(NOON)
    assert first_expected(NOON) >= NOON + settings.TICK_HORIZON_SECONDS * SECOND


def test_each_location_gets_its_own_batches_with_sealed_credentials() -> None:
    target = stored_target(locations=("local", "far"), credentials=seal({"token": "very-secret"}))
    batches = tick(NOON)
    assert [batch.location for batch in batches] == ["far", "local"]
    message = batches[0].to_message()
    assert message["targets"][str(target.pk)]["slug"] == "chat"
    assert "very-secret" not in str(message)
    assert [target_id for _, target_id in message["slots"]] == [target.pk] * len(message["slots"])


def test_a_large_dispatch_is_cut_into_batches_in_the_order_of_their_slots() -> None:
    for n in range(BATCH_SLOTS):
        stored_target(f"t{n}")
    batches = tick(NOON)
    assert [len(batch.slots) for batch in batches] == [BATCH_SLOTS, BATCH_SLOTS]
    assert batches[0].last <= batches[1].slots[0][0]
    instants = [slot for batch in batches for slot, _ in batch.slots]
    assert instants == sorted(instants)


def test_a_watermark_of_a_wrong_clock_does_not_stop_dispatching() -> None:
    """A machine that woke up in the year 2040 ticked once."""
    target = stored_target()
    tick(NOON + timedelta(days=5000))
    assert slots(tick(NOON)) == expected(target, NOON, NOON + 2 * SECOND)


def test_a_clock_that_steps_back_a_little_repeats_nothing() -> None:
    target = stored_target()
    tick(NOON)
    assert tick(NOON - 5 * SECOND) == []
    assert slots(tick(NOON + SECOND)) == expected(target, NOON + 2 * SECOND, NOON + 3 * SECOND)
