"""The overview: every target worst first, and the stories on top."""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import cache
from threading import Lock
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Max, Q, TextField
from django.db.models.functions import Cast

from dashboard import sentences, shapes
from dashboard.queries.changes import Happened, LastChanges, Place
from dashboard.queries.last_slots import Figures, LastSlots, figures
from dashboard.queries.stories import FAILING, beginnings, last_failure, with_counts
from dashboard.shares import interval
from dashboard.story import Fault, Story, all_up, tell, waiting
from probes.models import Location, Target, TargetStatus

STATES = ("down", "degraded", "stale", "unknown", "paused", "up")
"""Worst first: the order of rows and of chips."""
STORIES = 4
"""How many faults are told; the rest are counted."""
DEFINITIONS_SECONDS = 1.0
"""How long what people wrote of targets (names, tags, objectives) may be that of an earlier reading of an open page."""
NEVER_US = 10**15
"""Microseconds that stand for "never" where figures are put in order; -1 stands for no figure."""
MOST_IN = 900
"""Values in one SQL condition; SQLite takes at most 999 variables in the oldest builds that Django runs on."""
_DEFINITION = (
    "id",
    "slug",
    "name",
    "environment_id",
    "environment__name",
    "environment__is_production",
    "interval_ms",
    "deadline_ms",
    "ready_objective_ms",
    "paused_by",
    "created_at",
    "tags",
)
_STATUS = ("target_id", "sequence", "state", "since", "why", "ribbon", "last_result_at")
_NO_STATUS: dict[str, Any] = dict.fromkeys((f"status__{name}" for name in _STATUS), None)


@dataclass(frozen=True, slots=True)
class Row:
    """One target as the page shows it: words and paths, ready to be put in place. Times are ISO 8601."""

    slug: str
    name: str
    environment: str
    environment_name: str
    production: bool
    state: str
    word: str
    since: str
    note: str
    ribbon: str
    ribbon_label: str
    spark: str
    """`shapes.spark_letters`, of which the browser draws the line."""
    spark_objective: float
    p95: str
    p50: str
    delivery: str
    lost: str
    delivery_bounds: str
    """95 % bounds of the share of events that arrive."""
    result_at: str
    change: str
    """The newest revision that touched a governing flag ("r42"), or deploy ("▽ 5.12.0"), whichever is newer."""
    change_at: str
    tags: tuple[str, ...]
    locations: tuple[str, ...]
    """Keys, in order."""
    p95_us: int
    """For the order of rows: -1 is no figure, `NEVER_US` is never."""

    @property
    def paths(self) -> dict[str, str]:
        """The ribbon's paths by letter. The browser builds the same from `ribbon`."""
        return shapes.ribbon_paths(self.ribbon)

    def to_json(self) -> dict[str, Any]:
        # Not dataclasses.asdict, which copies each value deeply: this runs for every target that changed.
        return {name: getattr(self, name) for name in _ROW_FIELDS}


