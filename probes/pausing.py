"""A person pauses a target, or it resumes: each with its flip and its audit row, settled by a conditional update."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from connections.models import AuditRecord
from probes.expectation import first_expected
from probes.models import Flip, Target, TargetStatus
from probes.signals import recorded
from probes.statuses import lock

READYWIRE = "readywire"
"""The actor where the product itself resumes a target."""


def pause(target: Target, by: str, until: datetime | None, reason: str) -> bool:
    """Probe `target` no more until `resume`, or until that instant. False where it was paused already."""
    with transaction.atomic():
        if not Target.objects.filter(pk=target.pk, paused_by="").update(paused_by=by, paused_until=until):
            return False
        target.paused_by, target.paused_until = by, until
        _flip(target, TargetStatus.State.PAUSED, f"Paused by {by}: {reason}" if reason else f"Paused by {by}.")
        after = {"paused_by": by, "paused_until": until.isoformat() if until else None}
        _audit(target, "target.paused", by, reason, {"paused_by": ""}, after)
    return True


def resume(target: Target, by: str, reason: str = "") -> bool:
    """Probe `target` again; what it is is unknown until it is measured. False where it was not paused."""
    with transaction.atomic():
        paused = Target.objects.select_for_update().filter(pk=target.pk).exclude(paused_by="").first()
        if paused is None:
            return False
        since = first_expected()
        changed = Target.objects.filter(pk=target.pk).exclude(paused_by="")
        if not changed.update(paused_by="", paused_until=None, active_since=since):
            return False
        target.paused_by, target.paused_until, target.active_since = "", None, since
        _flip(target, TargetStatus.State.UNKNOWN, f"Resumed by {by}; not probed since.")
        _audit(target, "target.resumed", by, reason, {"paused_by": paused.paused_by}, {"paused_by": ""})
    return True


def resume_expired(now: datetime) -> int:
    """Resume the targets whose pause has ended; returns how many."""
    expired = Target.objects.exclude(paused_by="").filter(paused_until__lte=now)
    return sum(resume(target, READYWIRE, "the pause ended") for target in expired)


def _flip(target: Target, state: TargetStatus.State, why: str) -> None:
    now = timezone.now()
    before = lock([target.pk])[target.pk]
    changed = TargetStatus.objects.filter(pk=target.pk, state=before.state).exclude(state=state)
    if changed.update(state=state, since=now, why=why[:300], sequence=before.sequence + 1):
        Flip.objects.create(target=target, before=before.state, after=state, at=now, why=why[:300])
    target_ids = frozenset([target.pk])
    transaction.on_commit(lambda: recorded.send(sender=_flip, target_ids=target_ids))


def _audit(
    target: Target, action: str, actor: str, reason: str, before: Mapping[str, object], after: Mapping[str, object]
) -> None:
    AuditRecord.objects.create(
        actor=actor,
        action=action,
        environment_id=target.environment_id,
        subject=target.slug,
        reason=reason,
        before=before,
        after=after,
    )
