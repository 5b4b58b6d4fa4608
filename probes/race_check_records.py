"""Race checks in the database: asking for one, cancelling it, and what its worker tells of it.

People insert and cancel; the recorder writes all else. Whoever is second finds a conditional UPDATE without a row, or
the constraint that one check of a target is active.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from connections.models import AuditRecord
from probes.engine.script import Script, ScriptError
from probes.models import RaceCheck, Target
from probes.race_checks import ACTIVE, Assignment, Bounds, Entry, Request, RequestError, State, before, expired
from probes.race_report import Report
from probes.signals import recorded
from probes.specification import message_of

logger = logging.getLogger(__name__)
_TOLD = (State.QUEUED, State.RUNNING, State.CANCELLED)
"""States in which a report is taken: of a cancelled check, what was found until then."""


class Refused(Exception):  # noqa: N818 (the answer to a request, not a fault of ours)
    """A check that may not start now: another is active (`running`), one ended a moment ago (`wait`), or the target is
    paused (neither)."""

    def __init__(self, message: str, *, running: RaceCheck | None = None, wait: timedelta = timedelta(0)) -> None:
        super().__init__(message)
        self.message = message
        self.running = running
        self.wait = wait


def bounds_of_settings() -> Bounds:
    """What a check may ask for here."""
    return Bounds(settings.RACE_CHECK_MOST, settings.RACE_CHECK_AT_ONCE, settings.RACE_CHECK_PER_SECOND)


def ask(target: Target, request: Request, by: str, send: Callable[[Assignment], None]) -> RaceCheck:
    """Queue a check, with its audit row; `send` gets its assignment on commit. Raises RequestError or Refused.

    Two who ask at the same instant: one gets the check, the other a Refused that names the first.
    """
    assignment_of = _prepared(target, request)
    now = timezone.now()
    with transaction.atomic():
        check = RaceCheck(
            target=target, location_id=request.location, count=request.count, at_once=request.at_once,
            early_send=request.early_send, asked_by=by, asked_at=now, changed_at=now,
        )  # fmt: skip
        try:
            with transaction.atomic():
                check.save(force_insert=True)
        except IntegrityError:
            raise _active(target) from None
        # Read after the insert, which only one can have made: nobody else can start, or end, one meanwhile.
        if refusal := _paused(target) or _too_soon(target, now):
            raise refusal
        asked = {"count": check.count, "at_once": check.at_once, "early_send": check.early_send}
        _audit(check, "race_check.started", by, {**asked, "location": check.location_id})
        _tell_pages(target.pk)
        transaction.on_commit(lambda: _send(check, assignment_of(check.pk), send))
    return check


def early_fault(target: Target) -> ScriptError | None:
    """Why the target's script cannot send early; None where it can."""
    try:
        Script.from_json({**Script.from_json(target.script).to_json(), "early_send": True})
    except ScriptError as error:
        return error
    return None


def _prepared(target: Target, request: Request) -> Callable[[int], Assignment]:
    request.checked(bounds_of_settings())
    if not target.locations.filter(pk=request.location).exists():
        raise RequestError("location", f"{request.location!r} is no location of this target.")
    if request.early_send and (error := early_fault(target)):
        raise RequestError("early_send", f"{error.fault}. {error.cure}.")
    message = message_of(target)
    return lambda check_id: Assignment(check_id, request, settings.RACE_CHECK_PER_SECOND, message)


def _active(target: Target) -> Refused:
    running = RaceCheck.objects.filter(target=target, state__in=ACTIVE).first()
    if running is None:
        return Refused("Another check of this target ended this moment. Try again.", wait=timedelta(seconds=1))
    return Refused(f"{running.asked_by} is running one: {running.done} of {running.count} probes.", running=running)


def _paused(target: Target) -> Refused | None:
    by = Target.objects.values_list("paused_by", flat=True).get(pk=target.pk)
    return Refused(f"{target.name} is paused by {by}: nothing probes it. Resume it first.") if by else None


def _too_soon(target: Target, now: datetime) -> Refused | None:
    pause = timedelta(seconds=settings.RACE_CHECK_PAUSE_SECONDS)
    ended = RaceCheck.objects.filter(target=target, started_at__isnull=False, ended_at__gt=now - pause)
    last = ended.order_by("-ended_at").first()
    if last is None or last.ended_at is None:
        return None
    wait = max(timedelta(seconds=1), last.ended_at + pause - now)
    seconds = int(wait.total_seconds())
    return Refused(
        f"{last.asked_by}'s check ended a moment ago, and a target rests {pause.total_seconds():g} s between two. "
        f"Try again in {seconds} s.",
        wait=wait,
    )


