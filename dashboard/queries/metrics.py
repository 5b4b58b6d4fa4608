"""What `/metrics` tells: targets, locations, workers, flags and this process. docs/metrics.md lists every name."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any

from django.db.models import TextField
from django.db.models.functions import Cast

from connections.flags.reading import holders
from connections.gate.version import VERSION
from connections.models import Environment
from dashboard.exposition import DELAY_BOUNDS, Family
from dashboard.queries import fleet
from dashboard.queries.fleet import Fleet
from dashboard.queries.last_slots import Figures, LastSlots
from dashboard.queries.overview import STATES, late_after, shown_state
from dashboard.queries_flags import FORGOTTEN_AFTER
from probes.fleet.condition import State
from probes.fleet.counting import Counted, counted_of
from probes.models import LocationRollup, Target, TargetStatus

_LETTERS = {"u": "ok", "g": "slow", "d": "failed", "m": "missed"}
_RESULTS = ("on_time", "late", "missed", "errors")
_COLUMNS = (
    "pk", "slug", "environment_id", "interval_ms", "deadline_ms", "ready_objective_ms", "paused_by", "created_at",
    "status__state", "status__since", "status__sequence", "status__ribbon", "status__last_result_at",
)  # fmt: skip


@dataclass(slots=True)
class _Known:
    """A target's figures as of a status row's sequence."""

    sequence: int
    slots: LastSlots
    figures: Figures


class Collector:
    """Reads everything; of status rows whose sequence stands, nothing is parsed again. For several threads."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}
        self._lock = Lock()

    def collect(self, now: datetime) -> list[Family]:
        """Every family, in the order of docs/metrics.md. A fixed number of queries, however many targets there are."""
        with self._lock:
            rows = list(Target.objects.values(*_COLUMNS).order_by("slug"))
            self._refresh(rows)
            targets = self._targets(rows, now)
        found = fleet.read(now)
        info = Family("readywire_build_info", "gauge", "1; the version is a label.")
        info.add(1, version=VERSION)
        return [info, *targets, *_locations(found), *_workers(found), *_machinery(found), *_flags(now)]

    def _refresh(self, rows: Iterable[dict[str, Any]]) -> None:
        current = {row["pk"]: row for row in rows if row["status__sequence"] is not None}
        self._known = {pk: known for pk, known in self._known.items() if pk in current}
        changed = [
            pk
            for pk, row in current.items()
            if pk not in self._known or self._known[pk].sequence != row["status__sequence"]
        ]
        statuses = TargetStatus.objects.all() if len(changed) > 900 else TargetStatus.objects.filter(pk__in=changed)
        for pk, sequence, recent in statuses.values_list("pk", "sequence", Cast("recent", TextField())):
            if pk in current:
                objective = current[pk]["ready_objective_ms"]
                known = self._known.get(pk)
                slots = known.slots if known and known.slots.objective_ms == objective else LastSlots(objective)
                self._known[pk] = _Known(sequence, slots, slots.read(recent))

    def _targets(self, rows: Iterable[dict[str, Any]], now: datetime) -> list[Family]:
        count = Family("readywire_targets", "gauge", "Targets in each state.")
        state = Family("readywire_target_state", "gauge", "1 for the state a target is in; others are left out.")
        since = Family("readywire_target_since_timestamp_seconds", "gauge", "When a target came into its state.")
        slots = Family("readywire_target_slots", "gauge", "A target's last sixty slots, by what came of them.")
        ready = Family("readywire_target_ready_seconds", "gauge", "Race window of the last sixty slots; +Inf: never.")
        events = Family("readywire_target_events", "gauge", "Events of the last sixty slots.")
        newest = Family("readywire_target_result_timestamp_seconds", "gauge", "When a target's newest outcome came.")
        totals: Counter[str] = Counter()
        for row in rows:
            who = {"target": row["slug"], "environment": row["environment_id"]}
            shown, began = _shown(row, now)
            totals[shown] += 1
            state.add(1, **who, state=shown)
            since.add(began.timestamp(), **who)
            ribbon = row["status__ribbon"] or ""
            for letter, word in _LETTERS.items():
                slots.add(ribbon.count(letter), **who, result=word)
            if (known := self._known.get(row["pk"])) and known.figures.probes:
                ready.add(known.figures.p50 / 1e6, **who, quantile="0.5")
                ready.add(known.figures.p95 / 1e6, **who, quantile="0.95")
                events.add(known.figures.expected, **who, result="expected")
                events.add(known.figures.delivered, **who, result="delivered")
            if row["status__last_result_at"]:
                newest.add(row["status__last_result_at"].timestamp(), **who)
        for each in STATES:
            count.add(totals[each], state=each)
        return [count, state, since, slots, ready, events, newest]


