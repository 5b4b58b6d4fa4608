"""What is remembered of practised faults: rows that pages show without asking a service, and the audit trail.

The service knows best. Whoever looks at the practice page has it asked, and the rows are brought in line: a fault that
was started by hand gets its row, one that a restart has swept away loses what was left of it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from connections.models import AuditRecord
from dashboard.models import PracticedFault
from dashboard.practice.calls import On
from probes.models import Target
from probes.signals import recorded

BY_HAND = "by hand"
"""The actor of a fault that was started without saying who."""
READYWIRE = "readywire"
KEEP = timedelta(days=1)
"""How long rows outlast their fault; the audit trail keeps what happened."""


def places() -> list[Target]:
    """The targets of the reference services, in the order of their environments; none where nobody can practise."""
    if not settings.READYWIRE_CONTROL_TOKEN:
        return []
    targets = Target.objects.filter(is_reference=True, environment_id__in=("staging", "production"))
    return list(targets.select_related("environment").order_by("environment__position", "pk"))


def going_on(now: datetime) -> list[PracticedFault]:
    """Every fault that is on, by target, oldest first."""
    rows = PracticedFault.objects.filter(until__gt=now).select_related("target__environment")
    return list(rows.order_by("target__environment__position", "started_at"))


def started(target: Target, on: On, *, by: str, reason: str, now: datetime) -> PracticedFault:
    """A service has just switched a fault on."""
    with transaction.atomic():
        row = _begin(target, on, by=by, reason=reason, now=now)
        PracticedFault.objects.filter(until__lt=now - KEEP).delete()
    return row


def ended(target: Target, fault: str, *, by: str, reason: str, now: datetime) -> int:
    """A service has just switched a fault off, or all where `fault` is empty. Returns how many were on."""
    with transaction.atomic():
        _lock(target)
        rows = PracticedFault.objects.filter(target=target, until__gt=now)
        chosen = list(rows.filter(fault=fault) if fault else rows)
        for row in chosen:
            _end(row, by=by, reason=reason, now=now)
    return len(chosen)


def agree(target: Target, on: Iterable[On], *, asked_at: datetime) -> None:
    """Bring the rows of `target` in line with what its service said. What was started after `asked_at` stays."""
    told = {each.fault: each for each in on}
    known = {row.fault: row for row in PracticedFault.objects.filter(target=target, until__gt=timezone.now())}
    missing = told.keys() - known.keys()
    swept = [row for fault, row in known.items() if fault not in told and row.started_at < asked_at]
    if not missing and not swept:
        return  # most looks change nothing, and a page view writes nothing then
    with transaction.atomic():
        for fault in sorted(missing):
            _begin(target, told[fault], by=told[fault].by or BY_HAND, reason="", now=timezone.now())
        for row in swept:
            _end(row, by=READYWIRE, reason="The service no longer has it", now=timezone.now())


def _begin(target: Target, on: On, *, by: str, reason: str, now: datetime) -> PracticedFault:
    _lock(target)
    until = now + timedelta(seconds=on.remaining_s)
    row, new = PracticedFault.objects.get_or_create(
        target=target,
        fault=on.fault,
        until__gt=now,
        defaults={"parameters": dict(on.parameters), "by": by, "started_at": now, "until": until},
    )
    if new:
        after = {"fault": on.fault, **on.parameters, "until": until.isoformat(timespec="seconds")}
        _audit(target, "practice.started", by, reason, before=None, after=after)
        _tell_pages(target)
    return row


def _end(row: PracticedFault, *, by: str, reason: str, now: datetime) -> None:
    if PracticedFault.objects.filter(pk=row.pk, until__gt=now).update(until=now):
        before = {"fault": row.fault, "until": row.until.isoformat(timespec="seconds")}
        _audit(row.target, "practice.ended", by, reason, before=before, after=None)
        _tell_pages(row.target)


def _lock(target: Target) -> None:
    """One writer at a time per target: a row has no key that would keep a second one out."""
    Target.objects.select_for_update().get(pk=target.pk)


def _tell_pages(target: Target) -> None:
    told = frozenset([target.pk])
    transaction.on_commit(lambda: recorded.send(sender=PracticedFault, target_ids=told))


def _audit(target: Target, action: str, by: str, reason: str, *, before: Any, after: Any) -> None:
    AuditRecord.objects.create(
        actor=by,
        action=action,
        environment_id=target.environment_id,
        subject=target.slug,
        reason=reason,
        before=before,
        after=after,
    )
