"""One row per target for the overview: its last sixty slots, what it is, and a Flip for every change."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from probes.bulk import replace
from probes.engine.outcome import Outcome
from probes.health import Verdict, judge
from probes.memory import Known
from probes.models import Flip, Target, TargetStatus
from probes.recent import microseconds
from probes.results_stream import Entry

_COLUMNS = ("state", "since", "why", "ribbon", "recent", "last_slot", "last_result_at", "sequence")


@dataclass(frozen=True, slots=True)
class Watched:
    """What the status of a target depends on besides its outcomes."""

    objective_us: int
    paused_by: str
    active_since: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """A locked status row: what tells whether anything changed since it was last seen."""

    state: str
    sequence: int


def lock(target_ids: Iterable[int]) -> dict[int, Held]:
    """The status rows of those targets that exist, made where there is none, held until the transaction ends.

    Every writer of results takes them first and in the same order: two recorders never change one target at once.
    """
    wanted = sorted(target_ids)
    held = _lock(wanted)
    if len(held) < len(wanted):
        absent = Target.objects.filter(pk__in=[pk for pk in wanted if pk not in held]).values_list("pk", flat=True)
        TargetStatus.objects.bulk_create([TargetStatus(target_id=pk) for pk in absent], ignore_conflicts=True)
        held = _lock(wanted)
    return held


def _lock(target_ids: Sequence[int]) -> dict[int, Held]:
    rows = TargetStatus.objects.select_for_update().filter(pk__in=target_ids).order_by("pk")
    return {pk: Held(state, sequence) for pk, state, sequence in rows.values_list("pk", "state", "sequence")}


def update(known: Mapping[int, Known], watched: Mapping[int, Watched], entries: Iterable[Entry], now: datetime) -> None:
    """Add newly stored slots to their targets' rows, judge again, and write a Flip where the state changed."""
    fresh: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        fresh[entry.target_id].append(entry)
    rows, flips = [], []
    for target_id, found in fresh.items():
        status = known[target_id]
        ribbon = _extend(status, found, watched[target_id].objective_us, now)
        verdict = _judge(status, watched[target_id])
        if verdict.state != status.state:
            flips.append(Flip(target_id=target_id, before=status.state, after=verdict.state, at=now, why=verdict.why))
            status.state, status.since = verdict.state, now
        status.why = verdict.why[:300]
        status.sequence += 1
        rows.append(_values(status, ribbon))
    # `lock` holds these rows: nobody changed their state since it was read.
    replace(TargetStatus, ("target_id",), _COLUMNS, rows)
    Flip.objects.bulk_create(flips)


def recent_row(entry: Entry, objective_us: int) -> dict[str, Any]:
    """One slot at one location: a `probes.recent.Row`."""
    outcome = entry.outcome
    return {
        "slot": microseconds(entry.slot),
        "loc": entry.location,
        "ok": outcome.ok,
        "kind": outcome.kind.value if outcome.kind else "",
        "race_us": outcome.race_window_us,
        "delivered": outcome.events.delivered,
        "expected": len(outcome.events.expected),
        "strategy": outcome.strategy[:40],
        "revision": outcome.flags_revision,
        "letter": _letter(outcome, objective_us),
    }


def _letter(outcome: Outcome, objective_us: int) -> str:
    if outcome.kind is not None:
        return "m" if outcome.kind.ours else "d"
    return "g" if (outcome.race_window_us or 0) > objective_us else "u"


def _extend(status: Known, entries: Sequence[Entry], objective_us: int, now: datetime) -> str:
    """Take the slots in; returns the ribbon."""
    for entry in entries:
        row = recent_row(entry, objective_us)
        status.recent.add(row)
        status.last_slot = max(entry.slot, status.last_slot or entry.slot)
        if row["letter"] != "m":
            status.last_result_at = now
    return status.recent.ribbon()


def _judge(status: Known, watched: Watched) -> Verdict:
    since = microseconds(watched.active_since)
    rows = status.recent.rows
    if rows[0]["slot"] <= since:
        rows = [row for row in rows if row["slot"] > since]
    return judge(rows, before=status.state, objective_us=watched.objective_us, paused_by=watched.paused_by)


def _values(status: Known, ribbon: str) -> tuple[Any, ...]:
    return (
        status.target_id,
        status.state,
        status.since,
        status.why,
        ribbon,
        status.recent.text(),
        status.last_slot,
        status.last_result_at,
        status.sequence,
    )
