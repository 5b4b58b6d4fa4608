"""Guards in the recorder's transaction: who belongs to a cohort, and what a guard does, does not do, and never does."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from connections.flags import control, guard_verdicts, guards, reading
from connections.flags.errors import FlagError, NothingToChange, ReasonMissing, UnknownFlag
from connections.flags.evaluation import evaluate
from connections.flags.guard import GuardTest
from connections.models import AuditRecord, Environment, Guard, GuardTrip, Overlay, Ramp
from connections.signals import guard_tripped
from probes import guarding
from probes.engine.outcome import FailureKind, Outcome
from probes.models import Result, Target
from probes.recording import record
from tests.support.outcomes import entry, failure, stored_target, success

pytestmark = pytest.mark.django_db
FLAG, CANARY, CONTROL = guards.STAMPED, "immediate", "dependency_gate"
WHO: dict[str, Any] = {"author": "alice", "reason": "trying it out first"}
HALF = [{"percentage": 50, "hold_seconds": 0, "needs_pass": True}, {"percentage": 100}]
STARTED = timezone.now().replace(microsecond=0)


class World:
    """Staging with a guarded ramp and one target; time begins now and goes where the test says."""

    def __init__(self, mode: str = "act") -> None:
        Environment.objects.filter(key="staging").update(guard_mode="act", four_eyes=False)
        self.target: Target = stored_target()
        guards.set_mode("staging", FLAG, mode, **WHO)
        control.start_ramp("staging", FLAG, CANARY, HALF, **WHO)
        self.clock = timezone.now().replace(microsecond=0) + timedelta(seconds=1)

    @property
    def guard(self) -> Guard:
        return Guard.objects.get()

    @property
    def revision(self) -> int:
        return Environment.objects.get(key="staging").revision

    def probes(self, seconds: int, canary: Outcome, beside: Outcome, **stamp: Any) -> None:
        """Both cohorts, one probe each a second, recorded some seconds at a time as a recorder would."""
        stamps = {"flags_revision": self.revision} | stamp
        pair = ((canary, CANARY, 0), (beside, CONTROL, 500))
        entries = []
        for left in reversed(range(seconds)):
            for one, name, late in pair:
                slot = self.clock + timedelta(milliseconds=late)
                entries.append(entry(self.target, slot, replace(one, strategy=name, **stamps)))
            self.clock += timedelta(seconds=1)
            if left % 10 == 0:
                record(entries, now=self.clock + timedelta(seconds=2))
                entries = []

    def break_canary(self, seconds: int = 40) -> None:
        self.probes(seconds, failure(FailureKind.FALSE_READY), success())


def served() -> str | None:
    return evaluate(reading.flag_set("staging").served, FLAG, {"targetingKey": "somebody"}).variant


@pytest.fixture
def world() -> World:
    return World()


def test_a_breaking_canary_trips_the_breaker(
    world: World, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    """The control is served, the ramp waits below, and the evidence is stored with counts, bounds and probes."""
    heard: list[Any] = []
    listen: Callable[..., None] = lambda **told: heard.append(told)  # noqa: E731
    guard_tripped.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            world.break_canary()
    finally:
        guard_tripped.disconnect(listen)
    overlay = Overlay.objects.get()
    assert (overlay.kind, overlay.variant, overlay.author) == ("breaker", CONTROL, "guard")
    assert served() == CONTROL
    assert Ramp.objects.get().state == Ramp.State.PAUSED
    trip = GuardTrip.objects.get()
    assert (trip.did, trip.why, trip.figure, trip.revision) == ("acted", "", "failed", world.revision)
    told = trip.evidence["figures"]["failed"]
    assert told["canary"]["bad"] == told["canary"]["probes"] >= 15
    assert (told["control"]["bad"], told["canary"]["high"]) == (0, 1.0)
    assert trip.evidence == overlay.evidence
    assert trip.evidence["probes"][0]["target"] == "chat"
    assert {one["kind"] for one in trip.evidence["probes"]} == {"false_ready"}
    assert [(one["environment"], one["flag"], one["trip"]) for one in heard] == [("staging", FLAG, trip.pk)]
    assert AuditRecord.objects.filter(actor="guard", action="flags.trip").count() == 1


def test_after_a_trip_it_is_locked_until_a_person_re_arms_it(world: World) -> None:
    world.break_canary()
    assert guard_verdicts.verdict("staging", FLAG) == "trip"
    before = world.guard.test
    world.break_canary()
    assert GuardTrip.objects.count() == 1
    assert world.guard.test == before
    with pytest.raises(ReasonMissing):
        guards.rearm("staging", FLAG, author="bo", reason="again")
    late = world.guard.cooling_until
    assert late is not None
    guard = guards.rearm("staging", FLAG, author="bo", reason="the new build is out", now=late)
    assert (guard.state, guard.test) == (Guard.State.WATCHING, {})
    assert GuardTrip.objects.get().rearmed_by == "bo"
    assert AuditRecord.objects.get(action="guard.rearmed").reason == "the new build is out"
    assert Overlay.objects.filter(ended_at__isnull=True).exists(), "re-arming lifts nothing"
    with pytest.raises(NothingToChange):
        guards.rearm("staging", FLAG, author="bo", reason="the new build is out")


def test_re_armed_early_it_cools_down_first(world: World) -> None:
    world.break_canary()
    guard = guards.rearm("staging", FLAG, author="bo", reason="the new build is out", now=world.clock)
    assert guard.state == Guard.State.COOLING
    control.lift("staging", FLAG, "breaker", **WHO)
    world.break_canary()
    assert (world.guard.test, GuardTrip.objects.count()) == ({}, 1)
    world.clock = guard.cooling_until  # type: ignore[assignment]  # it tripped
    world.break_canary()
    assert GuardTrip.objects.count() == 2


@pytest.mark.parametrize(("mode", "policy", "did"), [("observe", "act", "observed"), ("act", "propose", "proposed")])
def test_it_goes_no_further_than_its_mode_and_the_policy(mode: str, policy: str, did: str) -> None:
    world = World(mode)
    Environment.objects.filter(key="staging").update(guard_mode=policy)
    before = world.revision
    world.break_canary()
    trip = GuardTrip.objects.get()
    assert (trip.did, trip.revision, world.revision, Overlay.objects.count()) == (did, None, before, 0)
    assert ("policy" in trip.why) == (mode != policy and mode == "act")
    assert AuditRecord.objects.filter(actor="guard", action=f"guard.{did}").count() == 1


def test_a_person_carries_a_proposal_out() -> None:
    world = World("propose")
    world.break_canary()
    revision = guards.carry_out("staging", FLAG, author="bo", reason="the guard is right")
    assert (revision.author, served()) == ("bo", CONTROL)
    assert GuardTrip.objects.get().carried_out_by == "bo"
    with pytest.raises(NothingToChange):
        guards.carry_out("staging", FLAG, author="bo", reason="the guard is right")


def test_it_never_goes_back_to_what_fails_as_well(world: World) -> None:
    """The control begins to fail just before there is enough against the canary: it proposes."""
    world.break_canary(25)
    assert not GuardTrip.objects.exists()
    test = GuardTest.read(world.guard.test)
    test._controls = [[1, 1], [1, 1]]
    Guard.objects.update(test=test.as_json())
    world.break_canary(15)
    trip = GuardTrip.objects.get()
    assert (trip.did, Overlay.objects.count()) == ("proposed", 0)
    assert "fails now as well" in trip.why


def test_beyond_its_flap_budget_it_proposes(world: World) -> None:
    Guard.objects.update(flap_budget=1, cool_down_seconds=0)
    world.break_canary()
    guards.rearm("staging", FLAG, author="bo", reason="the new build is out", now=world.clock)
    control.lift("staging", FLAG, "breaker", **WHO)
    world.break_canary()
    newest = GuardTrip.objects.first()
    assert newest is not None
    assert newest.did == "proposed"
    assert "acted 1 times in 24 hours" in newest.why


def test_what_a_person_decided_later_stands(world: World) -> None:
    """Evidence older than a person's decision about the flag is none: kill and lift, and all is counted anew."""
    world.break_canary(25)
    old = world.revision
    control.kill("staging", FLAG, **WHO)
    control.lift("staging", FLAG, **WHO)
    world.probes(60, failure(), success(), flags_revision=old)
    assert not GuardTrip.objects.exists()
    world.break_canary(20)
    assert not GuardTrip.objects.exists()
    world.break_canary(20)
    assert GuardTrip.objects.count() == 1


