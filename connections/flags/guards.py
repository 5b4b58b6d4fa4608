"""The verbs of guards: what they may do, what happens when one has seen enough, re-arming, and the verdict for ramps.

A guard goes as far as its own mode and the environment's policy both allow. It acts by laying the breaker: the ramp's
control is served to everybody, and the ramp below waits, paused. It does less, and says why, where acting would bring
back a variant that fails as well, or where it has acted too often lately; and nothing at all where a person has decided
something about the flag since the probes that speak against the variant.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone

from connections.flags import control, reading
from connections.flags.changing import REASON_WORDS
from connections.flags.errors import FlagError, NothingToChange, ReasonMissing, UnknownFlag
from connections.flags.guard import OBJECTIVES, Figure, GuardTest, wilson
from connections.flags.guard_verdicts import standing_ramp
from connections.models import AuditRecord, Environment, Guard, GuardTrip, Ramp, Revision
from connections.signals import guard_tripped

AUTHOR = "guard"
STAMPED = "readiness-strategy"
"""The one flag whose variant every connection tells on the wire; of others, a probe cannot know what served it."""
MACHINES = frozenset({AUTHOR, "readywire"})
"""Authors of revisions who are no person."""
BUDGET_WINDOW = timedelta(hours=24)
_VERBS = {
    Figure.FAILED: "failed",
    Figure.UNDELIVERED: "lost events",
    Figure.SLOW: "were not ready within the objective",
}
_ORDER = ("off", "observe", "propose", "act")


def set_mode(
    environment_key: str, flag: str, mode: str, *, author: str, reason: str, objective: float | None = None
) -> Guard:
    """What the guard of a flag may do, and what it holds a variant to. Makes the guard where there is none.

    Raises UnknownEnvironment, UnknownFlag, ReasonMissing, NothingToChange, or FlagError where the wire does not tell
    which variant served.
    """
    _check(environment_key, flag, mode, reason, objective)
    with transaction.atomic():
        guard, made = Guard.objects.select_for_update().get_or_create(
            environment_id=environment_key, flag_key=flag, defaults={"mode": Guard.Mode.OFF}
        )
        before = {"mode": guard.mode, "objective": guard.objective}
        guard.mode, guard.objective = mode, guard.objective if objective is None else objective
        after = {"mode": guard.mode, "objective": guard.objective}
        if before == after and not made:
            raise NothingToChange
        if before["objective"] != after["objective"]:
            guard.test = {}
        guard.save()
        _audit(guard, author, "guard.mode", reason, None if made else before, after)
    return guard


def rearm(environment_key: str, flag: str, *, author: str, reason: str, now: datetime | None = None) -> Guard:
    """Let a tripped guard count again, from now on. The breaker stays until somebody lifts it.

    Before its cool-down is over it begins only then. Raises ReasonMissing, or NothingToChange where it is not locked.
    """
    now = now or timezone.now()
    _check_reason(reason)
    with transaction.atomic():
        guard = Guard.objects.select_for_update().filter(environment_id=environment_key, flag_key=flag).first()
        if guard is None or guard.state != Guard.State.TRIPPED:
            raise NothingToChange
        cooling = guard.cooling_until is not None and guard.cooling_until > now
        guard.state = Guard.State.COOLING if cooling else Guard.State.WATCHING
        begin_again(guard, guard.cooling_until if cooling else now)
        guard.save()
        if (last := guard.trips.first()) is not None:
            told = {"rearmed_at": now, "rearmed_by": author, "rearmed_reason": reason.strip()}
            GuardTrip.objects.filter(pk=last.pk).update(**told)
        _audit(guard, author, "guard.rearmed", reason, {"state": "tripped"}, {"state": guard.state})
    return guard


def carry_out(environment_key: str, flag: str, *, author: str, reason: str) -> Revision:
    """Trip the breaker by hand, as the guard proposed. Raises ReasonMissing, NothingToChange, or what `trip` raises."""
    _check_reason(reason)
    with transaction.atomic():
        guard = Guard.objects.select_for_update().filter(environment_id=environment_key, flag_key=flag).first()
        trip = guard.trips.first() if guard is not None and guard.state == Guard.State.TRIPPED else None
        if trip is None or trip.revision is not None or standing_ramp(environment_key, flag) is None:
            raise NothingToChange
        revision = control.trip(
            environment_key, flag, variant=trip.control, author=author, reason=reason, evidence=trip.evidence
        )
        GuardTrip.objects.filter(pk=trip.pk).update(revision=revision.number, carried_out_by=author)
    return revision


def begin_again(guard: Guard, since: datetime | None) -> None:
    """Forget what was counted; slots before `since` do not count."""
    guard.test, guard.since_at = {}, since


def effective_mode(guard: Guard, stage: Environment) -> str:
    """The mode of the guard, as far as the environment's policy lets it go."""
    return min(guard.mode, stage.guard_mode, key=_ORDER.index)


def decided_at(environment_key: str, flag: str) -> int:
    """The newest revision in which a person changed what is served of the flag; 0: none."""
    rows = Revision.objects.filter(environment_id=environment_key).exclude(author__in=MACHINES).order_by("-number")
    for number, summary in rows.values_list("number", "summary").iterator(chunk_size=50):
        if any(one["flag"] == flag for one in summary):
            return int(number)
    return 0


def evidence_of(test: GuardTest, figure: Figure, probes: list[dict[str, Any]]) -> dict[str, Any]:
    """What is stored of a trip: by figure the counts, their 95 % bounds, and how far each stake came."""
    return {
        "figure": figure.value,
        "objective": test.objective,
        "clusters": test.clusters,
        "figures": {one.value: _told(test, one) for one in Figure},
        "probes": probes,
    }


