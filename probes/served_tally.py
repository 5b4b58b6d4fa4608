"""What the probes that one strategy served add up to. Pure."""

from dataclasses import dataclass
from datetime import datetime

from probes import packed
from probes.engine.outcome import FailureKind, Outcome
from probes.histogram import bucket_of

Key = tuple[int, str, int, datetime, str]
"""(target id, location, width in seconds, start, strategy)."""
COLUMNS = (
    "probes", "failed", "false_ready", "flagged", "asked", "incomplete", "expected", "delivered", "never",
    "race_window",
)  # fmt: skip
"""The columns of a `probes.models.ServedRollup`, in the order of `ServedTally.values`."""
Values = tuple[int, int, int, int, int, int, int, int, int, bytes]
FALSE_READY = frozenset({FailureKind.FALSE_READY, FailureKind.ACCEPT_RACE})
"""Ready was claimed, or the first message taken, before there was somebody to answer."""


@dataclass(frozen=True, slots=True)
class Served:
    """What one outcome adds to each tally that counts it."""

    failed: bool
    false_ready: bool
    flagged: bool
    expected: int
    delivered: int
    never: bool
    race_window: int
    """Of `probes.packed`; 0 where there is none to count."""


def served_by(outcome: Outcome) -> Served | None:
    """None of what is ours: it is never charged to the target, nor to what served it."""
    if outcome.kind is not None and outcome.kind.ours:
        return None
    race_us = None if outcome.flagged else outcome.race_window_us
    return Served(
        failed=not outcome.ok,
        false_ready=outcome.kind in FALSE_READY or not FALSE_READY.isdisjoint(outcome.also),
        flagged=outcome.flagged,
        expected=len(outcome.events.expected),
        delivered=outcome.events.delivered,
        never=not outcome.ok and "ready" not in outcome.marks,
        race_window=0 if race_us is None else packed.one_in(bucket_of(race_us)),
    )


@dataclass(slots=True)
class ServedTally:
    """The counts of one row; see `probes.models.ServedRollup` for each field."""

    probes: int = 0
    failed: int = 0
    false_ready: int = 0
    flagged: int = 0
    asked: int = 0
    incomplete: int = 0
    expected: int = 0
    delivered: int = 0
    never: int = 0
    race_window: int = 0
    """Of `probes.packed`."""

    def add(self, served: Served) -> None:
        """Count one probe."""
        self.probes += 1
        self.failed += served.failed
        self.false_ready += served.false_ready
        self.flagged += served.flagged
        self.never += served.never
        self.race_window += served.race_window
        if served.expected:
            self.asked += 1
            self.incomplete += served.delivered < served.expected
            self.expected += served.expected
            self.delivered += served.delivered

    def merge(self, other: "ServedTally") -> None:
        """Count all that the other one counts."""
        for name in COLUMNS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def values(self) -> Values:
        """The values of the row's columns, in the order of `COLUMNS`."""
        return (
            self.probes, self.failed, self.false_ready, self.flagged, self.asked, self.incomplete, self.expected,
            self.delivered, self.never, packed.to_bytes(self.race_window),
        )  # fmt: skip

    @classmethod
    def of(cls, values: Values) -> "ServedTally":
        """What `values` gave."""
        return cls(*values[:-1], packed.from_bytes(values[-1]))
