"""Breaking the glass: one person acts alone where two are asked for, for a while, and another one reviews it after.

It is loud on purpose: a row that pages the owners, a log line, a banner on every page until the review is closed.
"""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from connections.flags import reading
from connections.flags.authority import glass_of
from connections.flags.changing import REASON_WORDS
from connections.flags.errors import GlassRefused, ReasonMissing, SamePerson
from connections.models import AuditRecord, BreakGlass, Environment, Notification

logger = logging.getLogger(__name__)
MOST_MINUTES = 240
DEFAULT_MINUTES = 30
ADMINISTRATORS = "role:administrator"


def break_glass(environment_key: str, *, by: str, reason: str, minutes: int = DEFAULT_MINUTES) -> BreakGlass:
    """Let one named person act alone until it expires. Raises UnknownEnvironment, ReasonMissing or GlassRefused."""
    if len(reason.split()) < REASON_WORDS:
        raise ReasonMissing
    if not 1 <= minutes <= MOST_MINUTES:
        raise GlassRefused("minutes", f"{minutes} minutes is out of range.", f"Give 1 to {MOST_MINUTES} minutes.")
    now = timezone.now()
    with transaction.atomic():
        stage = reading.environment(environment_key)
        # The row is locked, so that a double press breaks it once.
        Environment.objects.select_for_update().get(key=stage.key)
        if not stage.four_eyes:
            raise GlassRefused("environment", f"{stage.name} does not ask for two people.", "Just act.")
        if glass_of(stage.key, by) is not None:
            raise GlassRefused("environment", "You have broken the glass here already.", "Just act.")
        glass = BreakGlass.objects.create(
            environment=stage, by=by, reason=reason.strip(), at=now, expires_at=now + timedelta(minutes=minutes)
        )
        _page(glass)
        _audit(glass, by, "glass.broken", reason, after={"until": glass.expires_at.isoformat()})
    logger.critical("glass broken in %s by %s until %s: %s", stage.key, by, glass.expires_at.isoformat(), glass.reason)
    return glass


def end(number: int, *, by: str) -> BreakGlass:
    """End it early; anybody may. Twice is the same as once. Raises GlassRefused where there is none."""
    with transaction.atomic():
        glass = found(number)
        now = timezone.now()
        in_force = BreakGlass.objects.filter(pk=number, expires_at__gt=now)
        if in_force.update(expires_at=now, ended_by=by) == 1:
            _audit(glass, by, "glass.ended", "")
        return found(number)


def close_review(number: int, *, by: str, note: str) -> BreakGlass:
    """Close the review of what was done alone. Raises GlassRefused, SamePerson or ReasonMissing."""
    if len(note.split()) < REASON_WORDS:
        raise ReasonMissing
    with transaction.atomic():
        glass = found(number)
        if glass.by.casefold() == by.casefold():
            raise SamePerson(by, "review what they did alone")
        if glass.in_force(timezone.now()):
            raise GlassRefused("review", "It is still in force.", "End it first, then review what was done.")
        unreviewed = BreakGlass.objects.filter(pk=number, reviewed_at__isnull=True)
        if unreviewed.update(reviewed_at=timezone.now(), reviewed_by=by, review_note=note.strip()) != 1:
            raise GlassRefused("review", "This review is closed already.", "Nothing needs to be done.")
        _audit(glass, by, "glass.reviewed", note)
        return found(number)


def found(number: int) -> BreakGlass:
    """One row with its environment. Raises GlassRefused."""
    glass = BreakGlass.objects.select_related("environment").filter(pk=number).first()
    if glass is None:
        raise GlassRefused("review", f"There is no review {number}.", "Look at /flags/proposals/.")
    return glass


def open_reviews() -> list[BreakGlass]:
    """Every broken glass whose review is not closed, newest first; in force or not."""
    rows = BreakGlass.objects.filter(reviewed_at__isnull=True)
    return list(rows.select_related("environment"))


def owners(environment_key: str) -> list[str]:
    """Who owns flags here, as the flags say themselves."""
    definitions = reading.flag_set(environment_key).definitions.values()
    named = {str((body.get("metadata") or {}).get("owner", "")).strip() for body in definitions}
    return sorted(named - {""})


def _page(glass: BreakGlass) -> None:
    until = f"{glass.expires_at:%H:%M} UTC"
    Notification.objects.create(
        kind="break_glass",
        environment=glass.environment,
        audience=[ADMINISTRATORS, *owners(glass.environment_id)],
        subject=f"{glass.by} acts alone in {glass.environment.key} until {until}"[:200],
        body=glass.reason,
        path="/flags/proposals/",
        at=glass.at,
    )


def _audit(glass: BreakGlass, actor: str, action: str, reason: str, *, after: dict[str, str] | None = None) -> None:
    AuditRecord.objects.create(
        actor=actor,
        action=action,
        environment_id=glass.environment_id,
        subject=f"{glass.by} alone ({glass.pk})"[:200],
        reason=reason.strip(),
        after=after,
    )
