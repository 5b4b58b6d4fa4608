"""Feeds the guards: outcomes become cohorts by what served them, in the transaction that records them.

A probe belongs to a cohort by the strategy and the revision that its connection told. Our own failures and missed slots
belong to none, and neither does a probe that never heard what served it. Where no guard counts, one query is all that
this costs.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Max, Q
from django.db.utils import Error

from connections.flags import guard_verdicts, guards
from connections.flags.guard import Figure, GuardTest, Seen
from connections.models import Environment, Guard, Ramp
from probes.engine.outcome import Outcome
from probes.models import Result, Target
from probes.results_stream import Entry

logger = logging.getLogger(__name__)
GRACE_SECONDS = 1.0
"""After its deadline, an outcome may take so long to reach the recorder."""
PROBES_KEPT = 20


@dataclass(frozen=True, slots=True)
class Cohorts:
    """Who is canary and who is control, since when."""

    canary: str
    control: str
    since_revision: int
    since_at: datetime | None

    def seen(self, entry: Entry, objective_us: int) -> Seen | None:
        """The entry as the test takes it; None where it belongs to neither cohort."""
        outcome = entry.outcome
        if outcome.strategy not in (self.canary, self.control) or (outcome.kind is not None and outcome.kind.ours):
            return None
        if outcome.flags_revision is None or outcome.flags_revision < self.since_revision:
            return None
        if self.since_at is not None and entry.slot < self.since_at:
            return None
        return Seen(
            location=entry.location,
            second=int(entry.slot.timestamp()),
            canary=outcome.strategy == self.canary,
            failed=not outcome.ok,
            undelivered=_undelivered(outcome),
            slow=_slow(outcome, objective_us),
        )


def feed(entries: Sequence[Entry], now: datetime) -> None:
    """Count newly stored outcomes in the guards that watch their environments, and let those act that saw enough."""
    watching = Guard.objects.exclude(mode=Guard.Mode.OFF).exclude(state=Guard.State.TRIPPED)
    keys = list(watching.values_list("pk", flat=True)) if entries else []
    if not keys:
        return
    targets = _targets({entry.target_id for entry in entries})
    for guard in Guard.objects.select_for_update().filter(pk__in=keys).order_by("pk"):
        ramp = guard_verdicts.standing_ramp(guard.environment_id, guard.flag_key)
        here = [entry for entry in entries if targets[entry.target_id][0] == guard.environment_id]
        if ramp is not None and here and _awake(guard, now):
            _guard(guard, ramp, here, targets, now)


def _guard(
    guard: Guard, ramp: Ramp, entries: Sequence[Entry], targets: Mapping[int, tuple[str, int]], now: datetime
) -> None:
    """Count in one guard. What goes wrong there costs its count, and never an outcome; trouble of the database is told
    to the recorder, which tries all of it again."""
    try:
        with transaction.atomic():
            _follow(guard, ramp, now)
            _count(guard, ramp, entries, targets, now)
            guard.save()
    except Error:
        raise
    except Exception:
        logger.exception("the guard of %s in %s counts anew", guard.flag_key, guard.environment_id)
        Guard.objects.filter(pk=guard.pk).update(test={}, since_at=now)


def _targets(target_ids: Iterable[int]) -> dict[int, tuple[str, int]]:
    """{target: (environment, ready objective in microseconds)}."""
    rows = Target.objects.filter(pk__in=target_ids).values_list("pk", "environment_id", "ready_objective_ms")
    return {pk: (environment, objective_ms * 1000) for pk, environment, objective_ms in rows}


def _awake(guard: Guard, now: datetime) -> bool:
    if guard.state == Guard.State.COOLING and guard.cooling_until is not None and guard.cooling_until <= now:
        guard.state = Guard.State.WATCHING
    return guard.state == Guard.State.WATCHING


def _follow(guard: Guard, ramp: Ramp, now: datetime) -> None:
    """Begin anew with another ramp, and after every decision of a person; a new step must pass by itself."""
    resumed = guard.paused and ramp.state == Ramp.State.RUNNING
    guard.paused = ramp.state == Ramp.State.PAUSED
    revision = Environment.objects.values_list("revision", flat=True).get(key=guard.environment_id)
    if guard.ramp_id != ramp.pk:
        guards.begin_again(guard, None)
        guard.ramp, guard.step, guard.seen_revision = ramp, ramp.step, 0
    elif resumed:
        guards.begin_again(guard, now)
    if guard.seen_revision != revision:
        guard.seen_revision, decided = revision, guards.decided_at(guard.environment_id, guard.flag_key)
        if decided != guard.since_revision:
            guard.since_revision = decided
            guards.begin_again(guard, guard.since_at)


def _count(
    guard: Guard, ramp: Ramp, entries: Sequence[Entry], targets: Mapping[int, tuple[str, int]], now: datetime
) -> None:
    test = GuardTest.read(guard.test) if guard.test else GuardTest(guard.objective)
    if guard.step != ramp.step:
        test.begin_step()
        guard.step = ramp.step
    cohorts = Cohorts(ramp.variant, ramp.control, guard.since_revision, guard.since_at)
    for entry in entries:
        if (seen := cohorts.seen(entry, targets[entry.target_id][1])) is not None:
            test.take(seen)
    test.settle(int(now.timestamp() - _longest_wait(guard.environment_id)))
    guard.test, guard.counted_at = test.as_json(), now
    if (figure := test.tripped_by) is not None:
        evidence = guards.evidence_of(test, figure, _probes(guard, ramp, figure))
        guards.trip(guard, ramp, test, evidence, now)


def _longest_wait(environment_key: str) -> float:
    longest = Target.objects.filter(environment_id=environment_key, paused_by="").aggregate(most=Max("deadline_ms"))
    return (longest["most"] or 0) / 1000 + GRACE_SECONDS


def _undelivered(outcome: Outcome) -> bool | None:
    """Whether an event of the answer is missing or late; None where there was no answer to wait for."""
    if not outcome.events.expected or "ready" not in outcome.marks:
        return None
    return outcome.events.delivered < len(outcome.events.expected)


def _slow(outcome: Outcome, objective_us: int) -> bool | None:
    """Whether it was ready later than the objective, or never; None where our own clock cannot be trusted."""
    if outcome.flagged:
        return None
    return outcome.race_window_us is None or outcome.race_window_us > objective_us


def _probes(guard: Guard, ramp: Ramp, figure: Figure) -> list[dict[str, Any]]:
    """The newest probes that speak against the variant, as evidence names them."""
    bad = Q(ok=False)
    if figure is Figure.SLOW:
        bad |= Q(race_window_us__gt=F("target__ready_objective_ms") * 1000)
    rows = Result.objects.filter(
        bad, target__environment_id=guard.environment_id, strategy=ramp.variant, slot__gte=ramp.started_at
    )
    found = rows.filter(flags_revision__gte=guard.since_revision).order_by("-slot")
    named = found.values_list("target__slug", "location_id", "slot", "kind", "flags_revision")[:PROBES_KEPT]
    return [
        {
            "target": slug,
            "location": place,
            "slot": slot.astimezone(UTC).isoformat(),
            "kind": kind,
            "revision": revision,
        }
        for slug, place, slot, kind, revision in named
    ]
