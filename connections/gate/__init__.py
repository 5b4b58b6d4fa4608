"""The readiness gate: what a team installs into the server that loses answers.

from connections.gate import FlagSource, ReadinessGate, readiness
"""

from connections.gate.buffer import Priority
from connections.gate.dependencies import Check, http_check, redis_check, sql_check, tcp_check
from connections.gate.errors import EndedBeforeReady, GateError
from connections.gate.flag_source import FlagSource
from connections.gate.lifecycle import Cause, State, Step
from connections.gate.middleware import ReadinessGate
from connections.gate.ofrep_source import OfrepSource
from connections.gate.patterns import Pattern, RacePattern
from connections.gate.readiness import Readiness, readiness
from connections.gate.registry import Explanation, Registry
from connections.gate.selection import StaticFlags
from connections.gate.telemetry import ConnectionRecord

__all__ = [
    "Cause",
    "Check",
    "ConnectionRecord",
    "EndedBeforeReady",
    "Explanation",
    "FlagSource",
    "GateError",
    "OfrepSource",
    "Pattern",
    "Priority",
    "RacePattern",
    "Readiness",
    "ReadinessGate",
    "Registry",
    "State",
    "StaticFlags",
    "Step",
    "http_check",
    "readiness",
    "redis_check",
    "sql_check",
    "tcp_check",
]
