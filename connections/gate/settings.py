"""What is the same for all connections of one gate: its options, their defaults and their bounds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack, cast

from connections.gate.buffer import Priority
from connections.gate.dependencies import Board, Check
from connections.gate.errors import InvalidSetting
from connections.gate.inbound import PriorityOf, never_drop
from connections.gate.lifecycle import DEADLINES, Deadline, State
from connections.gate.outbound import Outgoing, droppable
from connections.gate.strategies import Requirements, Strategy
from connections.gate.timing import Timing

_MOST_KEPT = 64


class Options(TypedDict, total=False):
    """The keyword arguments of `ReadinessGate` beside `flags`. Times are seconds."""

    required: Iterable[str]
    """Services without which nothing can be answered; the application marks each with `service_ready`."""
    optional: Iterable[str]
    """Services whose absence degrades the answer."""
    checks: Iterable[Check]
    """Of the services that a connection needs (docs/dependencies.md); their answers are shared by all connections."""
    authenticates: bool
    """The application promises to call `authenticated()`, and is held to 3 s. Default: no."""
    subject: Callable[[Mapping[str, Any]], str] | None
    """From a scope, whom a percentage sticks to. Default: each connection is its own subject."""
    priority_of: PriorityOf
    """The priority of a client's message. Default: CRITICAL, so that none is dropped silently."""
    announce: bool
    """Send the gate's own frames. Default: yes."""
    number_events: bool
    """Number the application's events `(epoch, seq)`. Default: yes."""
    max_held: int
    """Messages of one client that are held. Default: 1000."""
    max_held_bytes: int
    """Bytes of them. Default: 1 MiB."""
    max_held_s: float
    """How long a message below CRITICAL may be held, in either direction. Default: 300."""
    event_priorities: Mapping[str, Priority] | None
    """Types of the application's events that may be dropped where a client reads too slowly. Default: none."""
    send_stall_s: float
    """How long a client may read nothing before its connection is closed; 0: forever. Default: 10."""
    grace_s: float
    """How long an application may go on after a connection is over, before it is cancelled. Default: 5."""
    deadlines: Mapping[State, Deadline] | None
    """Replaces single entries of `lifecycle.DEADLINES`."""
    keep_ended: int
    """Ended connections that the registry still explains. Default: 200."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of one gate, complete and checked."""

    requirements: Requirements = field(default_factory=Requirements)
    board: Board = field(default_factory=Board)
    subject: Callable[[Mapping[str, Any]], str] | None = None
    deadlines: Mapping[State, Deadline] = field(default_factory=lambda: DEADLINES)
    grace_s: float = 5.0
    max_held: int = 1000
    max_held_bytes: int = 1_048_576
    max_held_s: float = 300.0
    priority_of: PriorityOf = never_drop
    announce: bool = True
    outgoing: Outgoing = field(default_factory=Outgoing)
    keep_ended: int = 200
    timing: Timing = field(default_factory=Timing)
    merged: dict[Strategy, Mapping[State, Deadline]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        least = {"max_held": 1, "max_held_bytes": 1, "max_held_s": 0, "keep_ended": 0, "grace_s": 0, "send_stall_s": 0}
        for name, bound in least.items():
            value = self.outgoing.stall_s if name == "send_stall_s" else getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= bound:
                raise InvalidSetting(name, value, f"give a number of at least {bound:g}")

    @classmethod
    def of(cls, **options: Unpack[Options]) -> "Settings":
        """From a gate's keyword arguments. Raises InvalidSetting for a value out of bounds, TypeError for an option
        that does not exist."""
        told = cast("dict[str, Any]", {**options})
        required, optional = frozenset(_names(told, "required")), frozenset(_names(told, "optional"))
        checks = tuple(told.pop("checks", ()))
        authenticates = told.pop("authenticates", False)
        deadlines = {**DEADLINES, **(told.pop("deadlines", None) or {})}
        outgoing = _outgoing(told)
        if unknown := sorted(told.keys() - Options.__annotations__.keys()):
            known = ", ".join(sorted(Options.__annotations__))
            raise TypeError(f"ReadinessGate has no option {', '.join(unknown)}; it has flags, {known}")
        requirements = Requirements(
            required=required,
            optional=optional - required,
            required_checks=frozenset(check.name for check in checks if check.required),
            optional_checks=frozenset(check.name for check in checks if not check.required),
            authenticates=authenticates,
        )
        board = Board(checks)
        return cls(requirements=requirements, board=board, deadlines=deadlines, outgoing=outgoing, **told)

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


def _names(told: dict[str, Any], option: str) -> Iterable[str]:
    names = told.pop(option, ())
    if isinstance(names, str):
        raise InvalidSetting(option, names, f'give a list of names, such as ["{names}"]')
    return cast("Iterable[str]", names)


def _outgoing(told: dict[str, Any]) -> Outgoing:
    held = {"max_held": "max_count", "max_held_bytes": "max_bytes", "max_held_s": "max_age_s"}
    own = {"number_events": "number", "send_stall_s": "stall_s"}
    values = {name: told[option] for option, name in held.items() if option in told}
    values |= {name: told.pop(option) for option, name in own.items() if option in told}
    announce = told.get("announce", True)
    return Outgoing(announce=announce, priorities=droppable(told.pop("event_priorities", None) or {}), **values)
