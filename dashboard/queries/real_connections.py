"""Real connections of an environment, as its watched servers tell them, beside the probes of one target."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Sum

from connections.flags.reading import Holder, holders
from connections.models import ConnectionCount, Revision
from dashboard import real_connections, sentences
from dashboard.queries_flags import FORGOTTEN_AFTER
from dashboard.real_connections import MOST_STRATEGIES, Counts, Group
from probes.engine.outcome import FailureKind
from probes.models import Result, Target

WINDOW = timedelta(hours=1)
_OURS = [kind.value for kind in FailureKind if kind.ours]


@dataclass(frozen=True, slots=True)
class RealConnections:
    """The panel. Without servers it explains how to get some."""

    environment: str
    reporting: bool
    """Some watched server has reported within the hour."""
    servers: str
    since: str
    """ "since revision 42, 02:51", or "in the last hour"."""
    lede: str
    groups: Sequence[Group]
    hidden: int
    """Strategies that are not shown."""
    server_url: str
    """The address that a watched server fetches its flags from."""


def real_connections_of(target: Target, now: datetime) -> RealConnections:
    """What ended under the served revision, or in the last hour where that is less."""
    environment = target.environment_id
    start, served = _window(environment, now)
    known = [one for one in holders(environment, now=now) if now - one.reported_at < FORGOTTEN_AFTER]
    real = _real(environment, start, served)
    found = real_connections.groups(real, _probes(target, start, served)) if known else []
    zone = ZoneInfo(settings.TIME_ZONE)
    return RealConnections(
        environment=environment,
        reporting=bool(known),
        servers=_servers(known, zone, now),
        since=f"since revision {served}, {sentences.clock(start, zone, now)}" if served else "in the last hour",
        lede=real_connections.lede(real),
        groups=found[:MOST_STRATEGIES],
        hidden=max(0, len(found) - MOST_STRATEGIES),
        server_url=settings.PUBLIC_URL,
    )


def _window(environment: str, now: datetime) -> tuple[datetime, int | None]:
    """When it begins, and the revision that it begins with, where that was served within the hour."""
    newest = Revision.objects.filter(environment_id=environment).order_by("-number").first()
    if newest is not None and newest.cause != "initial" and newest.at > now - WINDOW:
        return newest.at, newest.number
    return now - WINDOW, None


def _real(environment: str, start: datetime, revision: int | None) -> Counts:
    rows = ConnectionCount.objects.filter(environment_id=environment)
    if revision is not None:
        rows = rows.filter(revision=revision, minute__gte=start.replace(second=0, microsecond=0))
    else:
        rows = rows.filter(minute__gte=start)
    return _nested(rows.values_list("strategy", "figure").annotate(Sum("count")))


def _probes(target: Target, start: datetime, revision: int | None) -> Counts:
    rows = Result.objects.filter(target=target, slot__gte=start).exclude(kind__in=_OURS)
    if revision is not None:
        rows = rows.filter(flags_revision=revision)
    return _nested(rows.values_list("strategy", "kind").annotate(Count("slot")))


def _nested(rows: Iterable[tuple[Any, ...]]) -> Counts:
    found: dict[str, dict[str, int]] = {}
    for strategy, figure, number in rows:
        found.setdefault(strategy, {})[figure] = number
    return found


def _servers(known: Sequence[Holder], zone: ZoneInfo, now: datetime) -> str:
    silent = [one for one in known if one.silent]
    told = len(known) - len(silent)
    text = f"{sentences.plural(told, 'watched server')} {'reports' if told == 1 else 'report'}." if told else ""
    if silent:
        newest = max(one.reported_at for one in silent)
        noun = "server has" if len(silent) == 1 else "servers have"
        since = sentences.clock(newest, zone, now, seconds=True)
        text = f"{text} {len(silent)} {noun} not reported since {since}."
    return text.strip()
