"""What a target's page watches after a revision: who holds it, its probes before and since, and the verdict."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from connections.models import Revision
from dashboard import sentences, shares
from dashboard.queries.changes import changes_in
from dashboard.queries.evidence import OURS
from dashboard.queries.stories import FAILING, beginning
from dashboard.queries_flags import flags_state
from dashboard.verdicts import Facts, Servers, Told, tell
from probes.cure import Slot, judge
from probes.models import Flip, Result, Target, TargetStatus
from probes.schedule import offset_of, slots_between

WATCHED_FOR = timedelta(minutes=30)
"""For so long everybody who opens the page sees the newest revision being watched."""
BEFORE = timedelta(minutes=15)
"""The longest time before a revision that it is compared with."""
MOST = 5_000
"""Probes of each side that are read, the newest; those of fifteen minutes fit at six a second."""
LATE = timedelta(seconds=2)
"""Servers that do not hold a revision after so long are named."""
SLOW_SHARE = 0.05
"""The ready objective is one of the 95th percentile: where more were slower, slowness is what is judged."""
_LOOK_BACK = 50
_COLUMNS = ("slot", "ok", "kind", "race_window_us", "flagged", "events", "flags_revision")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """Probes of one side of the revision as the table shows them."""

    span: str
    probes: str
    failed: str
    bounds: str
    p95: str
    delivered: str


@dataclass(frozen=True, slots=True)
class Watch:
    """A revision and what it did to one target, as far as is known now."""

    revision: Revision
    served: bool
    """It is still what is served."""
    newer: Revision | None
    """The next revision that touched a governing flag: what it serves is not this one's doing."""
    state: Mapping[str, Any]
    """`flags_state` of the environment."""
    late_at: datetime
    late: tuple[str, ...]
    """The servers that do not hold it."""
    before: Side
    since: Side
    slow: bool
    """What is judged is slowness: hardly any probe failed before."""
    verdict: Told

    @property
    def held(self) -> str:
        """ "7 of 7 servers hold revision 43, slowest 180 ms." """
        sentence: str = self.state["sentence"]
        return sentence.partition(" Behind:")[0]

    def as_data(self, html: str) -> dict[str, Any]:
        """What the live topic carries."""
        return {"revision": self.revision.number, "author": self.revision.author, "html": html}


def newest(environment_key: str) -> Revision | None:
    """The newest revision of an environment that changed a governing flag; None where nothing was ever changed."""
    rows = Revision.objects.filter(environment_id=environment_key).select_related("version").order_by("-number")
    return next((row for row in rows[:_LOOK_BACK] if changes_in(row)), None)


def lately(target: Target, now: datetime) -> Watch | None:
    """The newest revision that governs the target, while it is worth watching."""
    revision = newest(target.environment_id)
    if revision is None or now - revision.at > WATCHED_FOR:
        return None
    return _watch(target, revision, None, now)


def watch(target: Target, number: int, now: datetime) -> Watch | None:
    """One revision of the target's environment; None where it does not exist or there was nothing before it."""
    rows = Revision.objects.filter(environment_id=target.environment_id).select_related("version")
    revision = rows.filter(number=number).exclude(cause="initial").first()
    if revision is None:
        return None
    later = rows.filter(number__gt=number).order_by("number")[:_LOOK_BACK]
    return _watch(target, revision, next((row for row in later if changes_in(row)), None), now)


