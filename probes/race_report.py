"""What a race check found: counts, bounds, latencies, who served, and a few failing transcripts. Pure."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from probes.engine.advice import next_check
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.summary import Summary
from probes.histogram import Histogram, bounds

SAMPLES = 6
SAMPLES_PER_KIND = 2
"""Failing probes whose transcripts are kept: the first ones of each kind."""
FIGURES = ("race_window", "user_ready", "event_latency")


@dataclass(frozen=True, slots=True)
class Report:
    """What the probes of one check found. Our own errors are counted apart: they are in no share."""

    probes: int = 0
    """Probes that count for the target."""
    failed: int = 0
    ours: int = 0
    flagged: int = 0
    race: int = 0
    """Probes that met the race: `accept_race` and `false_ready`."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    expected: int = 0
    """Events that should have arrived, over all probes."""
    delivered: int = 0
    served: Sequence[tuple[str, int | None, int]] = ()
    """(strategy, flag revision, probes), commonest first; "" and None where the server told none."""
    seconds: float = 0.0
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    """By FIGURES."""
    samples: Sequence[Mapping[str, Any]] = ()
    """Failing probes: kind, phase, detail, next, strategy, revision, close_code, http_status, frames (redacted)."""

    @property
    def undelivered(self) -> int:
        return self.expected - self.delivered

    def percentile_us(self, figure: str, q: int) -> float:
        """Microseconds that `q` % of the probes do not exceed, within 1 %; inf: never; nan: none."""
        return self.histograms.get(figure, Histogram()).percentile(q / 100)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready; `from_json` reverses it exactly."""
        return {
            "probes": self.probes,
            "failed": self.failed,
            "ours": self.ours,
            "flagged": self.flagged,
            "race": self.race,
            "kinds": dict(self.kinds),
            "expected": self.expected,
            "delivered": self.delivered,
            "served": [list(each) for each in self.served],
            "seconds": round(self.seconds, 3),
            "histograms": {name: histogram.to_json() for name, histogram in self.histograms.items()},
            "samples": [dict(sample) for sample in self.samples],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Report":
        """Raises KeyError, TypeError or ValueError on data that `to_json` did not write."""
        histograms = {name: Histogram.from_json(each) for name, each in data["histograms"].items()}
        served = [(str(strategy), revision, int(n)) for strategy, revision, n in data["served"]]
        return cls(**{**data, "histograms": histograms, "served": served})


class Tally:
    """Counts the outcomes of one check while it runs."""

    def __init__(self) -> None:
        self.summary = Summary()
        self.done = 0
        self._served: Counter[tuple[str, int | None]] = Counter()
        self._samples: list[dict[str, Any]] = []
        self._sampled: Counter[str] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.done += 1
        self.summary.add(outcome)
        if outcome.kind is None or not outcome.kind.ours:
            self._served[outcome.strategy, outcome.flags_revision] += 1
        if outcome.kind is not None:
            self._sample(outcome, outcome.kind)

    def _sample(self, outcome: Outcome, kind: FailureKind) -> None:
        if self._sampled[kind] >= SAMPLES_PER_KIND or len(self._samples) >= SAMPLES:
            return
        self._sampled[kind] += 1
        frames = outcome.to_message()["frames"]
        self._samples.append(
            {
                "kind": kind.value,
                "phase": outcome.phase,
                "detail": outcome.detail,
                "next": next_check(outcome),
                "strategy": outcome.strategy,
                "revision": outcome.flags_revision,
                "close_code": outcome.close_code,
                "http_status": outcome.http_status,
                "frames": frames,
            }
        )

    def report(self, seconds: float) -> Report:
        """What was found so far, after so many seconds."""
        summary = self.summary
        figures = (summary.windows, summary.user_ready, summary.event_latency)
        return Report(
            probes=summary.probes,
            failed=summary.failed,
            ours=summary.ours,
            flagged=summary.flagged,
            race=summary.race,
            kinds=dict(summary.kinds.most_common()),
            expected=summary.events["expected"],
            delivered=summary.events["delivered"],
            served=[(*who, n) for who, n in self._served.most_common()],
            seconds=seconds,
            histograms={name: figure.histogram() for name, figure in zip(FIGURES, figures, strict=True)},
            samples=self._samples,
        )


def difference(k1: int, n1: int, k2: int, n2: int) -> tuple[float, float]:
    """95 % bounds of k2/n2 - k1/n1: Newcombe's hybrid score interval (Statistics in Medicine 17, 1998, method 10).

    (-1, 1) where either is empty. Raises ValueError as `histogram.bounds` does.
    """
    if not n1 or not n2:
        return -1.0, 1.0
    (low1, high1), (low2, high2) = bounds(k1, n1), bounds(k2, n2)
    p1, p2 = k1 / n1, k2 / n2
    change = p2 - p1
    return change - math.hypot(p2 - low2, high1 - p1), change + math.hypot(high2 - p2, p1 - low1)
