"""The target page: its story, the probes, the flags that govern it, and what changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string

from connections.flags.reading import flag_set, holders, slowest
from connections.flags.versions import FlagSet
from dashboard import sentences
from dashboard.certificates import Told, told
from dashboard.layer_words import served_variants, served_words
from dashboard.queries import practice, race_checks
from dashboard.queries.changes import Happened, happened
from dashboard.queries.last_slots import figures
from dashboard.queries.overview import late_after, shown_state
from dashboard.queries.real_connections import real_connections_of
from dashboard.queries.stories import FAILING, beginnings, with_counts
from dashboard.queries.watch import lately, newest
from dashboard.story import Fault, Story, single, tell
from probes.models import Result, ServedCertificate, Target, TargetStatus
from probes.recent import lists

SIDE_PROBES = 8
TABLE_PROBES = 30
PROBE_COLUMNS = (
    "slot", "ok", "kind", "race_window_us", "events", "strategy", "flags_revision", "location_id", "flagged",
)  # fmt: skip
_SHOWN_FLAGS = ("readiness-strategy", "dependency-validation", "client-ack", "adaptive-timing", "degraded-mode")
"""Flags listed in the side column, in this order; parameters are an object and stay on the flags page."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a target is now."""

    state: str
    since: datetime
    """Of a fault: when it began. Going between degraded and down, or being well for minutes, does not end it."""
    why: str
    sequence: int
    last_result_at: datetime | None
    story: Story


@dataclass(frozen=True, slots=True)
class Probe:
    """One line of the list of probes."""

    identity: str
    slot: datetime
    ok: bool
    kind: str
    state: str
    ready_us: int | None
    delivered: int
    expected: int
    strategy: str
    revision: int | None
    location: str
    flagged: bool

    @property
    def outcome(self) -> str:
        return self.kind or "ready"

    @property
    def ready(self) -> str:
        if self.ready_us is not None:
            return sentences.latency(self.ready_us)
        return sentences.NO_FIGURE if self.ok or self.state == "missed" else "never"


@dataclass(frozen=True, slots=True)
class Governing:
    """The flags that decide when this target's connections are ready, as they are served now."""

    environment: str
    revision: int
    values: Sequence[tuple[str, str, bool]]
    """(flag, variant served, whether that is not its safe variant)."""
    parameters: str
    """The variant of readiness-parameters."""
    servers: str
    """ "2 of 2 servers hold revision 42, slowest 180 ms." """
    undo: int | None
    """The newest revision that changed one of them; None where nothing was ever changed."""


