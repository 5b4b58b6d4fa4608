"""What time alone changes: overlays that expire, and ramps whose step is over.

Every web process calls `advance` once a second, and any number may at once. Each change takes the revision first, then
moves its row by a conditional UPDATE; whoever finds the row moved already gives the revision back, unwritten. So each
expiry and each step is one revision, whoever came first.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from django.db import transaction
from django.utils import timezone

from connections.flags.changing import Request, serve, take
from connections.flags.guard_verdicts import verdict
from connections.flags.ramping import complete, move, progress_of, steps_of
from connections.flags.ramps import Event, due
from connections.flags.reading import current_version
from connections.models import Overlay, Ramp, Revision, Version

logger = logging.getLogger(__name__)
AUTHOR = "readywire"


class _TooLateError(Exception):
    """Somebody else moved the row first."""


def advance(now: datetime | None = None) -> list[Revision]:
    """End the overlays whose time is over and move the ramps whose step is; the revisions that this call made.

    One that fails is logged and tried again at the next call; the others go on.
    """
    now = now or timezone.now()
    made: list[Revision] = []
    for overlay in Overlay.objects.filter(ended_at__isnull=True, expires_at__lte=now):
        made += _tried(overlay.flag_key, partial(_expire, overlay, now))
    for ramp in Ramp.objects.filter(ended_at__isnull=True, state=Ramp.State.RUNNING):
        event = due(progress_of(ramp), steps_of(ramp), verdict_of(ramp, now), now)
        if event is not None:
            made += _tried(ramp.flag_key, partial(_step, ramp, event, now))
    return made


def _tried(flag: str, act: Callable[[], Revision]) -> list[Revision]:
    try:
        with transaction.atomic():
            return [act()]
    except _TooLateError:
        return []
    except Exception:
        logger.exception("What is due of %s could not be done; it is tried again.", flag)
        return []


def _expire(overlay: Overlay, now: datetime) -> Revision:
    request = Request("expiry", AUTHOR, f"The {overlay.kind} was laid until then.", overlay.flag_key)
    flags = take(overlay.environment_id, request.reason)
    due_still = Overlay.objects.filter(pk=overlay.pk, ended_at__isnull=True, expires_at__lte=now)
    if due_still.update(ended_at=now, ended_by=AUTHOR, ended_reason=request.reason) != 1:
        raise _TooLateError
    return serve(flags, current_version(flags.environment), request)


def _step(ramp: Ramp, event: Event, now: datetime) -> Revision:
    if event is Event.COMPLETE:
        return _complete(ramp, now)
    share = ramp.steps[ramp.step + 1]["percentage"]
    reason = f"Step {ramp.step + 2} of {len(ramp.steps)}: {share:g} % are served {ramp.variant}."
    flags = take(ramp.environment_id, reason)
    if not move(ramp, event, now):
        raise _TooLateError
    return serve(flags, current_version(flags.environment), Request("ramp_step", AUTHOR, reason, ramp.flag_key))


def _complete(ramp: Ramp, now: datetime) -> Revision:
    reason = f"The ramp's last step is over: {ramp.variant} is served to everybody."
    flags = take(ramp.environment_id, reason)
    if not Ramp.objects.filter(pk=ramp.pk, state=Ramp.State.RUNNING, counting_since=ramp.counting_since).exists():
        raise _TooLateError
    version = complete(flags, ramp, Request(Version.Kind.RAMP, AUTHOR, reason, ramp.flag_key), now)
    return version.revisions.get()


def verdict_of(ramp: Ramp, now: datetime | None = None) -> str:
    """What the flag's guard says; "none" where nobody guards it, which holds a step that needs a pass."""
    if not steps_of(ramp)[ramp.step].needs_pass:
        return "none"
    return verdict(ramp.environment_id, ramp.flag_key, now=now)
