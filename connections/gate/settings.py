"""What is the same for all connections of one gate."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connections.gate.dependencies import Board
from connections.gate.inbound import PriorityOf, never_drop
from connections.gate.lifecycle import DEADLINES, Deadline, State
from connections.gate.strategies import Requirements, Strategy
from connections.gate.timing import Timing

_MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """See `ReadinessGate` for what each means."""

    requirements: Requirements = field(default_factory=Requirements)
    board: Board = field(default_factory=Board)
    deadlines: Mapping[State, Deadline] = field(default_factory=lambda: DEADLINES)
    grace_s: float = 5.0
    max_held: int = 1000
    max_held_bytes: int = 1_048_576
    priority_of: PriorityOf = never_drop
    announce: bool = True
    number_events: bool = True
    timing: Timing = field(default_factory=Timing)
    merged: dict[Strategy, Mapping[State, Deadline]] = field(default_factory=dict)

    def deadlines_for(self, strategy: Strategy) -> Mapping[State, Deadline]:
        """The deadlines of a connection that got `strategy`: its own limits over the gate's. Made once per strategy, so
        that all its connections share one mapping."""
        found = self.merged.get(strategy)
        if found is None:
            if len(self.merged) >= _MOST_KEPT:
                self.merged.clear()
            own = {state: Deadline(limit, DEADLINES[state].consequence) for state, limit in strategy.limits_s.items()}
            found = self.merged[strategy] = {**self.deadlines, **own}
        return found