def trip(guard: Guard, ramp: Ramp, test: GuardTest, evidence: dict[str, Any], now: datetime) -> GuardTrip | None:
    """The guard has seen enough: do what it may. None where a person has decided meanwhile; then it counts anew.

    Call in the transaction that counted, with the guard's row locked.
    """
    stage = Environment.objects.select_for_update().get(key=guard.environment_id)
    if not _still_stands(guard, ramp):
        begin_again(guard, now)
        return None
    mode = effective_mode(guard, stage)
    why = _why_not(guard, ramp, test, now) if mode == Guard.Mode.ACT else _less(guard, mode)
    revision, refused = _acted(guard, ramp, evidence) if mode == Guard.Mode.ACT and not why else (None, "")
    made = GuardTrip(guard=guard, ramp=ramp, at=now, evidence=evidence, revision=revision, why=why or refused)
    made.did, made.figure = _did(mode, revision), evidence["figure"]
    made.variant, made.control = ramp.variant, ramp.control
    made.save()
    guard.state, guard.cooling_until = Guard.State.TRIPPED, now + timedelta(seconds=guard.cool_down_seconds)
    if revision is None:
        told = {"did": made.did, "why": made.why, "evidence": evidence}
        _audit(guard, AUTHOR, f"guard.{made.did}", reason_of(ramp.variant, ramp.control, evidence), None, told)
    announced = {"environment": stage.key, "flag": guard.flag_key, "trip": made.pk}
    transaction.on_commit(partial(guard_tripped.send_robust, sender=Guard, **announced), robust=True)
    return made


def _still_stands(guard: Guard, ramp: Ramp) -> bool:
    """Whether the ramp is as it was when its probes were counted, and no person has decided about the flag since."""
    same = Ramp.objects.filter(pk=ramp.pk, ended_at__isnull=True, state=ramp.state).exists()
    return same and decided_at(guard.environment_id, guard.flag_key) == guard.since_revision


def reason_of(variant: str, control_variant: str, evidence: dict[str, Any]) -> str:
    """The trip in a sentence, as history, audit and pages tell it."""
    told = evidence["figures"][evidence["figure"]]
    canary, beside = (f"{told[side]['bad']} of {told[side]['probes']}" for side in ("canary", "control"))
    return f"{canary} probes served {variant} {_VERBS[evidence['figure']]}, {beside} served {control_variant}."


def _acted(guard: Guard, ramp: Ramp, evidence: dict[str, Any]) -> tuple[int | None, str]:
    """The breaker's revision; or none, and why it was refused."""
    reason = reason_of(ramp.variant, ramp.control, evidence)
    try:
        laid = control.trip(
            guard.environment_id, guard.flag_key, variant=ramp.control, author=AUTHOR, reason=reason, evidence=evidence
        )
    except FlagError as error:
        return None, str(error)
    return laid.number, ""


def _did(mode: str, revision: int | None) -> str:
    if revision is not None:
        return GuardTrip.Did.ACTED
    return GuardTrip.Did.OBSERVED if mode == Guard.Mode.OBSERVE else GuardTrip.Did.PROPOSED


def _why_not(guard: Guard, ramp: Ramp, test: GuardTest, now: datetime) -> str:
    if test.control_fails:
        return f"{ramp.control} fails now as well: going back to it would cure nobody."
    acted = guard.trips.filter(did=GuardTrip.Did.ACTED, at__gt=now - BUDGET_WINDOW).count()
    if acted >= guard.flap_budget:
        return f"It has acted {acted} times in 24 hours, which is all that it may."
    return ""


def _less(guard: Guard, mode: str) -> str:
    return "" if guard.mode == mode else f"The environment's policy lets a guard {mode} at most."


def _told(test: GuardTest, figure: Figure) -> dict[str, Any]:
    stakes = test.figures[figure]
    total = stakes.total
    return {
        "canary": _side(total.canary_bad, total.canary),
        "control": _side(total.control_bad, total.control),
        "log_odds_objective": round(stakes.against_objective, 3),
        "log_odds_control": round(stakes.against_control, 3),
    }


def _side(bad: int, probes: int) -> dict[str, Any]:
    low, high = wilson(bad, probes)
    return {"probes": probes, "bad": bad, "low": round(low, 4), "high": round(high, 4)}


def _check(environment_key: str, flag: str, mode: str, reason: str, objective: float | None) -> None:
    definitions = reading.flag_set(environment_key).definitions
    if flag not in definitions:
        raise UnknownFlag(flag, definitions)
    if flag != STAMPED:
        raise FlagError("flag", f"A connection does not tell which variant of {flag} served it.", f"Guard {STAMPED}.")
    if mode not in Guard.Mode.values:
        raise FlagError("mode", f"{mode!r} is no mode of a guard.", f"Use one of: {', '.join(Guard.Mode.values)}.")
    if objective is not None and not OBJECTIVES[0] <= objective <= OBJECTIVES[1]:
        bounds = f"{OBJECTIVES[0]:.0%} to {OBJECTIVES[1]:.2%}"
        raise FlagError("objective", f"{objective:g} is no objective of a guard.", f"Give a share from {bounds}.")
    _check_reason(reason)


def _check_reason(reason: str) -> None:
    if len(reason.split()) < REASON_WORDS:
        raise ReasonMissing


def _audit(
    guard: Guard, actor: str, action: str, reason: str, before: dict[str, Any] | None, after: dict[str, Any]
) -> None:
    AuditRecord.objects.create(
        actor=actor,
        action=action,
        environment_id=guard.environment_id,
        subject=guard.flag_key,
        reason=reason.strip(),
        before=before,
        after=after,
    )
