"""What a guard says of the ramp that stands now. Reads only: ramps wait for it, and guards act through ramps' verbs."""

from datetime import datetime, timedelta

from django.utils import timezone

from connections.flags.guard import GuardTest, Verdict
from connections.models import Guard, Ramp

FRESH = timedelta(minutes=2)
"""A pass that no probe has confirmed for so long is none: no data holds, and never promotes."""


def verdict(environment_key: str, flag: str, *, now: datetime | None = None) -> str:
    """What the guard says of the ramp that stands now: "pass", "hold", "trip", or "none" where nobody guards it."""
    guard = guard_of(environment_key, flag)
    if guard is None or guard.mode == Guard.Mode.OFF:
        return "none"
    if guard.state == Guard.State.TRIPPED:
        return Verdict.TRIP.value
    ramp = standing_ramp(environment_key, flag)
    current = ramp is not None and guard.ramp_id == ramp.pk and guard.step == ramp.step and guard.test
    if not current or guard.state != Guard.State.WATCHING:
        return Verdict.HOLD.value
    test = GuardTest.read(guard.test)
    fresh = test.last_second > ((now or timezone.now()) - FRESH).timestamp()
    return test.verdict.value if fresh else Verdict.HOLD.value


def guard_of(environment_key: str, flag: str) -> Guard | None:
    """The guard of the flag; None: there is none."""
    return Guard.objects.filter(environment_id=environment_key, flag_key=flag).first()


def standing_ramp(environment_key: str, flag: str) -> Ramp | None:
    """The ramp of the flag that has not ended."""
    return Ramp.objects.filter(environment_id=environment_key, flag_key=flag, ended_at__isnull=True).first()
