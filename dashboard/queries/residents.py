"""The lives of a target's residents, as its page shows them. Two queries, bounded."""

from collections import defaultdict
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings

from dashboard.charts.spans import Fixed, Wanted
from dashboard.lanes import LaneKey, Panel, Scene, panel
from dashboard.queries.windows import span
from probes.engine.lives import Life
from probes.lives import life_of
from probes.models import ResidentLife, Target

COMPARED = timedelta(hours=24)
"""Lives of so long are read also for a shorter range: what they share tells causes apart."""
MOST_LIVES = 2_000
"""The newest of them; a target that is cut more often needs no older ones to be told."""


def residents_of(target: Target, asked: Wanted, now: datetime) -> Panel:
    """The panel "Long-lived connections" of a target over a range that ends now, or over a fixed one."""
    shown = span(target, asked, now)
    since = min(shown.start, shown.end - COMPARED)
    rows = ResidentLife.objects.filter(target=target, ended__gte=since, started__lte=shown.end)
    found: dict[LaneKey, list[Life]] = defaultdict(list)
    for row in rows.order_by("-ended")[:MOST_LIVES]:
        found[row.location_id, row.number].append(life_of(row))
    wanted = 0 if target.paused else target.residents * target.locations.count()
    label = shown.label.replace(" ", "\u00a0")
    start = asked.start if isinstance(asked, Fixed) else now - asked.length
    scene = Scene(start, shown.end, label, ZoneInfo(settings.TIME_ZONE), follows=bool(shown.key))
    return panel(found, wanted, scene)