def _send(check: RaceCheck, assignment: Assignment, send: Callable[[Assignment], None]) -> None:
    try:
        send(assignment)
    except OSError as error:
        logger.warning("race check %d could not be queued: %s", check.pk, error)
        _expire(check, "It could not be queued: Redis does not answer.", timezone.now())


def cancel(check: RaceCheck, by: str) -> bool:
    """End a check now. False where it had ended already. Its worker is to be told by the caller, on commit."""
    now = timezone.now()
    with transaction.atomic():
        active = RaceCheck.objects.filter(pk=check.pk, state__in=before(State.CANCELLED))
        if not active.update(state=State.CANCELLED, ended_at=now, changed_at=now, why=f"Cancelled by {by}."):
            return False
        check.refresh_from_db()
        _audit(check, "race_check.cancelled", by, {"done": check.done, "count": check.count})
        _tell_pages(check.target_id)
    return True


def record(entry: Entry, now: datetime) -> None:
    """Write what a worker tells. Telling it again, or out of order, changes nothing. Raises DatabaseError."""
    with transaction.atomic():
        if _end(entry, now) if entry.ending else _go_on(entry, now):
            _tell_pages(RaceCheck.objects.values_list("target_id", flat=True).get(pk=entry.check_id))


def _go_on(entry: Entry, now: datetime) -> int:
    begun = RaceCheck.objects.filter(pk=entry.check_id, state__in=before(State.RUNNING))
    started = begun.update(state=State.RUNNING, started_at=now, worker=entry.worker[:200])
    running = RaceCheck.objects.filter(pk=entry.check_id, state=State.RUNNING, done__lte=entry.done)
    return running.update(done=entry.done, failed=entry.failed, heard_at=now, changed_at=now) or started


def _end(entry: Entry, now: datetime) -> int:
    report = entry.report.to_json() if entry.report else None
    samples = report.pop("samples") if report else []
    found = {"done": entry.done, "failed": entry.failed, "report": report, "samples": samples}
    found |= {"heard_at": now, "changed_at": now}
    seconds = timedelta(seconds=entry.report.seconds if entry.report else 0)
    never_told = RaceCheck.objects.filter(pk=entry.check_id, started_at__isnull=True, state__in=_TOLD)
    never_told.update(started_at=now - seconds, worker=entry.worker[:200])
    ended = RaceCheck.objects.filter(pk=entry.check_id, state__in=before(entry.state))
    if changed := ended.update(state=entry.state, ended_at=now, why=entry.why, **found):
        return changed
    cancelled = RaceCheck.objects.filter(pk=entry.check_id, state=State.CANCELLED, report__isnull=True)
    return cancelled.update(**found)


def report_of(check: RaceCheck, *, samples: bool = False) -> Report | None:
    """What a check found, None where nothing is known; its failing probes only with `samples`."""
    return Report.from_json({**check.report, "samples": check.samples if samples else []}) if check.report else None


def expire(now: datetime) -> int:
    """End the checks that no worker took in time or whose worker went silent; returns how many."""
    count = 0
    for check in RaceCheck.objects.filter(state__in=ACTIVE):
        state = State(check.state)
        why = expired(state, check.asked_at, check.heard_at, check.done, check.location_id, now)
        if why:
            count += _expire(check, why, now)
    return count


def _expire(check: RaceCheck, why: str, now: datetime) -> int:
    with transaction.atomic():
        # As it was read: a word of its worker that came meanwhile keeps it alive.
        as_read = RaceCheck.objects.filter(pk=check.pk, state=check.state, changed_at=check.changed_at)
        done = as_read.update(state=State.EXPIRED, ended_at=now, changed_at=now, why=why)
        if done:
            _tell_pages(check.target_id)
    return done


def _tell_pages(target_id: int) -> None:
    transaction.on_commit(lambda: recorded.send(sender=RaceCheck, target_ids=frozenset([target_id])))


def _audit(check: RaceCheck, action: str, by: str, after: dict[str, object]) -> None:
    AuditRecord.objects.create(
        actor=by,
        action=action,
        environment_id=check.target.environment_id,
        subject=check.target.slug,
        after={"race_check": check.pk, **after},
    )
