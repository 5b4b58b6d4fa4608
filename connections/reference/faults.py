"""The faults that a reference service can be told to have: one frozen table, and what may be asked of each. Pure.

Kinds are values of `probes.engine.outcome.FailureKind`, as a probe reports them whose script wants the five events;
a test drives real probes against every row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from connections.reference.services import SERVICES

SECONDS = (5.0, 3600.0)
"""Least and most seconds that a fault lasts."""
DEFAULT_SECONDS = 300.0
MAX_BY = 80
"""Characters of the name of who started it."""

OPEN_AT_ONCE = frozenset({"immediate", "state_poll"})
"""Strategies that say ready while the setup has only begun: every probe of a service with any setup fails."""
OPEN_EARLY = OPEN_AT_ONCE | {"fixed_delay", "progressive_delay", "adaptive_delay"}
"""Strategies that say ready while a setup takes longer than they wait."""

_EVENTS = ("agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed")
_NOT_LAST = _EVENTS[:-1]
"""What follows an event shows that it is missing or late in its place; nothing follows the last."""


class FaultError(Exception):
    """A request for a fault that cannot be met. `field` is what is wrong, `cure` what would be right."""

    status = 400
    """The HTTP status that says so."""

    def __init__(self, field: str, message: str, cure: str) -> None:
        super().__init__(f"{field}: {message}; {cure}")
        self.field = field
        self.message = message
        self.cure = cure


class UnknownFault(FaultError):  # noqa: N818 - named as the fact it states, like the gate's errors
    """There is no such fault, or it is not on."""

    status = 404


class AlreadyOn(FaultError):  # noqa: N818 - as above
    """The fault is on, with parameters of its own."""

    status = 409


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing to choose: a number within `bounds`, or one of `choices`."""

    name: str
    meaning: str
    default: float | str
    bounds: tuple[float, float] = (0.0, 0.0)
    choices: tuple[str, ...] = ()
    unit: str = ""

    def checked(self, value: Any) -> float | str:
        """`value` as it will be used. Raises FaultError."""
        field = f"parameters.{self.name}"
        if self.choices:
            if str(value) not in self.choices:
                raise FaultError(field, f"{value!r} is no choice", f"give one of {', '.join(self.choices)}")
            return str(value)
        return number_within(field, value, self.bounds)


def number_within(field: str, value: Any, bounds: tuple[float, float]) -> float:
    """`value` as a number within `bounds`. Raises FaultError naming `field`."""
    low, high = bounds
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise FaultError(field, f"{value!r} is out of bounds", f"give a number from {low:g} to {high:g}")
    return float(value)


PERCENT = Parameter("percent", "of the connections that meet it", 100.0, (1, 100), unit="%")
"""Every fault has it: below 100 a target becomes degraded rather than down."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table."""

    name: str
    title: str
    effect: str
    """What the service then does, in one plain sentence."""
    kind: str
    """What probes report where the strategy holds messages until the application is ready."""
    parameters: tuple[Parameter, ...] = (PERCENT,)
    kind_if_early: str = ""
    """What they report where the strategy opens before that, as `immediate` does; "": the same."""
    kind_if_deferred: str = ""
    """What they report where the strategy lets the accept wait, too; "": the same."""
    condition: str = ""
    """What must hold for that, as a clause; "": nothing."""

    def kind_under(self, strategy: str) -> str:
        """What probes report while `strategy` is served."""
        if strategy in OPEN_EARLY:
            return self.kind_if_early or self.kind
        return (self.kind_if_deferred if strategy == "deferred_accept" else "") or self.kind

    def checked(self, given: Mapping[str, Any]) -> Mapping[str, float | str]:
        """Every parameter by name, defaults filled in. Raises FaultError."""
        known = {each.name: each for each in self.parameters}
        for name in given:
            if name not in known:
                raise FaultError(f"parameters.{name}", f"{self.name} has none of that name", f"give {', '.join(known)}")
        return MappingProxyType(
            {name: each.checked(given[name]) if name in given else each.default for name, each in known.items()}
        )


def _seconds(meaning: str, default: float, most: float) -> Parameter:
    return Parameter("seconds", meaning, default, (0.1, most), unit="s")


def _event(meaning: str, default: str, choices: tuple[str, ...] = _NOT_LAST) -> Parameter:
    return Parameter("event", meaning, default, choices=choices)


_TABLE = (
    Fault(
        "slow_setup",
        "Slow setup",
        "The services behind a new connection take seconds longer before the first of them is there.",
        "not_ready",
        (_seconds("longer than the setup takes otherwise", 6, 60), PERCENT),
        kind_if_early="false_ready",
        kind_if_deferred="upgrade_timeout",
        condition="the setup outlasts the target's deadline",
    ),
    Fault(
        "dependency_down",
        "A dependency is down",
        "One service of the chat refuses: new connections cannot be set up, open ones cannot answer.",
        "closed_before_ready",
        (Parameter("service", "that refuses", "database", choices=SERVICES), PERCENT),
        kind_if_early="false_ready",
        kind_if_deferred="upgrade_rejected",
    ),
    Fault(
        "events_lost",
        "Events lost",
        "One event of each answer is numbered, then never sent: the client sees a gap.",
        "event_lost",
        (_event("that is lost", "tool_completed"), PERCENT),
    ),
    Fault(
        "events_late",
        "Events late",
        "One event of each answer waits on its way, and all that follow it wait behind it.",
        "event_late",
        (
            _seconds("that it waits", 1.3, 9),
            _event("that waits", "tool_completed", _EVENTS),
            PERCENT,
        ),
        condition="the event comes after the script's events_within_s and before the target's deadline",
    ),
    Fault(
        "events_twice",
        "Events twice",
        "One event of each answer is sent two times, with the same number.",
        "event_duplicated",
        (_event("that is sent twice", "tool_completed", _EVENTS), PERCENT),
    ),
    Fault(
        "events_swapped",
        "Events swapped",
        "One event of each answer changes places with the one after it.",
        "event_reordered",
        (_event("that is overtaken", "agent_thinking"), PERCENT),
    ),
    Fault(
        "close_1011",
        "1011 after ready",
        "The application closes with 1011 (internal error) after the first event of an answer.",
        "closed_early",
    ),
    Fault(
        "refuse_upgrades",
        "Upgrades refused",
        "New connections are refused with an HTTP error instead of 101, before the application sees them.",
        "upgrade_rejected",
        (
            Parameter("status", "HTTP status of the refusal", "503", choices=("429", "500", "502", "503", "504")),
            PERCENT,
        ),
    ),
    Fault(
        "slow_accept",
        "Slow accept",
        "The application lets new connections wait before it accepts them; from 10 s on the gate refuses with 503.",
        "upgrade_timeout",
        (_seconds("before the accept", 5, 30), PERCENT),
        condition="the wait outlasts the target's deadline",
    ),
    Fault(
        "silence",
        "Silence",
        "Connections are accepted, then nothing is sent on any of them, open ones included.",
        "not_ready",
    ),
)

FAULTS: Mapping[str, Fault] = MappingProxyType({fault.name: fault for fault in _TABLE})
"""Every fault by its name."""


def fault_named(name: object) -> Fault:
    """The row called `name`. Raises UnknownFault."""
    found = FAULTS.get(name) if isinstance(name, str) else None
    if found is None:
        raise UnknownFault("name", f"{name!r} is no fault", f"give one of {', '.join(FAULTS)}")
    return found
