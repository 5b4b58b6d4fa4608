"""What all strategies share, and how one is made from flags."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

from connections.gate.errors import InvalidParameters
from connections.gate.lifecycle import State
from connections.gate.strategies.knowledge import Action, Progress, Verdict
from connections.gate.strategies.parameters import converted

DEFAULT_STRATEGY = "dependency_gate"
HOLD_LIMIT_S = 12.0


@dataclass(frozen=True)
class Strategy:
    """Base of all strategies. Subclasses are frozen dataclasses; their fields are the parameters."""

    name: ClassVar[str] = ""
    opens_when: ClassVar[str] = ""
    """For people, as are the two below: one phrase each, shown in docs/strategies.md."""
    false_ready: ClassVar[str] = ""
    false_not_ready: ClassVar[str] = ""
    learns: ClassVar[bool] = False
    """Whether it wants `Progress.learned`."""
    asks_checks: ClassVar[bool] = False
    """Whether the checks of services matter to it; where not, none runs for it."""
    defers_accept: ClassVar[bool] = False
    """Whether the accept stays off the wire until it opens."""

    @property
    def limits_s(self) -> Mapping[State, float]:
        """This strategy's own deadlines, in seconds by state; the lifecycle's hold for every other state."""
        return _HOLD_ONLY

    def decide(self, progress: Progress, now: float) -> Verdict:
        """The verdict at `now`, a monotonic time in seconds."""
        raise NotImplementedError

    def at_deadline(self, progress: Progress) -> Verdict:
        """The last verdict, when the hold limit has passed. Never HOLD."""
        return Verdict(Action.OPEN, f"{self.name}: the hold limit passed")

    def confirm(self, progress: Progress) -> Verdict:
        """Once `connection_ready` is out: OPEN, or HOLD for the client's answer until services_ready's deadline."""
        return Verdict(Action.OPEN, "connection_ready was sent")

    def unconfirmed(self, progress: Progress) -> Verdict:
        """What happens when the deadline of services_ready passes. Never HOLD."""
        return Verdict(Action.OPEN, "connection_ready could not be confirmed in time")

    def joined(self, made: "Callable[[type[Strategy]], Strategy]") -> "Strategy":
        """This strategy, with any other that it falls back on made from the same flag."""
        return self

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], environment: str = "") -> Self:
        """Build from one member of the flag `readiness-parameters`; what it leaves out has its default. Raises
        InvalidParameters naming the field."""
        return cls(**converted(cls, cls.name, parameters))


_HOLD_ONLY: Mapping[State, float] = MappingProxyType({State.SERVICE_DEPENDENCY_CHECK: HOLD_LIMIT_S})

STRATEGIES: dict[str, type[Strategy]] = {}
"""Every strategy by its name, which is also its variant of the flag `readiness-strategy`."""

S = TypeVar("S", bound=type[Strategy])


def strategy(name: str) -> Callable[[S], S]:
    """Register a strategy under `name`."""

    def register(cls: S) -> S:
        cls.name = name
        STRATEGIES[name] = cls
        return cls

    return register


class Built(NamedTuple):
    """A strategy and what was wrong with the wish for it, in sentences for the telemetry."""

    strategy: Strategy
    problems: tuple[str, ...]


def build(name: str, parameters: Mapping[str, Any], environment: str = "") -> Built:
    """The strategy `name` with its member of `parameters`, in `environment` (which only says what the defaults are).

    Total: an unknown name falls back to dependency_gate, wrong parameters to that strategy's defaults, and both are
    said in `problems`.
    """
    problems: list[str] = []
    cls = STRATEGIES.get(name)
    if cls is None:
        problems.append(f"readiness-strategy: {name!r} is unknown to this library; {DEFAULT_STRATEGY} is used instead")
        cls = STRATEGIES[DEFAULT_STRATEGY]

    def made(wanted: type[Strategy]) -> Strategy:
        own = parameters.get(wanted.name, {})
        try:
            if isinstance(own, Mapping):
                return wanted.from_parameters(own, environment)
            problems.append(f"readiness-parameters.{wanted.name}: not an object; its defaults are used instead")
        except InvalidParameters as error:
            problems.append(f"readiness-parameters.{error}; its defaults are used instead")
        return wanted.from_parameters({}, environment)

    return Built(made(cls).joined(made), tuple(problems))