def _shown(row: dict[str, Any], now: datetime) -> tuple[str, datetime]:
    """As the pages show it: stale where nothing has confirmed it."""
    state = "paused" if row["paused_by"] else row["status__state"] or "unknown"
    since = row["status__since"] or row["created_at"]
    return shown_state(
        state, since, row["status__last_result_at"], late_after(row["interval_ms"], row["deadline_ms"]), now
    )


def _locations(found: Fleet) -> list[Family]:
    state = Family("readywire_location_state", "gauge", "1 for the state a location is in, 0 for the others.")
    slots = Family("readywire_slots_total", "counter", "Slots of all targets. A miss whose outcome came late is both.")
    flagged = Family("readywire_flagged_probes_total", "counter", "Probes whose figures our lag could have spoiled.")
    delay = Family("readywire_start_delay_seconds", "histogram", "From a slot until its probe began.")
    queued = Family("readywire_queued_batches", "gauge", "Batches of slots that no worker has taken.")
    workers = Family("readywire_workers", "gauge", "Workers heard of within ten seconds.")
    ever = {row["location_id"]: counted_of(row) for row in LocationRollup.objects.filter(width=0).values()}
    for one in found.conditions:
        where = {"location": one.place.key}
        for each in State:
            state.add(each is one.state, **where, state=each.value)
        counted = ever.get(one.place.key, Counted())
        for result in _RESULTS:
            slots.add(getattr(counted, result), **where, result=result)
        flagged.add(counted.flagged, **where)
        delay.add_histogram(counted.start_delay, DELAY_BOUNDS, **where)
        if found.heard is not None:
            queued.add(one.place.queued, **where)
            workers.add(sum(worker.alive(found.at) for worker in one.place.workers), **where)
    return [state, slots, flagged, delay, queued, workers]


def _workers(found: Fleet) -> list[Family]:
    flight = Family("readywire_worker_probes_in_flight", "gauge", "Probes a worker runs now.")
    lag = Family("readywire_worker_loop_lag_seconds", "gauge", "A worker's worst timer delay in the last second.")
    offset = Family("readywire_worker_clock_offset_seconds", "gauge", "A worker's clock minus Redis's.")
    unsent = Family("readywire_worker_unsent_outcomes", "gauge", "Outcomes that Redis has not confirmed.")
    dropped = Family("readywire_worker_dropped_outcomes_total", "counter", "Outcomes lost while Redis was away.")
    for worker in found.heard.workers if found.heard else ():
        if worker.alive(found.at):
            who = {"worker": worker.name, "location": worker.location}
            flight.add(worker.in_flight, **who)
            lag.add(worker.lag_us / 1e6, **who)
            offset.add(worker.clock_offset_us / 1e6, **who)
            unsent.add(worker.waiting, **who)
            dropped.add(worker.dropped, **who)
    return [flight, lag, offset, unsent, dropped]


def _machinery(found: Fleet) -> list[Family]:
    redis = Family("readywire_redis_up", "gauge", "1 where Redis answers.")
    redis.add(found.machinery.redis)
    unrecorded = Family("readywire_unrecorded_outcomes", "gauge", "Outcomes that wait for the recorder.")
    unrecorded.add(found.heard.unrecorded if found.heard else None)
    dispatched = Family("readywire_dispatched_until_timestamp_seconds", "gauge", "Slots until then were handed out.")
    dispatched.add(_seconds(found.machinery.dispatched_until))
    recorded = Family("readywire_recorded_until_timestamp_seconds", "gauge", "The recorder looked at slots until then.")
    recorded.add(_seconds(found.machinery.recorded_until))
    return [redis, unrecorded, dispatched, recorded]


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at else None


def _flags(now: datetime) -> list[Family]:
    revision = Family("readywire_flags_revision", "gauge", "The revision that an environment serves.")
    servers = Family("readywire_watched_servers", "gauge", "Watched servers by what they hold.")
    for stage in Environment.objects.all():
        revision.add(stage.revision, environment=stage.key)
        known = [one for one in holders(stage.key, now=now) if now - one.reported_at < FORGOTTEN_AFTER]
        totals = Counter("silent" if one.silent else "behind" if one.behind else "held" for one in known)
        for state in ("held", "behind", "silent"):
            servers.add(totals[state], environment=stage.key, state=state)
    return [revision, servers]


collector = Collector()