def test_a_ramp_resumed_by_a_person_is_counted_anew(world: World) -> None:
    world.break_canary(25)
    control.pause_ramp("staging", FLAG, **WHO)
    world.break_canary(1)
    control.resume_ramp("staging", FLAG, **WHO)
    world.break_canary(25)
    assert not GuardTrip.objects.exists()


def test_a_decision_at_the_very_moment_of_the_trip_wins(world: World) -> None:
    """The ramp was aborted between the count and the act."""
    world.break_canary(25)
    guard, ramp = world.guard, Ramp.objects.get()
    test = GuardTest.read(guard.test)
    control.abort_ramp("staging", FLAG, **WHO)
    assert guards.trip(guard, ramp, test, {"figure": "failed"}, world.clock) is None
    assert (guard.test, Overlay.objects.count(), GuardTrip.objects.count()) == ({}, 0, 0)


@pytest.mark.parametrize("kind", [FailureKind.PROBE_ERROR, FailureKind.MISSED, FailureKind.POLICY_DENIED])
def test_our_own_failures_are_never_evidence(world: World, kind: FailureKind) -> None:
    world.probes(60, Outcome(kind=kind), success())
    assert not GuardTrip.objects.exists()
    assert GuardTest.read(world.guard.test).clusters == 0


def test_a_probe_that_never_heard_what_served_it_belongs_to_nobody(world: World) -> None:
    world.probes(20, failure(), success(), flags_revision=None)
    assert GuardTest.read(world.guard.test).clusters == 0
    world.probes(20, failure(), success(), flags_revision=1)
    assert GuardTest.read(world.guard.test).clusters == 0


