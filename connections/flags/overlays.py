"""The verbs that lay a kill or a tripped breaker over a flag, and lift it. Each is one transaction and one revision.

The version below is left alone, so lifting serves exactly what was there. A ramp under an overlay is paused and keeps
its share: nothing climbs while nobody is served it.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from connections.flags.changing import Request, serve, take
from connections.flags.errors import (
    BadExpiry,
    FlagError,
    NoSafeVariant,
    NothingLaid,
    UnderLayer,
    UnknownFlag,
    UnknownVariant,
)
from connections.flags.layers import LayerKind
from connections.flags.ramping import pause_running
from connections.flags.reading import current_version
from connections.flags.versions import FlagSet
from connections.models import Overlay, Revision


def kill(environment_key: str, flag: str, *, author: str, reason: str, expires_at: datetime | None = None) -> Revision:
    """Serve the flag's safe variant to everybody, until it is lifted or `expires_at` has come.

    Raises UnknownEnvironment, UnknownFlag, NoSafeVariant, BadExpiry, ReasonMissing, or UnderLayer where it is killed
    already; then nothing was written.
    """
    request = Request("kill", author, reason, flag)
    with transaction.atomic():
        flags = take(environment_key, request.reason)
        safe = _definition(flags, flag).get("metadata", {}).get("safeVariant")
        if safe is None:
            raise NoSafeVariant(flag)
        return _lay(flags, request, Overlay(kind=Overlay.Kind.KILL, variant=safe, expires_at=expires_at))


def trip(
    environment_key: str,
    flag: str,
    *,
    variant: str,
    author: str = "guard",
    reason: str,
    evidence: Any,
    expires_at: datetime | None = None,
) -> Revision:
    """A guard's breaker: serve `variant` (the control's) to everybody, with what the guard saw. Raises as `kill` does,
    and UnknownVariant."""
    request = Request("trip", author, reason, flag)
    with transaction.atomic():
        flags = take(environment_key, request.reason)
        variants = _definition(flags, flag)["variants"]
        if variant not in variants:
            raise UnknownVariant(flag, variant, variants)
        laid = Overlay(kind=Overlay.Kind.BREAKER, variant=variant, expires_at=expires_at, evidence=evidence)
        return _lay(flags, request, laid)


def lift(environment_key: str, flag: str, kind: str = "kill", *, author: str, reason: str) -> Revision:
    """Take a kill (or `kind` "breaker") away: what lies below is served again. A ramp there stays paused.

    Raises UnknownEnvironment, ReasonMissing, or NothingLaid.
    """
    request = Request("lift", author, reason, flag, "lift", {"flag": flag, "kind": kind})
    with transaction.atomic():
        flags = take(environment_key, request.reason)
        if kind not in Overlay.Kind.values or not end(flags, flag, kind, author=author, reason=request.reason.strip()):
            raise NothingLaid(f"No {kind} lies over {flag} in {environment_key}.")
        return serve(flags, current_version(flags.environment), request)


def end(flags: FlagSet, flag: str, kind: str, *, author: str, reason: str) -> bool:
    """End one overlay within a change that has taken the revision; whether there was one."""
    standing = Overlay.objects.filter(environment_id=flags.environment, flag_key=flag, kind=kind, ended_at__isnull=True)
    return standing.update(ended_at=timezone.now(), ended_by=author, ended_reason=reason) == 1


def _definition(flags: FlagSet, flag: str) -> dict[str, Any]:
    if flag not in flags.definitions:
        raise UnknownFlag(flag, flags.definitions)
    return flags.definitions[flag]


def _lay(flags: FlagSet, request: Request, overlay: Overlay) -> Revision:
    flag, now = request.subject, timezone.now()
    if overlay.expires_at is not None and overlay.expires_at <= now:
        raise BadExpiry
    if any(layer.flag == flag and layer.kind == LayerKind(overlay.kind) for layer in flags.layers):
        raise _laid_already(flag, overlay.kind)
    overlay.environment_id, overlay.flag_key, overlay.laid_at = flags.environment, flag, now
    overlay.author, overlay.reason = request.author, request.reason.strip()
    overlay.save()
    why = f"{flag} was killed" if overlay.kind == Overlay.Kind.KILL else f"the breaker of {flag} tripped"
    pause_running(flags.environment, flag, why, now)
    return serve(flags, current_version(flags.environment), request)


def _laid_already(flag: str, kind: str) -> FlagError:
    state = "is killed" if kind == Overlay.Kind.KILL else "has a tripped breaker"
    return UnderLayer(flag, f"{flag} {state} already.", "Nothing needs to be done; lift it to serve what lies below.")
