"""Environments of generated targets alone: their flags' history, their watched servers, and how all of it goes away."""

import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Max

from connections.flags import reading
from connections.flags.plans import changes_for
from connections.flags.versions import definition_hash, set_hash
from connections.models import (
    ConnectionCount,
    Definition,
    Deploy,
    Environment,
    Revision,
    Version,
    VersionChange,
    WatchedServer,
)
from probes.generating.plan import PLACES, SAFE, Change, Place, Plan, chance_of
from probes.generating.storing import append, instant

SERVERS = 4
"""Watched servers of each environment."""
_OURS = (Revision, Version, WatchedServer, ConnectionCount, Deploy)
"""What is made, and goes again, in the order in which it may."""
_FLAG = "readiness-strategy"
_FIRST_POSITION = 1000
"""Far behind the environments that people have: nothing is promoted from one of theirs to one of these by mistake."""
_FIGURES = (("ended.client_left", 40, 90), ("ended.client_away", 0, 4), ("ready.opened", 40, 95))
"""(figure, least, most) of the real connections of a minute."""
Flags = dict[str, dict[str, Any]]


def make(plan: Plan) -> None:
    """Every environment of the plan, with its flags as they changed."""
    flags = _first_flags()
    for number, place in enumerate(PLACES):
        position = Environment.objects.aggregate(last=Max("position"))["last"] or 0
        Environment.objects.create(
            key=place.key,
            name=place.name,
            position=max(position + 1, _FIRST_POSITION + number),
            is_production=place.production,
        )
        _serve(place, flags, plan.changes[place.key])
    Deploy.objects.bulk_create(
        Deploy(
            environment_id=each.place, service=each.service, version=each.version, who=each.who, at=each.at,
            told_at=each.at, told_by="generate_history",
        )
        for each in plan.deploys
    )  # fmt: skip


def _first_flags() -> Flags:
    """The flags that an environment of this installation has, with the safe strategy served."""
    known = Environment.objects.filter(revision__gt=0).order_by("position").values_list("key", flat=True)
    flags = {key: dict(body) for key, body in reading.flag_set(known[0]).definitions.items()}
    return {**flags, _FLAG: {**flags[_FLAG], "defaultVariant": SAFE}}


def _serve(place: Place, first: Flags, changes: Sequence[Change]) -> None:
    """One version and one revision for each change, at the time when it happened. The audit trail is people's alone:
    `generate_history` writes one row for all of it."""
    flags: Flags = {}
    parent: Version | None = None
    for number, change in enumerate(changes, start=1):
        before = flags
        altered = changes_for(before, {_FLAG: change.strategy}) if before else {**first}
        flags = {**before, **{key: body for key, body in altered.items() if body is not None}}
        version = _version(place.key, number, parent, change, flags)
        _store(version, altered)
        summary = [
            {
                "flag": key,
                "before": before.get(key, {}).get("defaultVariant"),
                "after": flags[key]["defaultVariant"],
            }
            for key in sorted(altered)
        ]
        Revision.objects.create(
            environment_id=place.key, number=number, version=version, cause=version.kind, summary=summary,
            author=change.author, reason=change.reason, at=change.at,
        )  # fmt: skip
        parent = version
    Environment.objects.filter(key=place.key).update(revision=len(changes))


def _version(environment: str, number: int, parent: Version | None, change: Change, flags: Flags) -> Version:
    first = parent is None
    return Version.objects.create(
        environment_id=environment,
        number=number,
        parent=parent,
        kind=Version.Kind.INITIAL if first else Version.Kind.CHANGE,
        set_hash=set_hash(flags),
        author=change.author,
        reason=change.reason,
        created_at=change.at,
        known_good_at=change.at if first else None,
        known_good_by=change.author if first else "",
    )


def _store(version: Version, changes: Mapping[str, dict[str, Any] | None]) -> None:
    for key, body in changes.items():
        if body is not None:
            found, _ = Definition.objects.get_or_create(hash=definition_hash(body), defaults={"body": body})
            VersionChange.objects.create(version=version, flag_key=key, definition=found)


def watch(plan: Plan, seed: int, since: datetime) -> None:
    """Servers that hold what is served, and the real connections that they met since then, by minute."""
    for place in PLACES:
        newest = plan.changes[place.key][-1]
        revision = len(plan.changes[place.key])
        WatchedServer.objects.bulk_create(
            WatchedServer(
                environment_id=place.key, instance=f"{place.key}-{number}", key_name="generated",
                library_version="0.1.0", held_revision=revision, reported_at=plan.end, counting_since=plan.start,
                held_since=newest.at + timedelta(milliseconds=90 + 30 * number),
            )
            for number in range(1, SERVERS + 1)
        )  # fmt: skip
        columns = ("environment_id", "minute", "revision", "strategy", "figure", "count")
        append(ConnectionCount, columns, list(_counts(plan, place, chance_of(seed, "real", place.key), since)))


def _counts(plan: Plan, place: Place, chance: random.Random, since: datetime) -> Iterable[tuple[Any, ...]]:
    minute = max(plan.start, since).replace(second=0, microsecond=0)
    while minute < plan.end:
        strategy, revision = plan.served(place.key, minute)
        for figure, least, most in _FIGURES:
            yield place.key, instant(minute), revision, strategy, figure, chance.randint(least, most)
        minute += timedelta(minutes=1)


def report(now: datetime) -> None:
    """The watched servers go on telling that they live."""
    WatchedServer.objects.filter(environment__in=[place.key for place in PLACES]).update(reported_at=now)


def remove() -> list[str]:
    """Take away every environment that nobody has acted in; returns the keys of those that stay.

    Versions and revisions are kept for ever by design, and their models refuse to go: here, by table.
    """
    kept = []
    for place in PLACES:
        if not Environment.objects.filter(key=place.key).exists():
            continue
        if _acted_in(place.key):
            kept.append(place.key)
            continue
        with connection.cursor() as cursor:
            versions = f"(SELECT id FROM {Version._meta.db_table} WHERE environment_id = %s)"  # noqa: S608  our tables
            cursor.execute(
                f"DELETE FROM {VersionChange._meta.db_table} WHERE version_id IN {versions}",  # noqa: S608  our tables
                [place.key],
            )
            for model in _OURS:
                cursor.execute(f"DELETE FROM {model._meta.db_table} WHERE environment_id = %s", [place.key])  # noqa: S608
        Environment.objects.get(key=place.key).delete()
    return kept


def _acted_in(environment: str) -> bool:
    """Whether the audit trail, a key or a layer names it: rows that somebody made on purpose."""
    return any(
        relation.related_model._default_manager.filter(environment_id=environment).exists()
        for relation in Environment._meta.related_objects
        if relation.related_model not in _OURS
    )
