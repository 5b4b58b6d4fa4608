"""The counts, the evidence and the changes that stories are told from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.urls import reverse

from dashboard.attribution import Group, attribution, places
from dashboard.queries.changes import changes_near
from dashboard.sentences import Evidence
from dashboard.story import Fault, LastFailure
from probes.engine.outcome import FailureKind
from probes.histogram import bounds
from probes.models import Flip, Location, Result, Rollup, Target

FAILING = ("down", "degraded")
SAME_FAULT = timedelta(minutes=5)
"""Well for less than this between two failures: still the same fault."""
LOOK_BACK = timedelta(days=7)
MOST_FLIPS = 400
ATTRIBUTED = timedelta(hours=1)
"""How much of a fault is looked at to say whose connections fail: its newest part."""
_CODES = {FailureKind.EVENT_LOST: "lost", FailureKind.EVENT_NEVER_EMITTED: "never_emitted"}
_CODES |= {FailureKind.EVENT_DUPLICATED: "duplicated", FailureKind.EVENT_LATE: "late"}


@dataclass
class _Counts:
    probes: int
    failed: int
    kinds: Counter[str]


def with_counts(faults: Sequence[tuple[int, Fault]], now: datetime) -> list[Fault]:
    """Each fault with its counts since, its evidence and what changed near then. `faults`: (target id, fault).

    A handful of queries and one per fault, so give it only those that will be told.
    """
    if not faults:
        return []
    counts = _counts({target_id: fault.since for target_id, fault in faults})
    evidence = _evidence({target_id: _main_kind(counts[target_id]) for target_id, _ in faults})
    changes = changes_near([(fault.environment, fault.slug, fault.since) for _, fault in faults], now)
    served = _served(faults, now)
    probed = _probed_from([target_id for target_id, fault in faults if fault.state == "stale"])
    return [
        replace(
            fault,
            probes=counts[target_id].probes,
            failed=counts[target_id].failed,
            kinds=counts[target_id].kinds,
            bounds=bounds(counts[target_id].failed, counts[target_id].probes),
            evidence=evidence.get(target_id, Evidence()),
            changes=near,
            changes_href=f"{reverse('target', args=[fault.slug])}#changes",
            attribution=attribution(served[target_id]),
            attribution_within=ATTRIBUTED if fault.since < now - ATTRIBUTED else None,
            places=places(served[target_id]),
            locations=probed.get(target_id, ()),
        )
        for (target_id, fault), near in zip(faults, changes, strict=True)
    ]


def last_failure() -> LastFailure | None:
    """The newest failure that is over: its target, when it ended and how long it lasted. At most two queries."""
    end = Flip.objects.filter(before__in=FAILING, after="up").order_by("-at").select_related("target").first()
    if end is None:
        return None
    starts = Flip.objects.filter(target=end.target, at__lt=end.at, after__in=FAILING).exclude(before__in=FAILING)
    start = starts.order_by("-at").first()
    return LastFailure(end.target.name, end.at, end.at - start.at if start else timedelta(0))


def beginnings(target_ids: Sequence[int], now: datetime) -> dict[int, datetime]:
    """When each target's fault began: one that comes back within minutes is the same fault. One query."""
    flips = Flip.objects.filter(target_id__in=target_ids, at__gte=now - LOOK_BACK).order_by("-at")
    by_target: dict[int, list[tuple[datetime, str]]] = {}
    for target_id, at, after in flips.values_list("target_id", "at", "after")[:MOST_FLIPS]:
        by_target.setdefault(target_id, []).append((at, after))
    return {target_id: began for target_id, found in by_target.items() if (began := beginning(found))}


def beginning(flips: Sequence[tuple[datetime, str]]) -> datetime | None:
    """The start of the newest fault. `flips`: (when, state after), newest first; None where none is a failure."""
    began: datetime | None = None
    for at, after in flips:
        if after in FAILING:
            began = at
        elif began is not None and began - at > SAME_FAULT:
            break
    return began


def _counts(since: dict[int, datetime]) -> dict[int, _Counts]:
    """Probes and failures of each target since its moment: minutes up to the next full hour, then hours."""
    found = {target_id: _Counts(0, 0, Counter()) for target_id in since}
    wanted = Q()
    for target_id, at in since.items():
        minute = at.replace(second=0, microsecond=0)
        hour = (at + timedelta(minutes=59, seconds=59, microseconds=999_999)).replace(minute=0, second=0, microsecond=0)
        wanted |= Q(target_id=target_id, width=Rollup.Width.MINUTE, start__gte=minute, start__lt=hour)
        wanted |= Q(target_id=target_id, width=Rollup.Width.HOUR, start__gte=hour)
    for row in Rollup.objects.filter(wanted).values("target_id", "probes", "failed", "kinds"):
        counts = found[row["target_id"]]
        counts.probes += row["probes"]
        counts.failed += row["failed"]
        counts.kinds.update({kind: n for kind, n in row["kinds"].items() if kind and not _ours(kind)})
    return found


def _served(faults: Sequence[tuple[int, Fault]], now: datetime) -> dict[int, list[Group]]:
    """How the probes of each failing target were served since, for at most the last hour; ours are left out."""
    found: dict[int, list[Group]] = {target_id: [] for target_id, _ in faults}
    wanted = Q()
    for target_id, fault in faults:
        if fault.state in FAILING:
            wanted |= Q(target_id=target_id, slot__gte=max(fault.since, now - ATTRIBUTED), slot__lte=now)
    if not wanted:
        return found
    rows = Result.objects.filter(wanted).exclude(kind__in=[kind.value for kind in FailureKind if kind.ours]).order_by()
    groups = rows.values("target_id", "strategy", "flags_revision", "location__name")
    for row in groups.annotate(probes=Count("slot"), good=Count("slot", filter=Q(ok=True))):
        served = row["strategy"], row["flags_revision"], row["location__name"]
        found[row["target_id"]].append(Group(*served, row["probes"], row["probes"] - row["good"]))
    return found


def _probed_from(target_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The names of the locations that each target is probed from; nothing where there is only one for all."""
    if not target_ids or Location.objects.count() < 2:
        return {}
    found: dict[int, tuple[str, ...]] = {}
    rows = Target.locations.through.objects.filter(target_id__in=target_ids).order_by("location__name")
    for target_id, name in rows.values_list("target_id", "location__name"):
        found[target_id] = (*found.get(target_id, ()), name)
    return found


def _ours(kind: str) -> bool:
    return kind in set(FailureKind) and FailureKind(kind).ours


def _main_kind(counts: _Counts) -> str:
    return max(counts.kinds, key=counts.kinds.__getitem__, default="")


def _evidence(kinds: dict[int, str]) -> dict[int, Evidence]:
    """What the newest probe of each target's main kind showed."""
    found: dict[int, Evidence] = {}
    newest = [
        Result.objects.filter(target_id=target_id, kind=kind)
        .order_by("-slot")
        .values("target_id", "kind", "http_status", "close_code", "events")[:1]
        for target_id, kind in kinds.items()
        if kind
    ]
    for rows in newest:
        for row in rows:
            found[row["target_id"]] = Evidence(row["http_status"], row["close_code"], _event(row))
    return found


def _event(row: Mapping[str, Any]) -> str:
    """The first event with the defect that the kind names."""
    wanted = _CODES.get(row["kind"])
    defects: dict[str, str] = row["events"].get("defects", {})
    return next((event for event, defect in defects.items() if defect == wanted), "")
