"""The overview: every target worst first, and the stories on top."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import TextField
from django.db.models.functions import Cast

from dashboard import sentences, shapes
from dashboard.queries.changes import Happened, LastChanges
from dashboard.queries.last_slots import Figures, LastSlots, figures
from dashboard.queries.stories import FAILING, beginnings, last_failure, with_counts
from dashboard.shares import interval
from dashboard.story import Fault, Story, all_up, tell, waiting
from probes.models import Target, TargetStatus

STATES = ("down", "degraded", "stale", "unknown", "paused", "up")
"""Worst first: the order of rows and of chips."""
STORIES = 4
"""How many faults are told; the rest are counted."""
_COLUMNS = (
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
    "status__sequence",
    "status__state",
    "status__since",
    "status__why",
    "status__ribbon",
    "status__last_result_at",
)


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
    """`shapes.spark_letters`, of which the browser draws the line as `spark_line` does."""
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

    @property
    def paths(self) -> dict[str, str]:
        """The ribbon's paths by letter. The browser builds the same from `ribbon`."""
        return shapes.ribbon_paths(self.ribbon)

    @property
    def spark_line(self) -> str:
        """The sparkline's path."""
        return shapes.spark_path(self.spark)

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

    @property
    def order(self) -> list[str]:
        return [row.slug for row in self.rows]


class OverviewReader:
    """Reads the overview; of status rows whose sequence moved, only new slots are parsed. Not for several threads.

    A row of which nothing changed is the very object of the reading before.
    """

    def __init__(self) -> None:
        self._figures: dict[int, tuple[int, Figures]] = {}
        self._last: dict[int, LastSlots] = {}
        self._rows: dict[int, tuple[tuple[Any, ...], Row]] = {}
        self._changes = LastChanges()
        self._zone = ZoneInfo(settings.TIME_ZONE)

    def read(self, now: datetime) -> Overview:
        """A fixed number of queries, however many targets there are."""
        targets = [_with_shown_state(row, now) for row in Target.objects.values(*_COLUMNS)]
        targets.sort(key=_urgency)
        self._refresh(targets)
        began = beginnings([row["id"] for row in targets if row["state"] in FAILING], now)
        targets = [{**row, "since": began.get(row["id"], row["since"])} for row in targets]
        rows = self._same_or_new(targets, self._changes.read())
        counts = Counter(row.state for row in rows)
        stories, more = self._stories(targets, counts, now)
        return Overview(now, rows, {state: counts.get(state, 0) for state in STATES}, stories, more)

    def _refresh(self, targets: Sequence[dict[str, Any]]) -> None:
        current = {row["id"]: row for row in targets if row["status__sequence"] is not None}
        self._figures = {key: value for key, value in self._figures.items() if key in current}
        self._last = {key: value for key, value in self._last.items() if key in current}
        changed = [
            key
            for key, row in current.items()
            if key not in self._figures or self._figures[key][0] != row["status__sequence"]
        ]
        if not changed:
            return
        statuses = TargetStatus.objects.all()
        if len(changed) < len(current) / 2:
            statuses = statuses.filter(pk__in=changed[:900])
        texts = statuses.values_list("target_id", "sequence", Cast("recent", TextField()))
        for target_id, sequence, text in texts:
            if row := current.get(target_id):
                self._figures[target_id] = (sequence, self._last_slots(target_id, row["ready_objective_ms"]).read(text))

    def _last_slots(self, target_id: int, objective_ms: int) -> LastSlots:
        known = self._last.get(target_id)
        if known is None or known.objective_ms != objective_ms:
            known = self._last[target_id] = LastSlots(objective_ms)
        return known

    def _same_or_new(self, targets: Sequence[dict[str, Any]], changes: Mapping[str, Happened]) -> list[Row]:
        current: dict[int, tuple[tuple[Any, ...], Row]] = {}
        for target in targets:
            change = changes.get(target["environment_id"])
            shown_of = (*target.values(), change.identity if change else None)
            known = self._rows.get(target["id"])
            same = known is not None and known[0] == shown_of
            current[target["id"]] = known if known and same else (shown_of, self._row(target, change))
        self._rows = current
        return [row for _, row in current.values()]

    def _row(self, target: dict[str, Any], change: Happened | None) -> Row:
        numbers = self._figures[target["id"]][1] if target["id"] in self._figures else figures([], 1)
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
        )

    def _stories(
        self, targets: Sequence[dict[str, Any]], counts: Mapping[str, int], now: datetime
    ) -> tuple[list[Story], int]:
        if not targets:
            return [], 0
        wrong = [row for row in targets if row["state"] in (*FAILING, "stale")]
        if wrong:
            told = [(row["id"], self._fault(row)) for row in wrong[:STORIES]]
            faults = with_counts(told, now)
            return [tell(fault, self._zone, now) for fault in faults], len(wrong) - len(told)
        if counts["up"] == len(targets):
            return [all_up(len(targets), last_failure(), now)], 0
        return [waiting(counts.get("unknown", 0), counts.get("paused", 0))], 0

    def _fault(self, row: dict[str, Any]) -> Fault:
        numbers = self._figures[row["id"]][1] if row["id"] in self._figures else None
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


def _with_shown_state(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    patience = late_after(row["interval_ms"], row["deadline_ms"])
    state, since = row["status__state"] or "unknown", row["status__since"] or row["created_at"]
    if row["paused_by"]:
        state = "paused"
    state, since = shown_state(state, since, row["status__last_result_at"], patience, now)
    return {**row, "state": state, "since": since}


def _urgency(row: Mapping[str, Any]) -> tuple[bool, int, str]:
    """Down in production first, then down, degraded, stale, not probed, paused, up; then by name."""
    down_in_production = row["state"] == "down" and row["environment__is_production"]
    return not down_in_production, STATES.index(row["state"]), row["name"].lower()


def _note(row: Mapping[str, Any]) -> str:
    if row["state"] == "paused":
        return f"by {row['paused_by']}" if row["paused_by"] else ""
    if row["state"] in FAILING and row["status__why"]:
        return str(row["status__why"])
    return (
        f"every {sentences.span(timedelta(milliseconds=row['interval_ms']))}"
        if row["interval_ms"] >= 1000
        else (f"every {row['interval_ms']}{sentences.NBSP}ms")
    )


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""


def only(overview: Overview, state: str, environment: str) -> Overview:
    """The overview narrowed to a state and an environment; "" means all. Counts stay whole."""
    rows = [
        row
        for row in overview.rows
        if (not state or row.state == state) and (not environment or row.environment == environment)
    ]
    return replace(overview, rows=rows)
