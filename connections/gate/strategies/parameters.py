"""Parameters of strategies: each a dataclass field that carries its kind, so that one place says type, bounds, default
and meaning, and validation and documentation are made from it."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from itertools import pairwise
from typing import Any, Protocol

from connections.gate.errors import InvalidParameters

_KIND, _MEANING = "kind", "meaning"


class Kind(Protocol):
    """What values a parameter takes."""

    @property
    def takes(self) -> str:
        """For people: what to give."""

    def convert(self, value: Any) -> Any:
        """The value as the strategy holds it. Raises ValueError where it is not of this kind."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `low` to `high`, both included."""

    low: float
    high: float

    @property
    def takes(self) -> str:
        return f"a number from {self.low:g} to {self.high:g}"

    def convert(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise ValueError
        return float(value)


@dataclass(frozen=True, slots=True)
class RisingNumbers:
    """One to `most` numbers, each larger than the one before, all within `low` and `high`."""

    low: float
    high: float
    most: int = 10

    @property
    def takes(self) -> str:
        return f"a list of 1 to {self.most} rising numbers from {self.low:g} to {self.high:g}, such as [50, 100, 150]"

    def convert(self, value: Any) -> tuple[float, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= self.most:
            raise ValueError
        numbers = tuple(Number(self.low, self.high).convert(each) for each in value)
        if any(later <= earlier for earlier, later in pairwise(numbers)):
            raise ValueError
        return numbers


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]

    @property
    def takes(self) -> str:
        return " or ".join(f'"{word}"' for word in self.words)

    def convert(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValueError
        return value


@dataclass(frozen=True, slots=True)
class Names:
    """A list of names of services."""

    @property
    def takes(self) -> str:
        return 'a list of names, such as ["redis"]'

    def convert(self, value: Any) -> frozenset[str]:
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise ValueError
        return frozenset(value)


def parameter(default: Any, kind: Kind, meaning: str) -> Any:
    """A dataclass field that is a parameter."""
    return field(default=default, metadata={_KIND: kind, _MEANING: meaning})


@dataclass(frozen=True, slots=True)
class Described:
    """One parameter of a strategy, for people."""

    name: str
    takes: str
    default: Any
    meaning: str


def described(cls: type[Any]) -> list[Described]:
    """The parameters of a strategy, in their order."""
    return [
        Described(each.name, _kind(each).takes, each.default, each.metadata[_MEANING])
        for each in _parameters(cls).values()
    ]


def converted(cls: type[Any], name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of one member of the flag `readiness-parameters`, checked. Raises InvalidParameters naming the field
    and the cure; `name` is the strategy's."""
    known = _parameters(cls)
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key not in known:
            choice = ", ".join(sorted(known)) or "none at all"
            raise InvalidParameters(f"{name}.{key}", "no such parameter", f"it takes {choice}")
        kind = _kind(known[key])
        try:
            found[key] = kind.convert(value)
        except ValueError:
            raise InvalidParameters(f"{name}.{key}", f"{value!r} is not valid", f"give {kind.takes}") from None
    return found


def _parameters(cls: type[Any]) -> dict[str, Field[Any]]:
    return {each.name: each for each in fields(cls) if _KIND in each.metadata and each.default is not MISSING}


def _kind(each: Field[Any]) -> Kind:
    kind: Kind = each.metadata[_KIND]
    return kind
