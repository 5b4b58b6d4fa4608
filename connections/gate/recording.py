"""From a connection to its records. What may stand in them: `redaction.py`."""

from dataclasses import replace
from typing import TYPE_CHECKING

from connections.gate.lifecycle import Cause, State
from connections.gate.patterns import Pattern, RacePattern, patterns_at_end
from connections.gate.redaction import redacted
from connections.gate.telemetry import ConnectionRecord, milliseconds

if TYPE_CHECKING:
    from connections.gate.connection import Connection

_ENDING = frozenset({State.CLOSING, State.FAILED, State.CLOSED})


def race_of(connection: "Connection", pattern: Pattern, why: str, wall: float) -> RacePattern:
    """`pattern`, seen on `connection` now. `wall` is wall time in seconds since 1970."""
    life = connection.lifecycle
    return RacePattern(
        pattern=pattern,
        connection_id=connection.connection_id,
        environment=connection.selection.environment,
        path=redacted(connection.path),
        strategy=connection.strategy_name,
        flags_revision=connection.flags_revision,
        state=life.state.value,
        at_ms=milliseconds(connection.clock() - life.trail[0].at),
        why=redacted(why),
        seen_at=round(wall, 3),
    )


def notice_end(connection: "Connection", record: ConnectionRecord) -> ConnectionRecord:
    """Tell the patterns that only the end shows; returns the record with all patterns of the connection."""
    for pattern, why in patterns_at_end(record):
        connection.notice(pattern, why)
    return replace(record, patterns=connection.patterns) if connection.patterns else record


def record_of(connection: "Connection", wall: float) -> ConnectionRecord:
    """How `connection` went; complete once its `run` is over. `wall` is wall time in seconds since 1970."""
    life, opening, ending = connection.lifecycle, connection.opening, connection.ending
    trail, opened = life.trail, opening.opened_at
    return ConnectionRecord(
        connection_id=connection.connection_id,
        environment=connection.selection.environment,
        path=redacted(connection.path),
        strategy=connection.strategy_name,
        flags_revision=connection.flags_revision,
        cause=life.cause or Cause.CANCELLED,
        why=ending.why,
        state_reached=next(step.state.value for step in reversed(trail) if step.state not in _ENDING),
        close_code=ending.close_code,
        closed_by=ending.closed_by,
        duration_ms=milliseconds(trail[-1].at - trail[0].at),
        held_ms=None if opened is None else milliseconds(opened - opening.progress.accepted_at),
        states_ms={state.value: milliseconds(seconds) for state, seconds in life.spent(connection.clock()).items()},
        confirmed=opening.confirmed,
        false_ready=opening.opened_too_early(),
        false_not_ready=opening.held_too_long(ended_at=ending.left_at),
        added_ms=opening.added_ms(),
        messages=connection.inbound.counts,
        sent=connection.outbound.sent,
        undelivered=connection.outbound.undelivered,
        backpressure=connection.inbound.backpressure,
        queued=connection.outbound.counts,
        gaps=connection.outbound.gaps,
        failures={name: redacted(why) for name, why in opening.failures.items()},
        problems=tuple(redacted(problem) for problem in connection.selection.problems),
        error=ending.error,
        refused_transitions=tuple(f"{each.state} -> {each.target}" for each in life.refusals),
        ended_at=round(wall, 3),
    )
