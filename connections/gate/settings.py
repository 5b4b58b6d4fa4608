"""What is the same for all connections of one gate."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connections.gate.dependencies import Check
from connections.gate.inbound import Incoming
from connections.gate.lifecycle import DEADLINES, Deadline, State
from connections.gate.outbound import Outgoing
from connections.gate.strategies import Requirements


@dataclass(frozen=True, slots=True)
class Settings:
    """See `ReadinessGate` for what each means."""

    requirements: Requirements = field(default_factory=Requirements)
    checks: tuple[Check, ...] = ()
    deadlines: Mapping[State, Deadline] = field(default_factory=lambda: DEADLINES)
    grace_s: float = 5.0
    incoming: Incoming = field(default_factory=Incoming)
    announce: bool = True
    outgoing: Outgoing = field(default_factory=Outgoing)
