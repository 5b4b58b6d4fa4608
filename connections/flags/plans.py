"""The rollback plans: named flag values, applied as one version. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from connections.flags.errors import UnknownFlag, UnknownVariant
from connections.flags.versions import Definition, same, with_variants


@dataclass(frozen=True)
class Plan:
    """`values` None: the plan restores the version that a person marked known-good."""

    key: str
    name: str
    effect: str
    values: Mapping[str, str] | None


_ALL = (
    Plan(
        "phase-1",
        "Phase 1: dependency validation off",
        "New connections open as soon as the application itself says that it is ready; its services are not checked.",
        MappingProxyType({"dependency-validation": "off"}),
    ),
    Plan(
        "phase-2",
        "Phase 2: adaptive timing off",
        "Adaptive delays become progressive ones. Dependency validation stays as it is.",
        MappingProxyType({"adaptive-timing": "off"}),
    ),
    Plan(
        "emergency",
        "Emergency: back to known good",
        "Every flag returns to the version that a person marked known-good.",
        None,
    ),
)
PLANS: Mapping[str, Plan] = MappingProxyType({plan.key: plan for plan in _ALL})
"""The plans that Readywire brings, by key, in the order in which they are offered."""


def check_values(definitions: Mapping[str, Definition], values: Mapping[str, str]) -> None:
    """Raises UnknownFlag or UnknownVariant for the first value that the definitions do not know."""
    for flag, variant in values.items():
        if flag not in definitions:
            raise UnknownFlag(flag, definitions)
        if variant not in definitions[flag]["variants"]:
            raise UnknownVariant(flag, variant, definitions[flag]["variants"])


def changes_for(definitions: Mapping[str, Definition], values: Mapping[str, str]) -> dict[str, dict[str, Any] | None]:
    """The definitions that `values` would change. Raises UnknownFlag or UnknownVariant; empty: already so."""
    check_values(definitions, values)
    return dict(with_variants(definitions, values))


def changes_back(
    definitions: Mapping[str, Definition], target: Mapping[str, Definition]
) -> dict[str, dict[str, Any] | None]:
    """What turns `definitions` into `target`: None removes a flag that the target did not have. Empty: already so."""
    return {
        key: dict(target[key]) if key in target else None
        for key in sorted({*definitions, *target})
        if not same(definitions.get(key), target.get(key))
    }
