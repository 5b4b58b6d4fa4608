"""One structured record per connection end, and how records are logged.

Records are JSON objects, one per line, at level INFO, or WARNING where the gate had to close or a message was harmed.
`event` says which: "connection_end" on the logger `readywire.gate` (the fields of `ConnectionRecord`), "race_pattern"
on `readywire.gate.races` (those of `patterns.RacePattern`). What may stand in one: `redaction.py`.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Protocol

from connections.gate.buffer import Counts
from connections.gate.lifecycle import Cause

_ENDS = logging.getLogger("readywire.gate")
_RACES = logging.getLogger("readywire.gate.races")

_LOUD = frozenset(
    {
        Cause.NOT_READY,
        Cause.OVERFLOW,
        Cause.SEND_STALLED,
        Cause.APPLICATION_ERROR,
        Cause.APPLICATION_RETURNED,
    }
)


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """How one connection went."""

    connection_id: str
    environment: str
    path: str
    strategy: str
    flags_revision: int | None
    cause: Cause
    """The terminal reason."""
    why: str
    """One sentence of evidence for it."""
    state_reached: str
    """The last state before it began to end."""
    close_code: int | None
    closed_by: str
    """client, application, gate, server, or "" where it was never open."""
    duration_ms: float
    held_ms: float | None
    """From accept until messages could flow; None where they never did."""
    states_ms: Mapping[str, float]
    confirmed: bool
    """The client acknowledged connection_ready."""
    false_ready: bool
    """Messages reached the application before it marked a required service: opened too early."""
    messages: Counts
    """The client's messages: accepted = delivered + evicted + expired + held."""
    sent: int
    """Messages that the server took from the application."""
    undelivered: int
    """Messages that the application sent after the client had left."""
    backpressure: int
    """How often reading was paused because the buffer was full; while paused, a disconnect is not seen."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """Services and checks that failed, with the reason."""
    problems: tuple[str, ...] = ()
    """What was wrong with the flags, and what was used instead."""
    error: str = ""
    """Type of the application's exception, if it raised one."""
    queued: Counts = field(default_factory=Counts)
    """The application's messages that had to wait in line: accepted = delivered + evicted + expired + held."""
    gaps: int = 0
    """How often the client was told that events were dropped."""
    false_not_ready: bool = False
    """The application had said that everything required is ready, and the gate went on holding, or closed."""
    added_ms: float | None = None
    """From what the application said until messages could flow: what the strategy added. None where it never said so,
    or they never flowed."""

    patterns: tuple[str, ...] = ()
    """The race patterns that were seen on it, in order (`patterns.Pattern`)."""
    refused_transitions: tuple[str, ...] = ()
    """What was asked of it that its state does not allow, as "processing_ready -> accepted": a bug of somebody's."""
    ended_at: float = 0.0
    """Wall time, seconds since 1970."""

    @property
    def event(self) -> str:
        return "connection_end"

    @property
    def loud(self) -> bool:
        """Somebody should look at it."""
        return self.cause in _LOUD or bool(self.problems)

    def to_json(self) -> str:
        return line(self)


def milliseconds(seconds: float) -> float:
    """Milliseconds, to the microsecond."""
    return round(seconds * 1000, 3)


class Record(Protocol):
    """What can be logged: a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def event(self) -> str:
        """Which record it is."""

    @property
    def loud(self) -> bool:
        """Somebody should look at it."""

    def to_json(self) -> str:
        """One line."""


def line(record: Record) -> str:
    """A record as one line of JSON: its event, then its fields in their order."""
    # Not asdict(), which copies every mapping: a record is written once per connection, and costs half of it so.
    members = {name: getattr(record, name) for name in record.__dataclass_fields__}
    return json.dumps({"event": record.event, **members}, default=asdict, separators=(",", ":"))


def emit(record: Record) -> None:
    """Write one record."""
    logger = _ENDS if record.event == "connection_end" else _RACES
    level = logging.WARNING if record.loud else logging.INFO
    if logger.isEnabledFor(level):
        logger.log(level, "%s", record.to_json())
