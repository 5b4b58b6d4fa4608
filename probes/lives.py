"""Lives -> rows: idempotent, run by the recorder only. An end is final; a later report of a living one replaces it."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from probes.engine.lives import Ending, Life
from probes.lives_stream import Identity, LifeEntry
from probes.models import Location, ResidentLife, Target
from probes.recording import LATEST_SLOT_AHEAD
from probes.signals import recorded

_COLUMNS = tuple(each.name for each in fields(Life) if each.name not in ("target_id", "number", "started"))
_KEY = ("target", "location", "number", "started")
_PAGE = 100
"""Rows read by identity in one statement: each names four values, and SQLite takes so many."""


def record_lives(entries: Iterable[LifeEntry], *, now: datetime) -> dict[Identity, str]:
    """Store lives, each once. Sends `signals.recorded` on commit. Raises DatabaseError, with nothing changed.

    Returns the reasons of those that no later try can store, by identity. A target that is gone is none: its residents
    tell of their end after it was deleted.
    """
    unique: dict[Identity, LifeEntry] = {}
    for entry in entries:
        known = unique.get(entry.identity)
        if known is None or entry.life.supersedes(known.life):
            unique[entry.identity] = entry
    with transaction.atomic():
        targets = set(Target.objects.filter(pk__in={key[0] for key in unique}).values_list("pk", flat=True))
        present = {key: entry for key, entry in unique.items() if key[0] in targets}
        locations = set(Location.objects.values_list("key", flat=True))
        refused = {key: reason for key in present if (reason := _refuse(present[key], locations, now))}
        written = _write({key: entry for key, entry in present.items() if key not in refused})
        if written:
            transaction.on_commit(lambda: recorded.send(sender=record_lives, target_ids=written))
    return refused


def life_of(row: ResidentLife) -> Life:
    """The life that a row holds."""
    values = {name: getattr(row, name) for name in _COLUMNS}
    return Life(row.target_id, row.number, row.started.astimezone(UTC), **{**values, "ending": Ending(row.ending)})


def _write(entries: Mapping[Identity, LifeEntry]) -> frozenset[int]:
    known = _known(list(entries))
    new = [entry for key, entry in entries.items() if key not in known or entry.life.supersedes(known[key])]
    columns = ("ended", "charged", *_COLUMNS)
    ResidentLife.objects.bulk_create(
        [_row(entry) for entry in new], update_conflicts=True, unique_fields=_KEY, update_fields=columns
    )
    return frozenset(entry.life.target_id for entry in new)


def _known(keys: list[Identity]) -> dict[Identity, Life]:
    found: dict[Identity, Life] = {}
    for first in range(0, len(keys), _PAGE):
        for row in ResidentLife.objects.filter(pk__in=keys[first : first + _PAGE]):
            life = life_of(row)
            found[row.target_id, row.location_id, row.number, life.started] = life
    return found


def _row(entry: LifeEntry) -> ResidentLife:
    life = entry.life
    values: dict[str, Any] = {name: getattr(life, name) for name in _COLUMNS}
    return ResidentLife(
        **{**values, "ending": life.ending.value},
        target_id=life.target_id,
        location_id=entry.location,
        number=life.number,
        started=life.started,
        ended=life.ended,
        charged=life.ending.cut,
    )


def _refuse(entry: LifeEntry, locations: set[str], now: datetime) -> str:
    if entry.location not in locations:
        return f"location {entry.location!r} does not exist"
    if entry.life.ended <= now - timedelta(days=settings.RAW_DAYS):
        return f"it ended at {entry.life.ended.isoformat()}, which is older than RAW_DAYS"
    if entry.life.ended > now + LATEST_SLOT_AHEAD:
        return f"it ended at {entry.life.ended.isoformat()}, which lies in the future"
    return ""
