"""What is the same for all connections of one gate."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connections.gate.dependencies import Check
from connections.gate.inbound import PriorityOf, never_drop
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
    max_held: int = 1000
    max_held_bytes: int = 1_048_576
    max_held_s: float = 300.0
    priority_of: PriorityOf = never_drop
    announce: bool = True
    outgoing: Outgoing = field(default_factory=Outgoing)
