"""Missed slots: written once, in bounded steps, and never charged to the target."""

from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from probes import sweeper
from probes.models import Result, TargetStatus, Watermark
from probes.recording import record
from probes.schedule import offset_of
from probes.sweeper import sweep
from tests.support.outcomes import NOON, entry, recount, stored_rollups, stored_target, success

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _grace(settings: Settings) -> None:
    settings.MISSED_GRACE_SECONDS = 3.0


def started(at: float = 0) -> None:
    """A recorder was here, and swept up to then."""
    Watermark.objects.update_or_create(name="sweep", defaults={"at": NOON + at * SECOND})


def missed() -> int:
    return Result.objects.filter(kind="missed").count()


def test_nothing_is_missed_before_the_first_recorder_ran() -> None:
    stored_target()
    assert not sweep(NOON)
    assert missed() == 0


def test_without_targets_there_is_nothing_to_miss() -> None:
    started(4)
    assert not sweep(NOON + 10 * SECOND)
    assert missed() == 0


def test_a_slot_is_missed_once_its_deadline_and_grace_have_passed() -> None:
    """Deadline one second, grace three: after ten seconds the slots of the first six are due."""
    stored_target()
    started(4)
    sweep(NOON + 10 * SECOND)
    assert missed() == 6
    sweep(NOON + 10 * SECOND)
    assert missed() == 6
    slots = list(Result.objects.order_by("slot").values_list("slot", flat=True))
    assert slots[0] > NOON
    assert slots[-1] <= NOON + 6 * SECOND
    assert stored_rollups() == recount()


def test_slots_with_an_outcome_are_not_missed() -> None:
    target = stored_target()
    started(4)
    sweep(NOON + 6 * SECOND)
    found = list(Result.objects.order_by("slot").values_list("slot", flat=True))
    record([entry(target, found[-1] + n * SECOND, success()) for n in (1, 3)], now=NOON + 10 * SECOND)
    sweep(NOON + 10 * SECOND)
    assert Result.objects.count() == 6
    assert missed() == 4


def test_each_location_is_swept_on_its_own() -> None:
    target = stored_target(locations=("local", "far"))
    started(4)
    slot = slots_of_one_second(target.slug)
    record([entry(target, slot, success(), "far")], now=NOON + 2 * SECOND)
    sweep(NOON + 5 * SECOND)
    assert list(Result.objects.filter(kind="missed").values_list("location_id", flat=True)) == ["local"]


def slots_of_one_second(slug: str) -> datetime:
    return NOON + offset_of(slug, SECOND)


def test_paused_targets_and_slots_before_a_target_was_active_are_not_missed() -> None:
    stored_target("paused", paused_by="Alice")
    stored_target("young", active_since=NOON + 4 * SECOND)
    started(4)
    sweep(NOON + 10 * SECOND)
    assert missed() == 2


def test_misses_make_a_target_stale_never_down() -> None:
    target = stored_target()
    started(4)
    record([entry(target, NOON - 60 * SECOND, success())], now=NOON)
    assert TargetStatus.objects.get().state == "up"
    sweep(NOON + 10 * SECOND)
    status = TargetStatus.objects.get()
    assert status.state == "stale"
    assert status.ribbon == "u" + "m" * 6
    assert status.last_result_at == NOON


def test_an_outage_is_caught_up_in_bounded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes of a slot a second, a hundred slots a step."""
    monkeypatch.setattr(sweeper, "STEP_SLOTS", 100)
    stored_target()
    started()
    now, steps = NOON + timedelta(minutes=10), 1
    while sweep(now):
        assert missed() <= steps * 100
        steps += 1
    assert steps == 6
    assert missed() == 600
    assert stored_rollups() == recount()


def test_what_lies_further_back_than_the_cap_stays_blank(settings: Settings) -> None:
    """Ten hours without a recorder, with a cap of two minutes."""
    settings.MISSED_CATCH_UP_MINUTES = 2
    stored_target()
    started()
    now = NOON + timedelta(hours=10)
    while sweep(now):
        pass
    assert missed() == 120
    assert Watermark.objects.get(name="sweep").at == now


def test_a_clock_that_steps_back_sweeps_nothing_twice() -> None:
    stored_target()
    started(4)
    sweep(NOON + 10 * SECOND)
    assert not sweep(NOON + 5 * SECOND)
    assert missed() == 6