def test_an_outcome_delivered_twice_is_counted_once(world: World) -> None:
    slot = world.clock
    one = entry(world.target, slot, replace(failure(), strategy=CANARY, flags_revision=world.revision))
    for _ in range(3):
        record([one, one], now=slot + timedelta(seconds=60))
    cell = Guard.objects.get().test["places"]["local"]["filling"]["failed"]
    assert cell == [1, 1, 0, 0]


def test_the_verdict_is_of_this_step_and_of_fresh_probes(world: World) -> None:
    assert guard_verdicts.verdict("staging", FLAG) == "hold"
    Guard.objects.update(ramp=Ramp.objects.get())
    test = GuardTest(0.99)
    for stakes in test.figures.values():
        stakes.passing, stakes.total.canary, stakes.total.control = 9.0, 50, 50
    test.last_second = int(world.clock.timestamp())
    Guard.objects.update(test=test.as_json())
    soon, late = world.clock + timedelta(seconds=10), world.clock + timedelta(seconds=600)
    assert guard_verdicts.verdict("staging", FLAG, now=soon) == "pass"
    assert guard_verdicts.verdict("staging", FLAG, now=late) == "hold", "no data"
    Ramp.objects.update(step=1)
    assert guard_verdicts.verdict("staging", FLAG, now=soon) == "hold", "another step"
    assert guard_verdicts.verdict("production", FLAG) == "none"


def test_a_healthy_canary_passes_and_the_ramp_goes_on(world: World) -> None:
    """A new step must pass by itself."""
    good = success(ready_us=40_000)
    step = {"hold_seconds": 1, "needs_pass": True}
    Ramp.objects.update(steps=[{"percentage": 50, **step}, {"percentage": 80, **step}, {"percentage": 100, **step}])
    world.probes(2, good, good)
    assert control.advance(world.clock) == [], "its time is over, and the guard has not seen enough"
    world.probes(300, good, good)
    assert guard_verdicts.verdict("staging", FLAG, now=world.clock) == "pass"
    assert [one.cause for one in control.advance(world.clock)] == ["ramp_step"]
    assert Ramp.objects.get().percentage == 80
    world.probes(20, good, good)
    assert guard_verdicts.verdict("staging", FLAG, now=world.clock) == "hold"
    assert control.advance(world.clock + timedelta(seconds=5)) == []


def test_a_guard_that_cannot_count_costs_no_outcome(world: World) -> None:
    """What is stored of it is of no version that is known: it counts anew, and the recorder goes on."""
    Guard.objects.update(ramp=Ramp.objects.get(), seen_revision=world.revision, since_revision=world.revision)
    Guard.objects.update(test={"objective": 0.99, "figures": {}})
    world.break_canary(10)
    assert Result.objects.count() == 20
    assert world.guard.test == {}
    world.break_canary(40)
    assert GuardTrip.objects.get().did == "acted"


def test_where_no_guard_counts_it_costs_one_query(world: World) -> None:
    Guard.objects.update(mode=Guard.Mode.OFF)
    entries = [entry(world.target, world.clock, success())]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        guarding.feed(entries, timezone.now())
    assert len(queries) == 1
    with CaptureQueriesContext(connection) as queries:
        guarding.feed([], timezone.now())
    assert len(queries) == 0


def test_slow_and_undelivered_are_read_from_the_outcome() -> None:
    cohorts = guarding.Cohorts(CANARY, CONTROL, 4, None)
    target = stored_target()
    at: datetime = STARTED

    def seen(outcome: Outcome) -> Any:
        return cohorts.seen(entry(target, at, replace(outcome, strategy=CANARY)), 50_000)

    assert (seen(success()).slow, seen(success(ready_us=60_000)).slow, seen(failure()).slow) == (False, True, True)
    assert seen(success(flagged=True)).slow is None
    assert (seen(success()).undelivered, seen(failure()).undelivered) == (False, None)


def test_a_mode_is_checked_and_audited() -> None:
    with pytest.raises(ReasonMissing):
        guards.set_mode("staging", FLAG, "act", author="bo", reason="because")
    with pytest.raises(UnknownFlag):
        guards.set_mode("staging", "no-such-flag", "act", **WHO)
    with pytest.raises(FlagError, match="does not tell"):
        guards.set_mode("staging", "client-ack", "act", **WHO)
    with pytest.raises(FlagError, match="no mode"):
        guards.set_mode("staging", FLAG, "sleep", **WHO)
    with pytest.raises(FlagError, match="no objective"):
        guards.set_mode("staging", FLAG, "act", objective=1.0, **WHO)
    guards.set_mode("staging", FLAG, "act", objective=0.95, **WHO)
    with pytest.raises(NothingToChange):
        guards.set_mode("staging", FLAG, "act", objective=0.95, **WHO)
    row = AuditRecord.objects.get(action="guard.mode")
    assert (row.before, row.after) == (None, {"mode": "act", "objective": 0.95})
    assert Result.objects.count() == 0
