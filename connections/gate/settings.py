"""What is the same for all connections of one gate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connections.gate.dependencies import Board
from connections.gate.inbound import PriorityOf, never_drop
from connections.gate.lifecycle import DEADLINES, Deadline, State
from connections.gate.outbound import Outgoing
from connections.gate.strategies import Requirements, Strategy
from connections.gate.timing import Timing

MAX_HELD = 1000
MAX_HELD_BYTES = 1_048_576
MAX_HELD_S = 300.0
KEEP_ENDED = 200

_MOST_KEPT = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """See `options.Options` for what each means."""

    requirements: Requirements = field(default_factory=Requirements)
    board: Board = field(default_factory=Board)
    subject: Callable[[Mapping[str, Any]], str] | None = None
    deadlines: Mapping[State, Deadline] = field(default_factory=lambda: DEADLINES)
    grace_s: float = 5.0
    max_held: int = MAX_HELD
    max_held_bytes: int = MAX_HELD_BYTES
    max_held_s: float = MAX_HELD_S
    priority_of: PriorityOf = never_drop
    announce: bool = True
    outgoing: Outgoing = field(default_factory=Outgoing)
    keep_ended: int = KEEP_ENDED
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
