"""Outcomes for people and machines: one JSON line each, and the summary of a burst with its 95 % bounds."""

import math
from array import array
from collections import Counter
from typing import Any

from probes.engine.advice import next_check
from probes.engine.outcome import Certificate, EventDefect, FailureKind, Outcome
from probes.histogram import Histogram, bounds

NEVER = "never"
PERCENTILES = (50, 95, 99)


def line_of(outcome: Outcome) -> dict[str, Any]:
    """One probe as JSON; durations in milliseconds, null where the probe did not get that far."""
    phases = {
        "dns": outcome.dns_us,
        "tcp": outcome.tcp_us,
        "tls": outcome.tls_us,
        "upgrade": outcome.upgrade_us,
    }
    return {
        "ok": outcome.ok,
        "kind": outcome.kind.value if outcome.kind else None,
        "phase": outcome.phase,
        "detail": outcome.detail,
        "phases_ms": {name: _ms(us) for name, us in phases.items()},
        "claimed_ms": _ms(outcome.claimed_us),
        "race_window_ms": _ms(outcome.race_window_us),
        "events": event_counts(outcome),
        "client_gone": len(outcome.events.client_gone),
        "close_code": outcome.close_code,
        "closed_by": outcome.closed_by,
        "http_status": outcome.http_status,
        "clock": outcome.clock,
        "lag_ms": _ms(outcome.lag_us),
        "flagged": outcome.flagged,
        "strategy": outcome.strategy,
        "flags_revision": outcome.flags_revision,
        "address": outcome.address,
        "certificate": outcome.certificate.to_json() if outcome.certificate else None,
    }


def event_counts(outcome: Outcome) -> dict[str, int]:
    """How many events were expected, delivered, and had which defect."""
    defects = Counter(outcome.events.defects.values())
    counts = {"expected": len(outcome.events.expected), "delivered": outcome.events.delivered}
    return counts | {defect.value: defects[defect] for defect in EventDefect}


class Figure:
    """Exact durations of one figure, microseconds, and how many never happened before their deadline."""

    __slots__ = ("_values", "beyond")

    def __init__(self) -> None:
        self._values = array("q")
        self.beyond = 0

    def add(self, us: int | None) -> None:
        """Count one duration; None: it never happened."""
        if us is None:
            self.beyond += 1
        else:
            self._values.append(us)

    def percentile_us(self, q: int) -> float:
        """What `q` % of the observations do not exceed (nearest rank); inf: never; nan: there are none."""
        total = len(self._values) + self.beyond
        if not total:
            return math.nan
        rank = max(1, math.ceil(q / 100 * total - 1e-9))
        return sorted(self._values)[rank - 1] if rank <= len(self._values) else math.inf

    def histogram(self) -> Histogram:
        """The same observations in log buckets, to be stored and drawn."""
        histogram = Histogram()
        for us in self._values:
            histogram.add(us)
        histogram.beyond = self.beyond
        return histogram


class Summary:
    """Accumulates the outcomes of one burst. Our own errors are counted, but never in a share or a percentile."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
        self.strategies: Counter[str] = Counter()
        self.flagged = 0
        self.ok = 0
        self.ours = 0
        self.race = 0
        """Probes that met the race: `accept_race` and `false_ready`."""
        self.windows = Figure()
        """upgraded -> ready."""
        self.user_ready = Figure()
        """started -> ready: a burst has no slots, so each probe is meant to start when it does."""
        self.event_latency = Figure()
        """trigger -> each event that was expected; one that never came counts as never."""
        self.certificate: Certificate | None = None
        """The last one seen."""
        self._firsts: dict[str, Outcome] = {}

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.certificate = outcome.certificate or self.certificate
        if outcome.kind is None:
            self.ok += 1
        else:
            self.kinds[outcome.kind.value] += 1
            self._firsts.setdefault(outcome.kind.value, outcome)
        if outcome.kind is not None and outcome.kind.ours:
            self.ours += 1
            return
        self.events.update(event_counts(outcome))
        if outcome.strategy:
            self.strategies[outcome.strategy] += 1
        if outcome.kind in (FailureKind.ACCEPT_RACE, FailureKind.FALSE_READY):
            self.race += 1
        self._measure(outcome)

    def _measure(self, outcome: Outcome) -> None:
        if outcome.race_window_us is None:
            # A target that only listens has no proof to wait for; every other probe that was never ready counts.
            if not outcome.ok:
                self.windows.add(None)
                self.user_ready.add(None)
        elif outcome.flagged:
            self.flagged += 1
        else:
            self.windows.add(outcome.race_window_us)
            self.user_ready.add(outcome.user_ready_us)
        for name in outcome.events.expected:
            us = outcome.events.marks.get(name)
            if us is None or not outcome.flagged:
                self.event_latency.add(us)

    @property
    def probes(self) -> int:
        """Outcomes that count for the target."""
        return self.ok + sum(self.kinds.values()) - self.ours

    @property
    def failed(self) -> int:
        """Those of `probes` that failed."""
        return self.probes - self.ok

    @property
    def undelivered(self) -> int:
        """Expected events that did not arrive in time."""
        return self.events["expected"] - self.events["delivered"]

    def percentile_us(self, q: int) -> float:
        """The race window that `q` % of the probes do not exceed (nearest rank); inf: never; nan: no probes."""
        return self.windows.percentile_us(q)

    def commonest(self) -> tuple[int, str, str] | None:
        """How many had the commonest failure, its sentence, and what to check next; None where all went well."""
        if not self.kinds:
            return None
        kind, count = self.kinds.most_common(1)[0]
        return count, self._firsts[kind].detail, next_check(self._firsts[kind])

    def to_json(self) -> dict[str, Any]:
        """The last line of `probe --json`: shares with their 95 % bounds, percentiles in ms or "never"."""
        commonest = self.commonest()
        return {
            "probes": self.probes,
            "ok": self.ok,
            "failed": self.failed,
            "ours": self.ours,
            "kinds": dict(self.kinds.most_common()),
            "race_window_ms": _percentiles(self.windows),
            "user_ready_ms": _percentiles(self.user_ready),
            "event_latency_ms": _percentiles(self.event_latency),
            "never_ready": self.windows.beyond,
            "flagged": self.flagged,
            "race_count": self.race,
            "race_share_bounds_95": _bounds(self.race, self.probes),
            "failure_share_bounds_95": _bounds(self.failed, self.probes),
            "events": dict(self.events),
            "undelivered_share_bounds_95": _bounds(self.undelivered, self.events["expected"]),
            "strategies": dict(self.strategies),
            "commonest_failure": commonest and {"count": commonest[0], "detail": commonest[1], "next": commonest[2]},
        }


def _percentiles(figure: Figure) -> dict[str, float | str | None]:
    return {f"p{q}": _shown(figure.percentile_us(q)) for q in PERCENTILES}


def _bounds(part: int, whole: int) -> list[float]:
    return [round(bound, 6) for bound in bounds(part, whole)]


def _ms(us: int | None) -> float | None:
    return None if us is None else round(us / 1000, 3)


def _shown(us: float) -> float | str | None:
    if math.isnan(us):
        return None
    return NEVER if math.isinf(us) else round(us / 1000, 3)
