"""The lives of a target's residents, as its page shows them. Two queries, bounded."""

from collections import defaultdict
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

from dashboard.charts.series import Range
from dashboard.lanes import LaneKey, Panel, Scene, panel
from probes.engine.lives import Life
from probes.lives import life_of
from probes.models import ResidentLife, Target

COMPARED = timedelta(hours=24)
"""Lives of so long are read also for a shorter range: what they share tells causes apart."""
MOST_LIVES = 2_000
"""The newest of them; a target that is cut more often needs no older ones to be told."""


def residents_of(target: Target, range_: Range, now: datetime) -> Panel:
    """The panel "Long-lived connections" of a target over a range that ends now."""
    since = now - max(range_.length, COMPARED)
    rows = ResidentLife.objects.filter(target=target, ended__gte=since).order_by("-ended")[:MOST_LIVES]
    found: dict[LaneKey, list[Life]] = defaultdict(list)
    for row in rows:
        found[row.location_id, row.number].append(life_of(row))
    wanted = 0 if target.paused else target.residents * target.locations.count()
    label = f"{range_.label.replace(' ', chr(0xA0))}"
    return panel(found, wanted, Scene(now - range_.length, now, label, ZoneInfo(settings.TIME_ZONE)))
