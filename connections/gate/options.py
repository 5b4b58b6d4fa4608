"""The keyword arguments of `ReadinessGate`: each with its default and bounds, checked once."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict, Unpack, cast

from connections.gate.buffer import Priority
from connections.gate.dependencies import Board, Check
from connections.gate.errors import InvalidSetting
from connections.gate.inbound import PriorityOf
from connections.gate.lifecycle import DEADLINES, SEND_STALL, Deadline, State
from connections.gate.outbound import Outgoing, droppable
from connections.gate.settings import MAX_HELD, MAX_HELD_BYTES, MAX_HELD_S, Settings
from connections.gate.strategies import Requirements

_LEAST = {"max_held": 1, "max_held_bytes": 1, "max_held_s": 0, "keep_ended": 0, "grace_s": 0}


class Options(TypedDict, total=False):
    """The keyword arguments of `ReadinessGate` beside `flags`. Times are seconds."""

    required: Iterable[str]
    """Services without which nothing can be answered; the application marks each with `service_ready`."""
    optional: Iterable[str]
    """Services whose absence degrades the answer."""
    checks: Iterable[Check]
    """Checks of the services that a connection needs (docs/dependencies.md); their answers are shared by all."""
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
    """How long a message below CRITICAL may be held, in either direction. Default: 300."""
    event_priorities: Mapping[str, Priority] | None
    """Types of the application's events that may be dropped where a client reads too slowly. Default: none."""
    send_stall_s: float
    """How long a client may read nothing of what is sent to it before it is closed; 0 is forever. Default: 10."""
    grace_s: float
    """How long an application may go on after a connection is over, before it is cancelled. Default: 5."""
    deadlines: Mapping[State, Deadline] | None
    """Replaces single entries of `lifecycle.DEADLINES`."""
    keep_ended: int
    """Ended connections that the registry still explains. Default: 200."""


def settings_of(**options: Unpack[Options]) -> Settings:
    """From a gate's keyword arguments. Raises InvalidSetting for a value out of bounds, TypeError for an option that
    does not exist."""
    told = cast("dict[str, Any]", {**options})
    if unknown := sorted(told.keys() - Options.__annotations__.keys()):
        known = ", ".join(sorted(Options.__annotations__))
        raise TypeError(f"ReadinessGate has no option {', '.join(unknown)}; it has flags, {known}")
    for name in _LEAST.keys() & told.keys():
        _at_least(name, told[name], _LEAST[name])
    told["requirements"], told["board"] = _requirements(told)
    told["deadlines"] = {**DEADLINES, **(told.pop("deadlines", None) or {})}
    told["outgoing"] = _outgoing(told)
    return Settings(**told)


def _requirements(told: dict[str, Any]) -> tuple[Requirements, Board]:
    required, optional = frozenset(_names(told, "required")), frozenset(_names(told, "optional"))
    board = Board(told.pop("checks", ()))
    requirements = Requirements(
        required=required,
        optional=optional - required,
        required_checks=frozenset(check.name for check in board.checks if check.required),
        optional_checks=frozenset(check.name for check in board.checks if not check.required),
        authenticates=told.pop("authenticates", False),
    )
    return requirements, board


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