_ROW_FIELDS = tuple(each.name for each in fields(Row))


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything `/` shows at one instant."""

    at: datetime
    rows: Sequence[Row]
    counts: Mapping[str, int]
    stories: Sequence[Story]
    more: int
    """Faults that are not told."""
    locations: Mapping[str, str]
    """Key -> name, of all there are."""

    @property
    def order(self) -> list[str]:
        return [row.slug for row in self.rows]


@dataclass(frozen=True, slots=True)
class _Shown:
    """A target as one reading found it. `facts` stays the same object while the database says the same of it."""

    facts: dict[str, Any]
    state: str
    since: datetime

    @property
    def urgency(self) -> tuple[bool, int, str]:
        """Down in production first, then down, degraded, stale, not probed, paused, up; then by name."""
        down_in_production = self.state == "down" and self.facts["environment__is_production"]
        return not down_in_production, STATES.index(self.state), self.facts["lower"]

    @property
    def whole(self) -> dict[str, Any]:
        return {**self.facts, "state": self.state, "since": self.since}


class OverviewReader:
    """Reads the overview again and again: what did not change since is neither read nor worked out once more.

    May be used by several threads; one reads at a time. A row of which nothing changed is the very object of the
    reading before.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._definitions: dict[int, dict[str, Any]] = {}
        self._locations: dict[str, str] = {}
        self._defined: tuple[Any, ...] = ()
        self._defined_at = -math.inf
        self._versions: dict[int, tuple[int, str]] = {}
        self._facts: dict[int, dict[str, Any]] = {}
        self._figures: dict[int, Figures] = {}
        self._last: dict[int, LastSlots] = {}
        self._rows: dict[int, tuple[dict[str, Any], tuple[Any, ...], Row]] = {}
        self._changes = LastChanges()
        self._zone = ZoneInfo(settings.TIME_ZONE)

    def read(self, now: datetime, *, fresh: bool = True) -> Overview:
        """A fixed number of queries, however many targets there are.

        Not `fresh`: changed definitions of targets may be read `DEFINITIONS_SECONDS` late. New targets, pauses and
        results are never late.
        """
        with self._lock:
            self._read_definitions(fresh=fresh)
            self._read_statuses()
            targets = self._shown(now)
            places = [(target.facts["environment_id"], target.facts["slug"]) for target in targets]
            rows = self._same_or_new(targets, self._changes.read(places))
            counts = Counter(row.state for row in rows)
            stories, more = self._stories(targets, counts, now)
            shown = {state: counts.get(state, 0) for state in STATES}
            return Overview(now, rows, shown, stories, more, self._locations)

    def _read_definitions(self, *, fresh: bool) -> None:
        paused = Count("pk", filter=~Q(paused_by=""))
        defined = tuple(Target.objects.aggregate(Count("pk"), Max("pk"), paused=paused).values())
        if not fresh and defined == self._defined and time.monotonic() - self._defined_at < DEFINITIONS_SECONDS:
            return
        self._defined, self._defined_at = defined, time.monotonic()
        self._locations = dict(Location.objects.order_by("key").values_list("key", "name"))
        placed: dict[int, list[str]] = {}
        for target_id, location in Target.locations.through.objects.values_list("target_id", "location_id"):
            placed.setdefault(target_id, []).append(location)
        found: dict[int, dict[str, Any]] = {}
        for row in Target.objects.order_by().values(*_DEFINITION):
            named = {**row, "lower": row["name"].lower(), "locations": tuple(sorted(placed.get(row["id"], ())))}
            before = self._definitions.get(row["id"])
            found[row["id"]] = before if before == named else named
        for target_id, definition in found.items():
            if self._definitions.get(target_id) is not definition:
                self._versions.pop(target_id, None)  # its objective may be another: worked out again
        self._definitions = found

    def _read_statuses(self) -> None:
        """Of a status whose sequence stands where it stood, nothing else is read."""
        versions = {
            target_id: (sequence, str(at))
            for target_id, sequence, at in TargetStatus.objects.values_list(
                "target_id", "sequence", Cast("last_result_at", TextField())
            )
            if target_id in self._definitions
        }
        changed = [key for key, version in versions.items() if self._versions.get(key) != version]
        for kept in (self._facts, self._figures, self._last):
            for target_id in kept.keys() - self._definitions.keys():
                del kept[target_id]
        for target_id, definition in self._definitions.items():
            if target_id not in versions:
                self._facts[target_id] = self._unprobed(target_id, definition)
        if changed:
            self._read_changed(changed)
        self._versions = versions  # only now: what failed half-way is read again

    def _unprobed(self, target_id: int, definition: dict[str, Any]) -> dict[str, Any]:
        facts = {**definition, **_NO_STATUS}
        known = self._facts.get(target_id)
        return known if known == facts else facts

    def _read_changed(self, changed: Sequence[int]) -> None:
        statuses = TargetStatus.objects.all()
        if len(changed) <= min(MOST_IN, len(self._definitions) / 2):
            statuses = statuses.filter(pk__in=changed)
        wanted = set(changed)
        for *values, text in statuses.values_list(*_STATUS, Cast("recent", TextField())):
            target_id = values[0]
            if target_id in wanted:
                definition = self._definitions[target_id]
                status = {f"status__{name}": value for name, value in zip(_STATUS, values, strict=True)}
                self._facts[target_id] = {**definition, **status}
                self._figures[target_id] = self._last_slots(target_id, definition["ready_objective_ms"]).read(text)

    def _last_slots(self, target_id: int, objective_ms: int) -> LastSlots:
        known = self._last.get(target_id)
        if known is None or known.objective_ms != objective_ms:
            known = self._last[target_id] = LastSlots(objective_ms)
        return known

    def _shown(self, now: datetime) -> list[_Shown]:
        """Every target with its state and since when, worst first."""
        found = [_with_shown_state(self._facts[target_id], now) for target_id in self._definitions]
        failing = [target.facts["id"] for target in found if target.state in FAILING]
        began = beginnings(failing, now) if failing else {}
        if began:
            found = [
                _Shown(target.facts, target.state, began.get(target.facts["id"], target.since)) for target in found
            ]
        found.sort(key=lambda target: target.urgency)
        return found

    def _same_or_new(self, targets: Sequence[_Shown], newest: Mapping[Place, Happened]) -> list[Row]:
        current: dict[int, tuple[dict[str, Any], tuple[Any, ...], Row]] = {}
        for target in targets:
            change = newest.get((target.facts["environment_id"], target.facts["slug"]))
            seen = (target.state, target.since, change.identity if change else None)
            known = self._rows.get(target.facts["id"])
            same = known is not None and known[0] is target.facts and known[1] == seen
            current[target.facts["id"]] = (
                known if known and same else (target.facts, seen, self._row(target.whole, change))
            )
        self._rows = current
        return [row for _, _, row in current.values()]

    def _row(self, target: dict[str, Any], change: Happened | None) -> Row:
        numbers = self._figures.get(target["id"]) or figures([], 1)
        letters = shapes.ribbon_letters(target["status__ribbon"] or "")
        lost = numbers.expected - numbers.delivered
        return Row(
            slug=target["slug"],
            name=target["name"],
            environment=target["environment_id"],
            environment_name=target["environment__name"].lower(),
            production=target["environment__is_production"],
            state=target["state"],
            word=sentences.STATE_WORDS[target["state"]],
            since=_iso(target["since"]),
            note=_note(target),
            ribbon=letters,
            ribbon_label=sentences.ribbon_label(letters.lstrip("z")),
            spark=numbers.spark,
            spark_objective=numbers.spark_objective,
            p95=sentences.latency(numbers.p95),
            p50=f"p50 {sentences.latency(numbers.p50)}",
            delivery=sentences.percent(numbers.delivered, numbers.expected, decimals=1),
            lost=f"{sentences.count(lost)} lost" if numbers.expected else "",
            delivery_bounds=interval(numbers.delivered, numbers.expected) if numbers.expected else "",
            result_at=_iso(target["status__last_result_at"]),
            change=change.label if change else sentences.NO_FIGURE,
            change_at=_iso(change.at if change else None),
            tags=tuple(target["tags"]),
            locations=target["locations"],
            p95_us=-1 if math.isnan(numbers.p95) else int(min(numbers.p95, NEVER_US)),
        )

    def _stories(self, targets: Sequence[_Shown], counts: Mapping[str, int], now: datetime) -> tuple[list[Story], int]:
        if not targets:
            return [], 0
        wrong = [target for target in targets if target.state in (*FAILING, "stale")]
        if wrong:
            told = [(target.facts["id"], self._fault(target.whole)) for target in wrong[:STORIES]]
            faults = with_counts(told, now)
            return [tell(fault, self._zone, now) for fault in faults], len(wrong) - len(told)
        if counts["up"] == len(targets):
            return [all_up(len(targets), last_failure(), now)], 0
        return [waiting(counts.get("unknown", 0), counts.get("paused", 0))], 0

    def _fault(self, row: dict[str, Any]) -> Fault:
        numbers = self._figures.get(row["id"])
        return Fault(
            name=row["name"],
            slug=row["slug"],
            environment=row["environment_id"],
            state=row["state"],
            since=row["since"],
            ready_p95_us=numbers.p95 if numbers else None,
            objective_us=row["ready_objective_ms"] * 1000,
            last_result_at=row["status__last_result_at"],
        )


