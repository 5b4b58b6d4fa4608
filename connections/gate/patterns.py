"""The patterns of the race: what was seen to go wrong between accept and ready, or would have without a gate.

Each is told once per connection, as a record of its own, at the moment it is known; the record of the connection's end
lists them again.
"""

from dataclasses import dataclass
from enum import StrEnum

from connections.gate.lifecycle import Cause
from connections.gate.telemetry import ConnectionRecord, line


class Pattern(StrEnum):
    CLIENT_GONE_DURING_SETUP = "client_gone_during_setup"
    """The client left before it was ready. Without a gate: "Need to call accept first", or an answer to nobody."""
    SEND_AFTER_GONE = "send_after_gone"
    """The application sent to a connection that was over: nobody got it."""
    EARLY_MESSAGE_HELD = "early_message_held"
    """The client spoke before the application was ready. The gate held it; without one it would have been lost."""
    OPENED_TOO_EARLY = "opened_too_early"
    """False ready: a message reached the application before it had marked a required service."""
    HELD_TOO_LONG = "held_too_long"
    """False not-ready: the application had said that it is ready, and the gate went on holding, or closed."""
    NEVER_ACCEPTED = "never_accepted"
    """No accept ever came: refused, returned, raised, or out of time."""
    OUT_OF_ORDER = "out_of_order"
    """The application sent before its accept, or accepted twice."""


@dataclass(frozen=True, slots=True)
class RacePattern:
    """One pattern on one connection. `event` is always "race_pattern"."""

    pattern: Pattern
    connection_id: str
    environment: str
    path: str
    strategy: str
    flags_revision: int | None
    state: str
    """The connection's state when it was seen."""
    at_ms: float
    """Milliseconds since the server offered the connection."""
    why: str
    """One sentence of evidence."""
    seen_at: float
    """Wall time, seconds since 1970."""

    @property
    def event(self) -> str:
        return "race_pattern"

    @property
    def loud(self) -> bool:
        """A message was harmed, or an application is wrong."""
        return self.pattern in (Pattern.OPENED_TOO_EARLY, Pattern.OUT_OF_ORDER)

    def to_json(self) -> str:
        return line(self)


def patterns_at_end(record: ConnectionRecord) -> tuple[tuple[Pattern, str], ...]:
    """What only the end of a connection shows, with the evidence. Pure."""
    found: list[tuple[Pattern, str]] = []
    if record.cause is Cause.CLIENT_GONE:
        found.append((Pattern.CLIENT_GONE_DURING_SETUP, f"it left in {record.state_reached}"))
    if record.cause is Cause.NEVER_ACCEPTED:
        found.append((Pattern.NEVER_ACCEPTED, record.why))
    if record.false_ready:
        found.append((Pattern.OPENED_TOO_EARLY, f"{record.strategy} opened before the application was ready"))
    if record.false_not_ready:
        found.append((Pattern.HELD_TOO_LONG, f"{record.strategy} held on although the application was ready"))
    return tuple(found)
