"""What each topic says: computed once for all who listen, as JSON-ready data. Database reads only; no sockets here."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connections as database_connections
from django.db.models import Count, Max, Q, Sum
from django.template.loader import render_to_string
from django.utils import timezone

from connections.flags.errors import UnknownEnvironment
from connections.models import Deploy, Environment, WatchedServer
from dashboard.live.sessions import living
from dashboard.models import PracticedFault
from dashboard.queries import fleet, fleet_page
from dashboard.queries.fleet import Fleet, exceeded_workers, troubled_processes
from dashboard.queries.overview import Row, reader
from dashboard.queries.practice import notes
from dashboard.queries.target import TargetReader
from dashboard.queries_flags import flags_state
from probes.models import RaceCheck, ResidentLife, Target, TargetStatus

Data = dict[str, Any]
FLEET_KEPT = timedelta(seconds=1.5)
"""Every page listens to `health`: how the fleet is, is read no more often than so."""


class Topics:
    """Computes topics by name. Used by one thread at a time: the hub's."""

    def __init__(self, data_dir: Path) -> None:
        self._told: dict[str, tuple[Row, Data]] = {}
        self._data_dir = data_dir
        self._fleet: Fleet | None = None
        self._families: Mapping[str, Callable[[str, datetime], Data | None]] = {
            "overview": self._overview_topic,
            "target": self._target_topic,
            "flags": self._flags_topic,
            "health": self._health_topic,
            "fleet": self._fleet_topic,
        }

    def known(self, topic: str) -> bool:
        """Whether a client may subscribe to this name; its subject may still not exist."""
        family, _, subject = topic.partition(":")
        return family in self._families and bool(subject) == (family in ("target", "flags"))

    def compute(self, topic: str, now: datetime) -> Data | None:
        """The topic's data, or None where its subject does not exist."""
        family, _, subject = topic.partition(":")
        return self._families[family](subject, now)

    def pulse(self) -> tuple[Any, ...]:
        """Changes whenever anything a page shows was written; results come first. A few aggregates, no rows."""
        practised = PracticedFault.objects.filter(until__gt=timezone.now())
        statuses = TargetStatus.objects.aggregate(Sum("sequence"), Count("pk"), Max("since"))
        return (
            tuple(statuses.values()),
            tuple(RaceCheck.objects.aggregate(Max("changed_at")).values()),
            tuple(Target.objects.aggregate(all=Count("pk"), paused=Count("pk", filter=~Q(paused_by=""))).values()),
            tuple(Environment.objects.order_by("position").values_list("revision", flat=True)),
            tuple(Deploy.objects.aggregate(Max("pk"), Count("pk")).values()),
            tuple(ResidentLife.objects.aggregate(Max("ended")).values()),
            # Their end is no write: a fault that is over no longer counts.
            tuple(practised.aggregate(Count("pk"), Max("until")).values()),
            tuple(WatchedServer.objects.aggregate(Max("reported_at"), Count("pk")).values()),
        )

    def pulses(self, topics: Collection[str]) -> dict[str, Hashable]:
        """For each topic, what moves whenever it may say something else. A target's is not moved by others' results."""
        results, *rest = self.pulse()
        slugs = [topic.partition(":")[2] for topic in topics if topic.startswith("target:")]
        found = TargetStatus.objects.filter(target__slug__in=slugs).values_list("target__slug", "sequence", "since")
        own = {f"target:{slug}": (sequence, since) for slug, sequence, since in found} if slugs else {}
        return {topic: (own.get(topic) if topic.startswith("target:") else results, *rest) for topic in topics}

    def living(self, sessions: Collection[str], now: datetime) -> set[str]:
        """Those of the session keys that still hold."""
        return living(sessions, now)

    def rest(self) -> None:
        """Nobody looks: no database connection is held for them."""
        database_connections.close_all()

    def _overview_topic(self, _: str, now: datetime) -> Data:
        shown = reader().read(now, fresh=False)
        told = {"stories": shown.stories, "more": shown.more, "practised": notes(now)}
        return {
            "rows": self._as_data(shown.rows),
            "order": shown.order,
            "counts": dict(shown.counts),
            "stories": render_to_string("overview/stories.html", told),
        }

    def _as_data(self, rows: Sequence[Row]) -> dict[str, Data]:
        """Each row as data; one that is the same row as before is the same object as before."""
        before = self._told
        self._told = {
            row.slug: known if (known := before.get(row.slug)) and known[0] is row else (row, row.to_json())
            for row in rows
        }
        return {slug: data for slug, (_, data) in self._told.items()}

    def _target_topic(self, slug: str, now: datetime) -> Data | None:
        target = TargetReader.find(slug)
        return TargetReader(target).live(now) if target else None

    def _flags_topic(self, key: str, now: datetime) -> Data | None:
        try:
            return flags_state(key, now=now)
        except UnknownEnvironment:
            return None

    def _health_topic(self, _: str, now: datetime) -> Data:
        states = dict(TargetStatus.objects.values_list("state").annotate(Count("pk")))
        ours = self._read_fleet(now)
        workers = ours.heard.workers if ours.heard else ()
        return {
            "down": states.get("down", 0),
            "degraded": states.get("degraded", 0),
            "ours": ours.banner,
            "processes": troubled_processes(self._data_dir, now) + exceeded_workers(workers, now),
        }

    def _fleet_topic(self, _: str, now: datetime) -> Data:
        return fleet_page.live(self._read_fleet(now))

    def _read_fleet(self, now: datetime) -> Fleet:
        if self._fleet is None or not timedelta(0) <= now - self._fleet.at < FLEET_KEPT:
            self._fleet = fleet.read(now, self._data_dir)
        return self._fleet


def changes(before: Data | None, after: Data) -> Data:
    """What of the overview a page that was told `before` does not know: of each row only the fields that changed."""
    if before is None:
        return after
    told = {name: value for name, value in after.items() if name != "rows" and value != before[name]}
    known = before["rows"]
    # Most rows are the very objects of before, and comparing dictionaries looks at every field first.
    rows = {slug: _fields(known.get(slug), row) for slug, row in after["rows"].items() if known.get(slug) is not row}
    return {**told, "rows": {slug: fields for slug, fields in rows.items() if fields}}


def _fields(before: Data | None, after: Data) -> Data:
    return after if before is None else {name: value for name, value in after.items() if value != before[name]}


def default_topics() -> Topics:
    """The topics of this installation."""
    return Topics(settings.DATA_DIR)
