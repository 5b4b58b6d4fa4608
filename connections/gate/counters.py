"""What a flag source reports back: counts since the process began. A report that is lost, or arrives twice, changes
nothing."""

import os
import secrets
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from connections.gate.telemetry import ConnectionRecord

OPENED, FALSE_READY, FALSE_NOT_READY = "opened", "false_ready", "false_not_ready"
ADDED_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""What a strategy added is counted by the first of these milliseconds that it does not exceed: "added_5"."""
ADDED_MORE = "added_more"


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts since the process began: evaluations by flag and variant, connections by strategy and cause, readiness by
    strategy and figure."""

    evaluations: dict[str, dict[str, int]]
    connections: dict[str, dict[str, int]]
    readiness: dict[str, dict[str, int]]
    changes: int
    """Grows with every count: equal means nothing is new."""


class Counters:
    """Counts from any thread; the lock is held for a few additions only."""

    def __init__(self) -> None:
        self.process = os.getpid()
        """A forked child begins with counters of its own: its parent reports what the parent counted."""
        self.run = secrets.token_hex(8)
        """Names these counts: another name begins at 0 again, as after a restart."""
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._evaluations: dict[str, dict[str, int]] = {}
        self._connections: dict[str, dict[str, int]] = {}
        self._readiness: dict[str, dict[str, int]] = {}
        self._changes = 0

    @property
    def age_s(self) -> float:
        """Seconds since counting began."""
        return time.monotonic() - self._began

    def evaluated(self, evaluations: Iterable[tuple[str, str]]) -> None:
        """Count one connection's evaluations: pairs of flag and variant."""
        with self._lock:
            self._changes += 1
            for flag, variant in evaluations:
                _count(self._evaluations, flag, variant)

    def ended(self, record: ConnectionRecord) -> None:
        """Count one connection's end."""
        with self._lock:
            self._changes += 1
            _count(self._connections, record.strategy, record.cause.value)
            for figure in _readiness(record):
                _count(self._readiness, record.strategy, figure)

    def totals(self) -> Totals:
        """The counts so far."""
        with self._lock:
            return Totals(_copy(self._evaluations), _copy(self._connections), _copy(self._readiness), self._changes)


def _readiness(record: ConnectionRecord) -> Iterator[str]:
    """What the application's own marks say of the connection; nothing where it made none."""
    told = record.added_ms is not None or record.false_ready
    if told and record.held_ms is not None:
        yield OPENED
    if record.false_ready:
        yield FALSE_READY
    if record.false_not_ready:
        yield FALSE_NOT_READY
    if record.added_ms is not None:
        yield added(record.added_ms)


def added(milliseconds: float) -> str:
    """The figure that counts a connection to which its strategy added so much."""
    return next((f"added_{most}" for most in ADDED_MS if milliseconds <= most), ADDED_MORE)


def _count(counts: dict[str, dict[str, int]], outer: str, key: str) -> None:
    inner = counts.setdefault(outer, {})
    inner[key] = inner.get(key, 0) + 1


def _copy(counts: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {outer: dict(inner) for outer, inner in counts.items()}