def _watch(target: Target, revision: Revision, newer: Revision | None, now: datetime) -> Watch:
    state = flags_state(target.environment_id, now=now)
    began = _began(target, revision.at)
    before, since = _rows(target, revision, newer, began)
    late_at = revision.at + LATE
    late = tuple(one["instance"] for one in state["servers"] if one["state"] == "behind") if newer is None else ()
    seen = _Seen(target, revision.number, before, since, _mostly_slow(before, target), began)
    return Watch(
        revision=revision,
        served=newer is None,
        newer=newer,
        state=state,
        late_at=late_at,
        late=late,
        before=_side(before, revision.at - began),
        since=_side(since, (newer.at if newer else now) - revision.at),
        slow=seen.slow,
        verdict=_verdict(seen, Servers(late if now >= late_at else (), state["total"]), now),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """The probes that the verdict is about."""

    target: Target
    number: int
    before: Sequence[Row]
    since: Sequence[Row]
    slow: bool
    began: datetime


def _verdict(seen: _Seen, servers: Servers, now: datetime) -> Told:
    target, slow = seen.target, seen.slow
    judged = judge(_slots(seen.before, slow, target), _slots(seen.since, slow, target), _objective(seen))
    facts = Facts(
        revision=seen.number,
        before=_counts(seen.before, slow, target),
        since=_counts(seen.since, slow, target),
        slow=slow,
        kinds=Counter(row["kind"] for row in seen.since if row["kind"]),
        servers=servers,
        near=seen.began,
        next_at=_next_slot(target, now),
        slot_every=target.interval,
        silent=_silence(seen),
        zone=ZoneInfo(settings.TIME_ZONE),
    )
    return tell(judged, facts)


def _objective(seen: _Seen) -> float:
    return 1 - SLOW_SHARE if seen.slow else seen.target.success_objective


def _began(target: Target, at: datetime) -> datetime:
    """The beginning of what the revision is compared with: of the fault that was on then, at most BEFORE ago."""
    rows = Flip.objects.filter(target=target, at__lte=at).order_by("-at").values_list("at", "after")
    flips = list(rows[:_LOOK_BACK])
    began = beginning(flips) if flips and flips[0][1] in FAILING else None
    return max(at - BEFORE, began or at - BEFORE)


def _rows(target: Target, revision: Revision, newer: Revision | None, began: datetime) -> tuple[list[Row], list[Row]]:
    """(before, since), oldest first, ours left out: before the revision and not served by it; served by it or a later
    one that governs nothing else."""
    found = Result.objects.filter(target=target).exclude(kind__in=OURS).order_by("-slot")
    early = found.filter(slot__gte=began, slot__lt=revision.at).values(*_COLUMNS)[:MOST]
    before = [row for row in early if row["flags_revision"] is None or row["flags_revision"] < revision.number]
    served = found.filter(slot__gte=revision.at - target.interval, flags_revision__gte=revision.number)
    if newer is not None:
        served = served.filter(slot__lt=newer.at + WATCHED_FOR, flags_revision__lt=newer.number)
    return before[::-1], list(served.values(*_COLUMNS)[:MOST])[::-1]


def _bad(row: Row, slow: bool, target: Target) -> bool:
    if not slow:
        return not row["ok"]
    us = row["race_window_us"]
    return not row["ok"] or (us is not None and not row["flagged"] and us > target.ready_objective_ms * 1000)


def _mostly_slow(rows: Sequence[Row], target: Target) -> bool:
    """Chosen by the probes before alone, so that nobody chooses a figure because of how it came out."""
    failed, _ = _counts(rows, False, target)
    bad, probes = _counts(rows, True, target)
    return probes > 0 and bad / probes > SLOW_SHARE and bad > 2 * failed


def _slots(rows: Sequence[Row], slow: bool, target: Target) -> list[Slot]:
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row["slot"])]
    return [Slot(sum(_bad(row, slow, target) for row in group), len(group)) for group in groups]


def _counts(rows: Sequence[Row], slow: bool, target: Target) -> tuple[int, int]:
    return sum(_bad(row, slow, target) for row in rows), len(rows)


def _side(rows: Sequence[Row], span: timedelta) -> Side:
    failed, probes = sum(not row["ok"] for row in rows), len(rows)
    few = probes < sentences.FEWEST_FOR_SHARE
    expected = sum(row["events"].get("expected", 0) for row in rows)
    delivered = sum(row["events"].get("delivered", 0) for row in rows)
    return Side(
        span=sentences.span(span),
        probes=sentences.count(probes),
        failed=sentences.share(failed, probes) if probes else sentences.NO_FIGURE,
        bounds=sentences.NO_FIGURE if few else shares.interval(failed, probes),
        p95=sentences.latency(_p95(rows)),
        delivered=sentences.percent(delivered, expected, 1),
    )


def _p95(rows: Sequence[Row]) -> float | None:
    """Never ready counts as later than all; a target that only listens is neither ready nor late."""
    counted = [row for row in rows if not row["flagged"] and (row["race_window_us"] is not None or not row["ok"])]
    times = sorted(math.inf if row["race_window_us"] is None else row["race_window_us"] for row in counted)
    return times[math.ceil(0.95 * len(times)) - 1] if times else None


def _next_slot(target: Target, now: datetime) -> datetime | None:
    if target.paused:
        return None
    return slots_between(now, now + target.interval, target.interval, offset_of(target.slug, target.interval))[0]


def _silence(seen: _Seen) -> str:
    """Why no probe will tell, where that is known: a sentence, or ""."""
    if seen.since:
        return ""
    if seen.target.paused:
        return "The target is paused."
    if seen.before and all(row["flags_revision"] is None for row in seen.before):
        return "Its probes are not told which revision serves them."
    status = TargetStatus.objects.filter(target=seen.target).values_list("state", flat=True).first()
    return "The probes are late, not the target." if status == "stale" else ""
