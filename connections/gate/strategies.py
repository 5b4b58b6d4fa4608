"""The named readiness strategies: each a pure rule from what is known so far to one verdict. Time is an argument.

`immediate` and `fixed_delay` are honest baselines: they wait for nothing that matters, and are kept so that charts can
show it. `dependency_gate` is the cure and the fall-back. A new strategy is one frozen dataclass whose fields are its
parameters, decorated with `@strategy(name)`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum, auto
from typing import Any, ClassVar, NamedTuple, TypeVar

from connections.gate.errors import InvalidParameters

DEFAULT_STRATEGY = "dependency_gate"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a gate was told of its application: the same for every connection."""

    required: frozenset[str] = frozenset()
    """Services without which nothing can be answered; the application marks each."""
    optional: frozenset[str] = frozenset()
    """Services whose absence degrades the answer."""
    required_checks: frozenset[str] = frozenset()
    optional_checks: frozenset[str] = frozenset()
    authenticates: bool = False
    """The application promises to say `authenticated()`."""


@dataclass(frozen=True, slots=True)
class Switches:
    """The boolean flags, as evaluated for one connection."""

    dependency_validation: bool = True
    """Off: only the application's own marks count, checks do not run."""
    adaptive_timing: bool = True
    client_ack: bool = True
    degraded_mode: bool = True
    """Off: a missing optional service closes 1013 instead of degrading."""


@dataclass(slots=True)
class Progress:
    """What is known of one connection so far. Absent from a mapping is unknown: neither ready nor failed."""

    requirements: Requirements
    switches: Switches
    accepted_at: float
    authenticated: bool = False
    asked: bool = False
    """The application has asked for its first message."""
    declared_ready: bool = False
    """The application said `ready()`."""
    reported: bool = False
    """The application has said anything at all."""
    services: dict[str, bool] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)


class Action(Enum):
    HOLD = auto()
    OPEN = auto()
    DEGRADE = auto()
    REJECT = auto()


class Verdict(NamedTuple):
    """What to do now. `until`: ask again then, at the latest. `missing`: what is not there, for people and clients."""

    action: Action
    why: str
    until: float | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Strategy:
    """Base of all strategies. Subclasses are frozen dataclasses; their fields are the parameters."""

    name: ClassVar[str] = ""
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """Inclusive bounds of each numeric parameter."""

    @property
    def hold_limit_s(self) -> float:
        """Seconds after which a connection that still waits is decided by `at_deadline`."""
        return 12.0

    def decide(self, progress: Progress, now: float) -> Verdict:
        """The verdict at `now`, a monotonic time in seconds."""
        raise NotImplementedError

    def at_deadline(self, progress: Progress) -> Verdict:
        """The last verdict, when the hold limit has passed. Never HOLD."""
        return Verdict(Action.OPEN, f"{self.name}: the hold limit passed")

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "Strategy":
        """Build from one member of the flag `readiness-parameters`. Raises InvalidParameters naming the field."""
        known = {each.name: each for each in fields(cls)}
        values: dict[str, Any] = {}
        for key, value in parameters.items():
            if key not in known:
                choice = ", ".join(sorted(known)) or "none at all"
                raise InvalidParameters(f"{cls.name}.{key}", "no such parameter", f"it takes {choice}")
            values[key] = cls._checked(key, value)
        return cls(**values)

    @classmethod
    def _checked(cls, key: str, value: Any) -> Any:
        where = f"{cls.name}.{key}"
        if key in cls.limits:
            low, high = cls.limits[key]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise InvalidParameters(where, f"{value!r} is out of bounds", f"give a number from {low:g} to {high:g}")
            return float(value)
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise InvalidParameters(where, f"{value!r} is no list of names", 'give a list such as ["redis"]')
        return frozenset(value)


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


def build(name: str, parameters: Mapping[str, Any]) -> Built:
    """The strategy `name` with its member of `parameters`. Total: an unknown name falls back to dependency_gate, wrong
    parameters to that strategy's defaults, and both are said in `problems`."""
    problems: list[str] = []
    cls = STRATEGIES.get(name)
    if cls is None:
        problems.append(f"readiness-strategy: {name!r} is unknown to this library; {DEFAULT_STRATEGY} is used instead")
        cls = STRATEGIES[DEFAULT_STRATEGY]
    own = parameters.get(cls.name, {})
    if not isinstance(own, Mapping):
        problems.append(f"readiness-parameters.{cls.name}: not an object; its defaults are used instead")
        own = {}
    try:
        built = cls.from_parameters(own)
    except InvalidParameters as error:
        problems.append(f"readiness-parameters.{error}; its defaults are used instead")
        built = cls()
    return Built(built, tuple(problems))


