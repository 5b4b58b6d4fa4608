"""Targets and outcomes for tests, and an independent recount of rollups from the rows."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from connections.models import Environment
from probes.engine.outcome import EventDefect, Events, FailureKind, Frame, Outcome
from probes.engine.script import CRITICAL_EVENTS
from probes.histogram import Histogram
from probes.models import Location, Result, Rollup, Target
from probes.results_stream import Entry

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


def stored_target(slug: str = "chat", *, locations: tuple[str, ...] = ("local",), **fields: Any) -> Target:
    """A target in staging, active since long ago, probed each second with a deadline of one."""
    environment, _ = Environment.objects.get_or_create(key="staging", defaults={"name": "Staging", "position": 2})
    defaults: dict[str, Any] = {
        "name": slug,
        "url": "ws://127.0.0.1:9/",
        "interval_ms": 1000,
        "deadline_ms": 1000,
        "active_since": NOON - timedelta(days=300),
    }
    target = Target.objects.create(slug=slug, environment=environment, **{**defaults, **fields})
    for key in locations:
        target.locations.add(Location.objects.get_or_create(key=key, defaults={"name": key})[0])
    return target


def success(*, ready_us: int = 40_000, **fields: Any) -> Outcome:
    """A probe that met everything it hoped for."""
    marks = {"dns_done": 90, "tcp_done": 300, "request_sent": 350, "upgraded": 1500, "claimed": 30_000}
    arrivals = {event: 2000 * (n + 1) for n, event in enumerate(CRITICAL_EVENTS)}
    defaults: dict[str, Any] = {
        "start_delay_us": 700,
        "marks": {**marks, "ready": 1500 + ready_us},
        "events": Events(expected=CRITICAL_EVENTS, marks=arrivals),
        "close_code": 1000,
        "closed_by": "us",
        "address": "127.0.0.1:9",
        "clock": "kernel",
        "strategy": "dependency_gate",
        "flags_revision": 4,
        "frames": (Frame(10, "out", "text", "hello"), Frame(900, "in", "text", "world")),
    }
    return Outcome(**{**defaults, **fields})


def failure(kind: FailureKind = FailureKind.NOT_READY, **fields: Any) -> Outcome:
    """A probe that was upgraded, and never answered."""
    marks = {"dns_done": 90, "tcp_done": 300, "request_sent": 350, "upgraded": 1500}
    defaults: dict[str, Any] = {"kind": kind, "phase": "ready", "marks": marks, "events": Events(CRITICAL_EVENTS)}
    return success(**{**defaults, **fields})


def lossy() -> Outcome:
    """A probe that was answered, and lost one event while another came twice."""
    marks = {event: 1000 for event in CRITICAL_EVENTS if event != "tool_completed"}
    defects = {"tool_completed": EventDefect.LOST, "agent_thinking": EventDefect.DUPLICATED}
    events = Events(CRITICAL_EVENTS, marks, defects)
    return success(kind=FailureKind.EVENT_LOST, phase="events", also=(FailureKind.EVENT_DUPLICATED,), events=events)


def entry(target: Target, slot: datetime, outcome: Outcome, location: str = "local") -> Entry:
    """An outcome of one slot."""
    return Entry(target.pk, location, slot, outcome)


def recount() -> dict[tuple[Any, ...], dict[str, Any]]:
    """What every rollup of a minute and an hour should be, counted from the rows by other code than the product's."""
    groups: dict[tuple[Any, ...], list[Result]] = defaultdict(list)
    for result in Result.objects.all():
        for width in (60, 3600):
            start = result.slot.replace(second=0, microsecond=0)
            start = start if width == 60 else start.replace(minute=0)
            groups[result.target_id, result.location_id, width, start].append(result)
    return {key: _counted(results) for key, results in groups.items()}


def stored_rollups() -> dict[tuple[Any, ...], dict[str, Any]]:
    """Those rollups as stored, in the shape of `recount`."""
    return {
        (rollup.target_id, rollup.location_id, rollup.width, rollup.start): {
            "probes": rollup.probes,
            "failed": rollup.failed,
            "ours": rollup.ours,
            "flagged": rollup.flagged,
            "kinds": rollup.kinds,
            "events": rollup.events,
            "histograms": {name: Histogram.from_json(data) for name, data in rollup.histograms.items()},
        }
        for rollup in Rollup.objects.filter(width__in=(60, 3600))
    }


def _counted(results: list[Result]) -> dict[str, Any]:
    ours = [result for result in results if result.kind in ("missed", "probe_error", "policy_denied")]
    theirs = [result for result in results if result not in ours]
    return {
        "probes": len(theirs),
        "failed": sum(not result.ok for result in theirs),
        "ours": len(ours),
        "flagged": sum(result.flagged for result in theirs),
        "kinds": dict(Counter(result.kind for result in results if result.kind)),
        "events": _counted_events(theirs),
        "histograms": _counted_histograms(theirs),
    }


def _counted_events(results: list[Result]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        for event in [*result.events["marks"], *result.events.get("absent", [])]:
            counts[event]["expected"] += 1
            counts[event]["delivered"] += event in result.events["marks"]
        for event, defect in result.events["defects"].items():
            counts[event][defect] += 1
    return {event: {name: n for name, n in counter.items() if n} for event, counter in counts.items()}


def _counted_histograms(results: list[Result]) -> dict[str, Histogram]:
    found: dict[str, Histogram] = defaultdict(Histogram)
    for result in results:
        found["start_delay"].add(result.start_delay_us or 0)
        if not result.ok and result.race_window_us is None:
            found["race_window"].add_beyond()
            found["user_ready"].add_beyond()
        if result.flagged:
            continue
        for figure in ("dns", "tcp", "tls", "upgrade", "claimed", "race_window", "user_ready"):
            us = getattr(result, f"{figure}_us")
            if us is not None:
                found[figure].add(us)
        for us in result.events["marks"].values():
            found["event_latency"].add(us)
    return dict(found)
