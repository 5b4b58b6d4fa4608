"""What lies over a version: kills, tripped breakers and ramps. Pure.

A layer changes what is served and leaves the version alone, so that taking it away restores exactly what was there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

Definition = Mapping[str, Any]

WHOLE = 1000
"""A ramp's shares are thousandths: its weights always add up to this, so a greater share moves nobody out."""

STORED_ONLY = ("schema", "tags")
"""Fields of a definition that are ours: versioned with it, and never served."""


class LayerKind(StrEnum):
    """From the weakest to the strongest: of two layers over one flag, the stronger one is served."""

    RAMP = "ramp"
    BREAKER = "breaker"
    KILL = "kill"


@dataclass(frozen=True)
class Layer:
    """One flag served otherwise. `share`: of a ramp, how many of WHOLE subjects get `variant`; the others `control`."""

    flag: str
    kind: LayerKind
    variant: str
    control: str | None = None
    share: int = WHOLE

    def as_json(self) -> dict[str, Any]:
        """The layer as a revision stores it."""
        ramp = {"control": self.control, "share": self.share} if self.kind is LayerKind.RAMP else {}
        return {"flag": self.flag, "kind": self.kind.value, "variant": self.variant, **ramp}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Layer":
        """The layer that `as_json` wrote."""
        share = stored.get("share", WHOLE)
        return cls(stored["flag"], LayerKind(stored["kind"]), stored["variant"], stored.get("control"), share)


def laid_over(definitions: Mapping[str, Definition], layers: Iterable[Layer]) -> dict[str, dict[str, Any]]:
    """What is served where `layers` lie over `definitions`. A layer without its flag or variant is none.

    A definition that nothing lies over is the same object, so that what is made from it can be kept.
    """
    served = {key: as_served(body) for key, body in definitions.items()}
    strength = list(LayerKind)
    for layer in sorted(layers, key=lambda one: strength.index(one.kind)):
        definition = definitions.get(layer.flag)
        if definition is not None and layer.variant in definition["variants"]:
            served[layer.flag] = _under(as_served(definition), layer)
    return served


class StoredBody(dict[str, Any]):
    """A definition with fields of ours, as it was read from the store: it remembers what is served of it."""

    @cached_property
    def served(self) -> dict[str, Any]:
        """The same object each time, so that what is made from it can be kept."""
        return {name: value for name, value in self.items() if name not in STORED_ONLY}


def as_served(definition: Definition) -> dict[str, Any]:
    """A definition without what is ours alone."""
    if isinstance(definition, StoredBody):
        return definition.served
    if isinstance(definition, dict) and definition.keys().isdisjoint(STORED_ONLY):
        return definition
    return {name: value for name, value in definition.items() if name not in STORED_ONLY}


def _under(definition: Definition, layer: Layer) -> dict[str, Any]:
    if layer.kind is LayerKind.RAMP:
        return {**definition, "targeting": _ramped(definition.get("targeting"), layer)}
    body = {key: value for key, value in definition.items() if key != "targeting"}
    return {**body, "state": "ENABLED", "defaultVariant": layer.variant}


def _ramped(targeting: Any, layer: Layer) -> dict[str, Any]:
    """Whom the flag's own rules decide keeps that decision; only the others are split."""
    shares = [[layer.variant, layer.share], [layer.control, WHOLE - layer.share]]
    split = {"fractional": shares}
    return {"if": [{"==": [targeting, None]}, split, targeting]} if targeting else split