def shown_state(
    state: str, since: datetime, last_result_at: datetime | None, late_after: timedelta, now: datetime
) -> tuple[str, datetime]:
    """The state to show and since when: a state that nothing has confirmed for `late_after` reads "stale".

    The recorder flips targets to stale itself; this holds also while the recorder is the part that is away.
    """
    if state in ("up", *FAILING) and last_result_at and now - last_result_at > late_after:
        return "stale", last_result_at
    return state, since


def late_after(interval_ms: int, deadline_ms: int) -> timedelta:
    """How long without a result is late: four intervals, the deadline, and ten seconds."""
    return timedelta(milliseconds=4 * interval_ms + deadline_ms, seconds=10)


def _with_shown_state(facts: dict[str, Any], now: datetime) -> _Shown:
    state, since = facts["status__state"] or "unknown", facts["status__since"] or facts["created_at"]
    if facts["paused_by"]:
        state = "paused"
    patience = late_after(facts["interval_ms"], facts["deadline_ms"])
    return _Shown(facts, *shown_state(state, since, facts["status__last_result_at"], patience, now))


def _note(row: Mapping[str, Any]) -> str:
    if row["state"] == "paused":
        return f"by {row['paused_by']}" if row["paused_by"] else ""
    if row["state"] in FAILING and row["status__why"]:
        return str(row["status__why"])
    interval = timedelta(milliseconds=row["interval_ms"])
    every = sentences.span(interval) if row["interval_ms"] >= 1000 else f"{row['interval_ms']}{sentences.NBSP}ms"
    places = len(row["locations"])
    return f"{places} locations · every {every}" if places > 1 else f"every {every}"


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""


@cache
def reader() -> OverviewReader:
    """The one of this process: what its live hub has read, its pages need not read again."""
    return OverviewReader()
