"""What is the same for all connections of one gate: its options, their defaults and their bounds."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict, Unpack, cast

from connections.gate.buffer import Priority
from connections.gate.dependencies import Check
from connections.gate.errors import InvalidSetting
from connections.gate.inbound import PriorityOf, never_drop
from connections.gate.lifecycle import DEADLINES, SEND_STALL, Deadline, State
from connections.gate.outbound import Outgoing, droppable
from connections.gate.strategies import Requirements

MAX_HELD = 1000
MAX_HELD_BYTES = 1_048_576
MAX_HELD_S = 300.0


class Options(TypedDict, total=False):
    """The keyword arguments of `ReadinessGate` beside `flags`. Times are seconds."""

    required: Iterable[str]
    """Services without which nothing can be answered; the application marks each with `service_ready`."""
    optional: Iterable[str]
    """Services whose absence degrades the answer."""
    checks: Iterable[Check]
    """Dependency checks, run at each accept."""
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
    """Messages of one connection that are held, in each direction. Default: 1000."""
    max_held_bytes: int
    """Bytes of them. Default: 1 MiB."""
    max_held_s: float
    """How long a message may be held. Default: 300."""
    event_priorities: Mapping[str, Priority]
    """Types of events that may be dropped where a client reads too slowly. Default: none."""
    send_stall_s: float
    """How long a client may read nothing of what is sent to it before it is closed; 0 is forever. Default: 10."""
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
    checks: tuple[Check, ...] = ()
    subject: Callable[[Mapping[str, Any]], str] | None = None
    deadlines: Mapping[State, Deadline] = field(default_factory=lambda: DEADLINES)
    grace_s: float = 5.0
    max_held: int = MAX_HELD
    max_held_bytes: int = MAX_HELD_BYTES
    max_held_s: float = MAX_HELD_S
    priority_of: PriorityOf = never_drop
    announce: bool = True
    outgoing: Outgoing = field(default_factory=Outgoing)
    keep_ended: int = 200

    def __post_init__(self) -> None:
        for name, bound in {"max_held": 1, "max_held_bytes": 1, "max_held_s": 0, "keep_ended": 0, "grace_s": 0}.items():
            _at_least(name, getattr(self, name), bound)

    @classmethod
    def of(cls, **options: Unpack[Options]) -> "Settings":
        """From a gate's keyword arguments. Raises InvalidSetting for a value out of bounds, TypeError for an option
        that does not exist."""
        told = cast("dict[str, Any]", {**options})
        required, optional = frozenset(_names(told, "required")), frozenset(_names(told, "optional"))
        checks = tuple(told.pop("checks", ()))
        authenticates = told.pop("authenticates", False)
        deadlines = {**DEADLINES, **(told.pop("deadlines", None) or {})}
        told["outgoing"] = _outgoing(told)
        if unknown := sorted(told.keys() - {each.name for each in fields(cls)}):
            known = ", ".join(sorted(Options.__annotations__))
            raise TypeError(f"ReadinessGate has no option {', '.join(unknown)}; it has flags, {known}")
        requirements = Requirements(
            required=required,
            optional=optional - required,
            required_checks=frozenset(check.name for check in checks if check.required),
            optional_checks=frozenset(check.name for check in checks if not check.required),
            authenticates=authenticates,
        )
        return cls(requirements=requirements, checks=checks, deadlines=deadlines, **told)


def _outgoing(told: dict[str, Any]) -> Outgoing:
    stall_s = told.pop("send_stall_s", SEND_STALL.seconds)
    _at_least("send_stall_s", stall_s, 0)
    return Outgoing(
        number=told.pop("number_events", True),
        announce=told.get("announce", True),
        priorities=droppable(told.pop("event_priorities", None) or {}),
        max_count=told.get("max_held", MAX_HELD),
        max_bytes=told.get("max_held_bytes", MAX_HELD_BYTES),
        max_age_s=told.get("max_held_s", MAX_HELD_S),
        stall_s=stall_s,
    )


def _at_least(name: str, value: object, bound: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= bound:
        raise InvalidSetting(name, value, f"give a number of at least {bound:g}")


def _names(told: dict[str, Any], option: str) -> Iterable[str]:
    names = told.pop(option, ())
    if isinstance(names, str):
        raise InvalidSetting(option, names, f'give a list of names, such as ["{names}"]')
    return cast("Iterable[str]", names)
