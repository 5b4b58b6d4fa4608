"""Which slots are expected: of every target that is not paused, since it became active, at each of its locations."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from probes.models import Target
from probes.schedule import offset_of, slots_between


@dataclass(frozen=True, slots=True)
class Expected:
    """One target's schedule."""

    target_id: int
    locations: tuple[str, ...]
    interval: timedelta
    offset: timedelta
    deadline: timedelta
    active_since: datetime

    def slots(self, after: datetime, until: datetime) -> list[datetime]:
        """The slots in (after, until] that are expected to have an outcome, ascending."""
        return slots_between(max(after, self.active_since), until, self.interval, self.offset)


def expected_targets() -> list[Expected]:
    """The schedule of every target that is not paused and has a location."""
    locations: dict[int, list[str]] = defaultdict(list)
    for target_id, location in Target.locations.through.objects.values_list("target_id", "location_id"):
        locations[target_id].append(location)
    rows = Target.objects.filter(paused_by="").order_by("pk")
    found = []
    for pk, slug, interval_ms, deadline_ms, active_since in rows.values_list(
        "pk", "slug", "interval_ms", "deadline_ms", "active_since"
    ):
        if pk in locations:
            interval, deadline = timedelta(milliseconds=interval_ms), timedelta(milliseconds=deadline_ms)
            places = tuple(sorted(locations[pk]))
            found.append(Expected(pk, places, interval, offset_of(slug, interval), deadline, active_since))
    return found


def first_expected(now: datetime | None = None) -> datetime:
    """From when a target that is made, resumed or rescheduled now has expected slots.

    The tick dispatches TICK_HORIZON_SECONDS ahead; slots that it passed before it could know the change are not
    expected, or each change would begin with missed slots.
    """
    return (now or timezone.now()) + timedelta(seconds=settings.TICK_HORIZON_SECONDS + 1)
