"""Which strategy a new connection gets: the flags of one snapshot, evaluated once, with a coded default for each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from connections.flags.evaluation import evaluate
from connections.gate.strategies import DEFAULT_STRATEGY, Strategy, Switches, build
from connections.gate.telemetry import ConnectionRecord

STRATEGY = "readiness-strategy"
PARAMETERS = "readiness-parameters"

CODED_DEFAULTS: Mapping[str, Any] = MappingProxyType(
    {
        STRATEGY: DEFAULT_STRATEGY,
        PARAMETERS: MappingProxyType({}),
        "dependency-validation": True,
        "adaptive-timing": True,
        "client-ack": True,
        "degraded-mode": True,
    }
)
"""What holds for a flag that was never seen, is disabled, or evaluates to an error or another type."""

CODED_VARIANT = "(coded default)"
"""Counted as the variant where a coded default was used."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The definitions held at one instant. `origin` is default, static, disk or server."""

    flags: Mapping[str, Any] = field(default_factory=dict)
    revision: int | None = None
    environment: str = ""
    etag: str = ""
    origin: str = "default"


class Flags(Protocol):
    """Where a gate gets its flags. Every method but `stop` returns at once; all may be called from any thread."""

    def start(self) -> None:
        """Begin learning, if there is anything to learn; further calls do nothing."""

    def snapshot(self) -> Snapshot:
        """What is held now."""

    def evaluated(self, evaluations: Iterable[tuple[str, str]]) -> None:
        """Count one connection's evaluations."""

    def ended(self, record: ConnectionRecord) -> None:
        """Count one connection's end."""

    def stop(self) -> None:
        """Tell what was counted and end, within a few seconds. `start` begins anew."""


class StaticFlags:
    """Flags that never change. Each is a definition (flagd's JSON) or just the value it has for everyone."""

    def __init__(self, flags: Mapping[str, Any] | None = None, *, environment: str = "") -> None:
        definitions = {key: _definition(value) for key, value in (flags or {}).items()}
        self._snapshot = Snapshot(definitions, None, environment, origin="static")

    def start(self) -> None:
        return

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def evaluated(self, evaluations: Iterable[tuple[str, str]]) -> None:
        return

    def ended(self, record: ConnectionRecord) -> None:
        return

    def stop(self) -> None:
        return


def _definition(value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping) and "variants" in value:
        return value
    return {"state": "ENABLED", "variants": {"static": value}, "defaultVariant": "static"}


@dataclass(frozen=True, slots=True)
class Selection:
    """What one connection got."""

    strategy: Strategy
    revision: int | None
    environment: str
    switches: Switches
    evaluations: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]


class Selector:
    """Selects for one connection after another. Flags without targeting are evaluated once per snapshot: then every
    connection gets the same, and shares it."""

    __slots__ = ("_flags", "_shared")

    def __init__(self) -> None:
        self._flags: Mapping[str, Any] | None = None
        self._shared: Selection | None = None

    def select(self, snapshot: Snapshot, context: Callable[[], Mapping[str, Any]]) -> Selection:
        """As the function `select`; `context` is only asked for where it matters."""
        if snapshot.flags is not self._flags:
            self._flags = snapshot.flags
            self._shared = None if _has_targeting(snapshot.flags) else select(snapshot, {})
        shared = self._shared
        return select(snapshot, context()) if shared is None else shared


def _has_targeting(flags: Mapping[str, Any]) -> bool:
    ours = (flags.get(key) for key in CODED_DEFAULTS)
    return any(isinstance(flag, Mapping) and flag.get("targeting") for flag in ours)


def select(snapshot: Snapshot, context: Mapping[str, Any]) -> Selection:
    """Evaluate the six flags for one connection. Total: whatever the definitions are, there is an answer."""
    evaluations: list[tuple[str, str]] = []
    problems: list[str] = []
    values: dict[str, Any] = {}
    for key, default in CODED_DEFAULTS.items():
        value, variant, problem = _value(snapshot.flags, key, default, context)
        values[key] = value
        evaluations.append((key, variant))
        if problem:
            problems.append(problem)
    built = build(values[STRATEGY], values[PARAMETERS], snapshot.environment)
    switches = Switches(
        dependency_validation=values["dependency-validation"],
        adaptive_timing=values["adaptive-timing"],
        client_ack=values["client-ack"],
        degraded_mode=values["degraded-mode"],
    )
    return Selection(
        strategy=built.strategy,
        revision=snapshot.revision,
        environment=snapshot.environment,
        switches=switches,
        evaluations=tuple(evaluations),
        problems=(*problems, *built.problems),
    )


def _value(flags: Mapping[str, Any], key: str, default: Any, context: Mapping[str, Any]) -> tuple[Any, str, str]:
    if key not in flags:
        return default, CODED_VARIANT, ""
    found = evaluate(flags, key, context)
    if found.error_code is not None:
        return default, CODED_VARIANT, f"{key}: {found.error_code} {found.error_details or ''}; {default!r} is used"
    if found.variant is None:
        return default, CODED_VARIANT, ""
    fits = isinstance(found.value, Mapping) if key == PARAMETERS else isinstance(found.value, type(default))
    if not fits:
        return default, CODED_VARIANT, f"{key}: its value {found.value!r} has the wrong type; {default!r} is used"
    return found.value, found.variant, ""
