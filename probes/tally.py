"""What a minute or an hour of outcomes adds up to. Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from probes.engine.outcome import EventDefect, FailureKind, Outcome
from probes.histogram import Histogram, bucket_of

LATENCIES = ("dns", "tcp", "tls", "upgrade", "claimed", "race_window", "user_ready")
"""Figures whose microseconds are `Outcome.<figure>_us`, in the order of `latencies_of`.

Beside them: `start_delay` (ours) and `event_latency`."""
NEVER = ("race_window", "user_ready")
"""Figures in which a probe that was never ready counts as beyond its deadline."""

_encode = json.JSONEncoder(separators=(",", ":")).encode

Key = tuple[int, str, int, datetime]
"""(target id, location, width in seconds, start)."""
COLUMNS = ("probes", "failed", "ours", "flagged", "kinds", "events", "histograms")
"""The columns of a rollup, in the order of `Tally.values`."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What one outcome adds to each tally that counts it, worked out once for all of them."""

    kind: str
    """"" where the probe succeeded."""
    ours: bool = False
    flagged: bool = False
    events: tuple[tuple[str, str], ...] = ()
    """(event, what is counted of it)."""
    never: bool = False
    """Never ready: beyond the deadline in the figures of `NEVER`."""
    buckets: tuple[tuple[str, int], ...] = ()
    """(figure, bucket of its histogram)."""


def findings_of(outcome: Outcome) -> Findings:
    """What is ours is never charged to the target: of it only the kind counts."""
    kind = outcome.kind.value if outcome.kind is not None else ""
    if outcome.kind is not None and outcome.kind.ours:
        return Findings(kind, ours=True)
    never = not outcome.ok and "ready" not in outcome.marks
    return Findings(kind, False, outcome.flagged, tuple(_events(outcome)), never, tuple(_buckets(outcome)))


def _events(outcome: Outcome) -> Iterator[tuple[str, str]]:
    marks, defects = outcome.events.marks, outcome.events.defects
    for event in outcome.events.expected:
        yield event, "expected"
        if event in marks:
            yield event, "delivered"
        if defect := defects.get(event):
            yield event, EventDefect(defect).value


def _buckets(outcome: Outcome) -> Iterator[tuple[str, int]]:
    yield "start_delay", bucket_of(outcome.start_delay_us)
    if outcome.flagged:
        return
    for figure, us in zip(LATENCIES, latencies_of(outcome), strict=True):
        if us is not None:
            yield figure, bucket_of(us)
    for us in outcome.events.marks.values():
        yield "event_latency", bucket_of(us)


def latencies_of(outcome: Outcome) -> tuple[int | None, ...]:
    """Microseconds of each of `LATENCIES`, None where the probe did not get that far."""
    return (
        outcome.dns_us,
        outcome.tcp_us,
        outcome.tls_us,
        outcome.upgrade_us,
        outcome.claimed_us,
        outcome.race_window_us,
        outcome.user_ready_us,
    )


@dataclass(slots=True)
class Tally:
    """The counts and histograms of one rollup; see `probes.models.Rollup` for each field."""

    probes: int = 0
    failed: int = 0
    ours: int = 0
    flagged: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    events: dict[str, dict[str, int]] = field(default_factory=dict)
    histograms: dict[str, Histogram] = field(default_factory=dict)

    def add(self, findings: Findings) -> None:
        """Count one recorded outcome."""
        if findings.kind:
            self.kinds[findings.kind] = self.kinds.get(findings.kind, 0) + 1
        if findings.ours:
            self.ours += 1
            return
        self.probes += 1
        self.failed += bool(findings.kind)
        self.flagged += findings.flagged
        for event, name in findings.events:
            counts = self.events.get(event)
            if counts is None:
                counts = self.events[event] = {}
            counts[name] = counts.get(name, 0) + 1
        for figure, bucket in findings.buckets:
            self._histogram(figure).add_to(bucket)
        if findings.never:
            for figure in NEVER:
                self._histogram(figure).add_beyond()

    def remove_missed(self) -> None:
        """Take back one missed slot, whose outcome came late after all."""
        self.ours -= 1
        left = self.kinds.pop(FailureKind.MISSED) - 1
        if left:
            self.kinds[FailureKind.MISSED] = left

    def _histogram(self, figure: str) -> Histogram:
        histogram = self.histograms.get(figure)
        if histogram is None:
            histogram = self.histograms[figure] = Histogram()
        return histogram

    def values(self) -> tuple[Any, ...]:
        """The values of the rollup's columns, in the order of `COLUMNS`, JSON as text."""
        histograms = ",".join([f'"{figure}":{histogram.to_text()}' for figure, histogram in self.histograms.items()])
        kinds, events = _encode(self.kinds) if self.kinds else "{}", _encode(self.events)
        return self.probes, self.failed, self.ours, self.flagged, kinds, events, f"{{{histograms}}}"
