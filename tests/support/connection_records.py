"""Records of connections that ended, as a gate makes them."""

from typing import Any

from connections.gate import Cause
from connections.gate.buffer import Counts
from connections.gate.telemetry import ConnectionRecord


def connection_ended(strategy: str, cause: Cause, **other: Any) -> ConnectionRecord:
    """A connection that `strategy` opened after 10 ms, unless `held_ms` says otherwise."""
    fields: dict[str, Any] = {
        "connection_id": "0123456789abcdef",
        "environment": "staging",
        "path": "/ws/chat",
        "flags_revision": 1,
        "why": "the client left",
        "state_reached": "processing_ready",
        "close_code": 1000,
        "closed_by": "client",
        "duration_ms": 100.0,
        "held_ms": 10.0,
        "states_ms": {},
        "confirmed": False,
        "false_ready": False,
        "messages": Counts(),
        "sent": 0,
        "undelivered": 0,
        "backpressure": 0,
    }
    return ConnectionRecord(strategy=strategy, cause=cause, **{**fields, **other})