class TargetReader:
    """Reads one target. A few queries each, none of which grows with history."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._zone = ZoneInfo(settings.TIME_ZONE)

    @staticmethod
    def find(slug: str) -> Target | None:
        """The target with this slug, with its environment."""
        return Target.objects.select_related("environment").filter(slug=slug).first()

    def condition(self, now: datetime) -> Condition:
        """State and story."""
        target = self.target
        status = TargetStatus.objects.filter(target=target).first() or TargetStatus(
            target=target, since=target.created_at
        )
        patience = late_after(target.interval_ms, target.deadline_ms)
        state = TargetStatus.State.PAUSED.value if target.paused else status.state
        state, since = shown_state(state, status.since, status.last_result_at, patience, now)
        if state in FAILING:
            since = beginnings([target.pk], now).get(target.pk, since)
        story = self._story(status, state, since, now)
        return Condition(state, since, status.why, status.sequence, status.last_result_at, story)

    def _story(self, status: TargetStatus, state: str, since: datetime, now: datetime) -> Story:
        if state not in (*FAILING, "stale"):
            return single(self.target.name, state, since, self._zone, now)
        fault = Fault(
            name=self.target.name,
            slug=self.target.slug,
            environment=self.target.environment_id,
            state=state,
            since=since,
            ready_p95_us=figures(lists(status.recent), self.target.ready_objective_ms).p95,
            objective_us=self.target.ready_objective_ms * 1000,
            last_result_at=status.last_result_at,
        )
        [fault] = with_counts([(self.target.pk, fault)], now)
        return tell(fault, self._zone, now)

    def probes(self, most: int, before: datetime | None = None) -> list[Probe]:
        """The newest probes, newest first."""
        rows = Result.objects.filter(target=self.target)
        if before:
            rows = rows.filter(slot__lt=before)
        return [probe_of(row, self.target) for row in rows.order_by("-slot").values(*PROBE_COLUMNS)[:most]]

    def governing(self, now: datetime) -> Governing:
        """The flags served to this target's environment, and how many servers hold them."""
        served = flag_set(self.target.environment_id)
        return Governing(
            environment=served.environment,
            revision=served.revision,
            values=[(key, *_served(served, key)) for key in _SHOWN_FLAGS if key in served.definitions],
            parameters=served.definitions.get("readiness-parameters", {}).get("defaultVariant", ""),
            servers=_servers(self.target.environment_id, served.revision, now),
            undo=last.number if (last := newest(self.target.environment_id)) else None,
        )

    def certificate(self, now: datetime) -> Told | None:
        """What the target's certificate says; None over plain ws, and before the first probe."""
        row = ServedCertificate.objects.filter(target=self.target).first()
        return self._told(row, now) if row and self.target.url.startswith("wss:") else None

    def _told(self, row: ServedCertificate, now: datetime) -> Told:
        return told(row, now, self._zone, timedelta(days=settings.CERTIFICATE_WARNING_DAYS))

    def practised(self, now: datetime) -> list[practice.Note]:
        """The faults that are on in it on purpose."""
        return practice.notes(now, self.target) if self.target.is_reference else []

    def changes(self, condition: Condition) -> list[Happened]:
        """What changed in its environment, newest first; near the beginning of its fault, where it has one."""
        since = condition.since if condition.state in FAILING else None
        return happened(self.target.environment_id, self.target.slug, since)

    def live(self, now: datetime) -> dict[str, Any]:
        """What the page replaces while it is open: the state, the story, the side column."""
        condition = self.condition(now)
        context = {"target": self.target, "condition": condition, "probes": self.probes(SIDE_PROBES)}
        context |= {"governing": self.governing(now), "changes": self.changes(condition)}
        context |= {"failing": condition.state in FAILING}
        context |= {"real": real_connections_of(self.target, now), "watch": (watched := lately(self.target, now))}
        return {
            "state": condition.state,
            "word": sentences.STATE_WORDS[condition.state],
            "sequence": condition.sequence,
            "result_at": condition.last_result_at,
            "story": render_to_string(
                "target/story.html", {"story": condition.story, "practised": self.practised(now)}
            ),
            "flags": render_to_string("target/flags.html", context),
            "changes": render_to_string("target/changes.html", context),
            "real": render_to_string("target/real_connections.html", context),
            "last_probes": render_to_string("target/last_probes.html", context),
            "race_check": race_checks.live(self.target),
            "act": watched and watched.as_data(render_to_string("acts/watch.html", context)),
        }


def identity_of(location: str, slot: datetime) -> str:
    """A probe's name in addresses: location, and its slot in microseconds since 1970."""
    return f"{location}:{round(slot.timestamp() * 1_000_000)}"


def probe_of(row: dict[str, Any], target: Target) -> Probe:
    """A row with `PROBE_COLUMNS` as a line of a list."""
    slow = (row["race_window_us"] or 0) > target.ready_objective_ms * 1000
    return Probe(
        identity=identity_of(row["location_id"], row["slot"]),
        slot=row["slot"],
        ok=row["ok"],
        kind=row["kind"],
        state=_state_of(row["kind"], slow),
        ready_us=row["race_window_us"],
        delivered=row["events"].get("delivered", 0),
        expected=row["events"].get("expected", 0),
        strategy=row["strategy"],
        revision=row["flags_revision"],
        location=row["location_id"],
        flagged=row["flagged"],
    )


def _state_of(kind: str, slow: bool) -> str:
    if kind:
        return "missed" if sentences.owner_of(kind) == "us" else "down"
    return "degraded" if slow else "up"


def _served(flags: FlagSet, key: str) -> tuple[str, bool]:
    """What is served under what lies over the flag, and whether anybody gets another variant than the safe one."""
    definition = flags.definitions[key]
    safe = definition.get("metadata", {}).get("safeVariant")
    layers = [one for one in flags.layers if one.flag == key]
    unsafe = safe is not None and served_variants(definition, layers) != {safe}
    return served_words(definition, layers) if layers else definition.get("defaultVariant") or "none", unsafe


def _servers(environment: str, revision: int, now: datetime) -> str:
    known = [holder for holder in holders(environment, now=now) if not holder.silent]
    if not known:
        return "No watched server reports from here."
    holding = sum(not holder.behind for holder in known)
    took = slowest(known)
    speed = f", slowest {sentences.latency(took.total_seconds() * 1_000_000)}" if took and took.days == 0 else ""
    noun = "server holds" if len(known) == 1 else "servers hold"
    return f"{holding} of {len(known)} {noun} revision {revision}{speed}."
