"""From a connection to its record."""

from typing import TYPE_CHECKING

from connections.gate.lifecycle import Cause, State
from connections.gate.telemetry import ConnectionRecord, milliseconds

if TYPE_CHECKING:
    from connections.gate.connection import Connection

_ENDING = frozenset({State.CLOSING, State.FAILED, State.CLOSED})


def record_of(connection: "Connection", now: float) -> ConnectionRecord:
    """How `connection` went; complete once its `run` is over. `now` is its loop's time, in seconds."""
    life, opening, ending = connection.lifecycle, connection.opening, connection.ending
    trail, opened = life.trail, opening.opened_at
    return ConnectionRecord(
        connection_id=connection.connection_id,
        environment=connection.selection.environment,
        path=connection.path,
        strategy=connection.strategy_name,
        flags_revision=connection.flags_revision,
        cause=life.cause or Cause.CANCELLED,
        why=ending.why,
        state_reached=next(step.state.value for step in reversed(trail) if step.state not in _ENDING),
        close_code=ending.close_code,
        closed_by=ending.closed_by,
        duration_ms=milliseconds(trail[-1].at - trail[0].at),
        held_ms=None if opened is None else milliseconds(opened - opening.progress.accepted_at),
        states_ms={state.value: milliseconds(seconds) for state, seconds in life.spent(now).items()},
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
        failures=opening.failures,
        problems=connection.selection.problems,
        error=ending.error,
    )
