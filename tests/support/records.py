"""Records of connections, for tests that need one and no connection."""

from dataclasses import replace
from typing import Any

from connections.gate.buffer import Counts
from connections.gate.lifecycle import Cause
from connections.gate.telemetry import ConnectionRecord

_PLAIN = ConnectionRecord(
    connection_id="0123456789abcdef",
    environment="staging",
    path="/ws/chat",
    strategy="dependency_gate",
    flags_revision=7,
    cause=Cause.CLIENT_CLOSED,
    why="the client left",
    state_reached="processing_ready",
    close_code=1000,
    closed_by="client",
    duration_ms=1200.0,
    held_ms=200.0,
    states_ms={"connecting": 1.0, "service_dependency_check": 199.0, "processing_ready": 1000.0},
    confirmed=True,
    false_ready=False,
    messages=Counts(accepted=2, delivered=2),
    sent=7,
    undelivered=0,
    backpressure=0,
)


def connection_record(**changes: Any) -> ConnectionRecord:
    """The record of a connection that went well, with `changes`."""
    return replace(_PLAIN, **changes)
