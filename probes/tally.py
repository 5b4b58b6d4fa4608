"""What a minute or an hour of outcomes adds up to. Pure."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from probes.engine.outcome import EventDefect, FailureKind, Outcome
from probes.histogram import Histogram

LATENCIES = ("dns", "tcp", "tls", "upgrade", "claimed", "race_window", "user_ready")
"""Figures whose microseconds are `Outcome.<figure>_us`. Beside them: `start_delay` (ours) and `event_latency`."""
NEVER = ("race_window", "user_ready")
"""Figures in which a probe that was never ready counts as beyond its deadline."""

Key = tuple[int, str, int, datetime]
"""(target id, location, width in seconds, start)."""
COLUMNS = ("probes", "failed", "ours", "flagged", "kinds", "events", "histograms")
"""The columns of a rollup, in the order of `Tally.values`."""


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

    def add(self, outcome: Outcome) -> None:
        """Count one recorded outcome. What is ours is never charged to the target: it counts in `ours` alone."""
        if outcome.kind is not None:
            self.kinds[outcome.kind] = self.kinds.get(outcome.kind, 0) + 1
            if outcome.kind.ours:
                self.ours += 1
                return
        self.probes += 1
        self.failed += not outcome.ok
        self.flagged += outcome.flagged
        self._add_events(outcome)
        self._add_times(outcome)

    def remove_missed(self) -> None:
        """Take back one missed slot, whose outcome came late after all."""
        self.ours -= 1
        left = self.kinds.pop(FailureKind.MISSED) - 1
        if left:
            self.kinds[FailureKind.MISSED] = left

    def _add_events(self, outcome: Outcome) -> None:
        for event in outcome.events.expected:
            counts = self.events.setdefault(event, {})
            counts["expected"] = counts.get("expected", 0) + 1
            if event in outcome.events.marks:
                counts["delivered"] = counts.get("delivered", 0) + 1
            if defect := outcome.events.defects.get(event):
                name = EventDefect(defect).value
                counts[name] = counts.get(name, 0) + 1

    def _add_times(self, outcome: Outcome) -> None:
        self._histogram("start_delay").add(outcome.start_delay_us)
        if not outcome.ok and "ready" not in outcome.marks:
            for figure in NEVER:
                self._histogram(figure).add_beyond()
        if outcome.flagged:
            return
        for figure in LATENCIES:
            us = getattr(outcome, f"{figure}_us")
            if us is not None:
                self._histogram(figure).add(us)
        for us in outcome.events.marks.values():
            self._histogram("event_latency").add(us)

    def _histogram(self, figure: str) -> Histogram:
        histogram = self.histograms.get(figure)
        if histogram is None:
            histogram = self.histograms[figure] = Histogram()
        return histogram

    def values(self) -> tuple[Any, ...]:
        """The values of the rollup's columns, in the order of `COLUMNS`, JSON as text."""
        histograms = ",".join([f'"{figure}":{histogram.to_text()}' for figure, histogram in self.histograms.items()])
        kinds, events = (json.dumps(value, separators=(",", ":")) for value in (self.kinds, self.events))
        return self.probes, self.failed, self.ours, self.flagged, kinds, events, f"{{{histograms}}}"
