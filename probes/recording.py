"""Outcomes -> rows, rollups, transcripts and status: one transaction, idempotent, run by the recorder only."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from probes import certificates, condensing, guarding, rollups, rows, served, statuses
from probes.engine.outcome import FailureKind
from probes.fleet import counting
from probes.memory import Known, Memory
from probes.models import Location, Target
from probes.results_stream import Entry, Identity
from probes.signals import recorded

LATEST_SLOT_AHEAD = timedelta(minutes=1)
"""A worker's clock may be ahead of ours by so much; beyond it, an outcome is of no slot that exists."""


def record(entries: Iterable[Entry], *, now: datetime, memory: Memory | None = None) -> dict[Identity, str]:
    """Store outcomes, each slot once, and all that is derived from them. Sends `signals.recorded` on commit.

    A slot that has a row keeps it, except that a late outcome takes the place of `missed`. Only what was really stored
    or replaced counts in the rollups, so the same outcomes may be given again at any time. Returns the reasons of those
    that no later try can store, by identity. Raises DatabaseError, with nothing changed. `memory`: what the caller's
    earlier calls left, so that little has to be read again.
    """
    memory = memory or Memory()
    unique: dict[Identity, Entry] = {}
    for entry in entries:
        unique.setdefault(entry.identity, entry)
    with transaction.atomic():
        held = statuses.lock({entry.target_id for entry in unique.values()})
        # Read after the lock: a pause changes both, and must not be judged by what stood before it.
        watched = _watched(held)
        locations = set(Location.objects.values_list("key", flat=True))
        reasons = {identity: _refuse(entry, watched, locations, now) for identity, entry in unique.items()}
        known = memory.take({target_id: row.sequence for target_id, row in held.items()})
        accepted = [entry for identity, entry in unique.items() if not reasons[identity]]
        written = _store(accepted, known, watched, now)
        certificates.keep(accepted, memory)
        # Last: where a guard acts, it takes the environment's next revision and the end of the audit trail.
        guarding.feed(written, now)
        transaction.on_commit(lambda: memory.keep(known.values()))
    return {identity: reason for identity, reason in reasons.items() if reason}


def _store(
    entries: Sequence[Entry],
    known: dict[int, Known],
    watched: dict[int, statuses.Watched],
    now: datetime,
) -> list[Entry]:
    """Returns those that were stored, or took the place of a miss."""
    stored = rows.insert_new(entries, now)
    inserted = [entry for entry in entries if entry.identity in stored]
    late = [entry for entry in entries if entry.identity not in stored and entry.outcome.kind is not FailureKind.MISSED]
    took_place = rows.replace_missed(late, now)
    replaced = [entry for entry in late if entry.identity in took_place]
    written = inserted + replaced
    if not written:
        return []
    rollups.count(inserted, replaced, known)
    served.count(written, known)
    condensing.again(written, now)
    rows.keep_transcripts(written)
    statuses.update(known, watched, written, now)
    counting.count(inserted, replaced, now)
    target_ids = frozenset(entry.target_id for entry in written)
    transaction.on_commit(lambda: recorded.send(sender=record, target_ids=target_ids))
    return written


def _watched(target_ids: Iterable[int]) -> dict[int, statuses.Watched]:
    found = Target.objects.filter(pk__in=target_ids)
    return {
        pk: statuses.Watched(objective_ms * 1000, paused_by, active_since)
        for pk, objective_ms, paused_by, active_since in found.values_list(
            "pk", "ready_objective_ms", "paused_by", "active_since"
        )
    }


def _refuse(entry: Entry, watched: dict[int, statuses.Watched], locations: set[str], now: datetime) -> str:
    if entry.target_id not in watched:
        return f"target {entry.target_id} does not exist"
    if entry.location not in locations:
        return f"location {entry.location!r} does not exist"
    if entry.slot <= now - timedelta(days=settings.RAW_DAYS):
        return f"slot {entry.slot.isoformat()} is older than RAW_DAYS"
    if entry.slot > now + LATEST_SLOT_AHEAD:
        return f"slot {entry.slot.isoformat()} lies in the future"
    return ""