@strategy("immediate")
@dataclass(frozen=True)
class Immediate(Strategy):
    """Opens at once. Waits for nothing, so it is wrong whenever the application needs any setup."""

    def decide(self, progress: Progress, now: float) -> Verdict:
        return Verdict(Action.OPEN, "immediate: waits for nothing")


@strategy("fixed_delay")
@dataclass(frozen=True)
class FixedDelay(Strategy):
    """Opens `milliseconds` after accept, whatever is ready by then."""

    milliseconds: float = 100.0

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"milliseconds": (0, 10_000)}

    def decide(self, progress: Progress, now: float) -> Verdict:
        until = progress.accepted_at + self.milliseconds / 1000
        if now < until:
            return Verdict(Action.HOLD, "fixed_delay: waiting for the clock", until)
        return Verdict(Action.OPEN, f"fixed_delay: {self.milliseconds:g} ms passed")


@strategy(DEFAULT_STRATEGY)
@dataclass(frozen=True)
class DependencyGate(Strategy):
    """Opens when the application has marked its services and the checks have passed.

    Unknown is not "no": a service that nobody has spoken of holds the connection until the deadline and never rejects
    it before. An application that says nothing at all is taken at its behaviour: asking for its first message means
    ready; if services were declared for it and none was ever marked, the deadline opens degraded instead of rejecting,
    so that a forgotten mark cannot close good connections (the strictness regression).
    """

    timeout_seconds: float = 12.0
    optional_wait_seconds: float = 2.0
    """How long an optional service may stay unknown once all required ones are ready."""
    required: frozenset[str] | None = None
    """Of the declared services, those required; None: as the gate was told."""
    optional: frozenset[str] | None = None

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "timeout_seconds": (0.1, 60),
        "optional_wait_seconds": (0, 60),
    }

    @property
    def hold_limit_s(self) -> float:
        return self.timeout_seconds

    def decide(self, progress: Progress, now: float) -> Verdict:
        required, optional = self._outlook(progress)
        if failed := _named(required, False):
            return Verdict(Action.REJECT, f"required and failed: {', '.join(failed)}", missing=failed)
        if unknown := self._unknown(progress, required):
            return Verdict(Action.HOLD, f"waiting for {', '.join(unknown)}", missing=unknown)
        failed = _named(optional, False)
        unknown = _named(optional, None)
        until = progress.accepted_at + self.optional_wait_seconds
        if unknown and not failed and now < until:
            return Verdict(Action.HOLD, f"waiting for optional {', '.join(unknown)}", until, unknown)
        return _without(progress, (*failed, *unknown))

    def at_deadline(self, progress: Progress) -> Verdict:
        required, optional = self._outlook(progress)
        unknown = self._unknown(progress, required)
        if not unknown:
            return _without(progress, (*_named(optional, False), *_named(optional, None)))
        if not progress.reported and not _named(required, False):
            return Verdict(Action.DEGRADE, f"nobody reported on {', '.join(unknown)}", missing=unknown)
        return Verdict(Action.REJECT, f"not ready in time: {', '.join(unknown)}", missing=unknown)

    def _outlook(self, progress: Progress) -> tuple[dict[str, bool | None], dict[str, bool | None]]:
        """What is known of each required and each optional thing: true, false, or None for unknown."""
        needs = progress.requirements
        declared = needs.required | needs.optional
        required = needs.required if self.required is None else self.required & declared
        optional = (declared if self.optional is None else self.optional & declared) - required
        wanted: dict[str, bool | None] = {name: progress.services.get(name) for name in sorted(required)}
        wished: dict[str, bool | None] = {name: progress.services.get(name) for name in sorted(optional)}
        if progress.switches.dependency_validation:
            wanted |= {f"check {name}": progress.checks.get(name) for name in sorted(needs.required_checks)}
            wished |= {f"check {name}": progress.checks.get(name) for name in sorted(needs.optional_checks)}
        return wanted, wished

    def _unknown(self, progress: Progress, required: Mapping[str, bool | None]) -> tuple[str, ...]:
        unknown = _named(required, None)
        if progress.requirements.authenticates and not progress.authenticated:
            unknown = ("authentication", *unknown)
        declares_nothing = not progress.requirements.required and not progress.requirements.optional
        if declares_nothing and not (progress.asked or progress.declared_ready):
            unknown = (*unknown, "the application's first receive")
        return unknown


def _named(outlook: Mapping[str, bool | None], known: bool | None) -> tuple[str, ...]:
    return tuple(name for name, value in outlook.items() if value is known)


def _without(progress: Progress, missing: tuple[str, ...]) -> Verdict:
    """Everything required is ready and `missing` is not."""
    if not missing:
        return Verdict(Action.OPEN, "everything needed is ready")
    if progress.switches.degraded_mode:
        return Verdict(Action.DEGRADE, f"optional and missing: {', '.join(missing)}", missing=missing)
    return Verdict(Action.REJECT, f"missing, and degraded-mode is off: {', '.join(missing)}", missing=missing)
