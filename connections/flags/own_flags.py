"""What the six flags that Readywire itself reads must be: their schema is the gate's own code, not a definition's."""

from collections.abc import Mapping
from typing import Any

from connections.flags.variant_types import VariantType

PARAMETERS = "readiness-parameters"
TYPES: Mapping[str, VariantType] = {
    "readiness-strategy": VariantType.STRING,
    PARAMETERS: VariantType.OBJECT,
    "dependency-validation": VariantType.BOOLEAN,
    "adaptive-timing": VariantType.BOOLEAN,
    "client-ack": VariantType.BOOLEAN,
    "degraded-mode": VariantType.BOOLEAN,
}


def problem(key: str, type_: VariantType, variants: Mapping[str, Any]) -> str:
    """What a gate could not use of a flag's variants; "" where it can use all, or does not read this flag."""
    wanted = TYPES.get(key, type_)
    if type_ != wanted:
        return f"a gate reads this flag as {wanted}, these variants are {type_}"
    if key != PARAMETERS:
        return ""
    return next((found for name, value in variants.items() if (found := _parameters_problem(name, value))), "")


def _parameters_problem(variant: str, parameters: Mapping[str, Any]) -> str:
    # Here, not above: the gate's package is no part of what a flag is, and takes a tenth of a second to import.
    from connections.gate.strategies import STRATEGIES, build

    for name in parameters:
        if name not in STRATEGIES:
            return f"variants.{variant}.{name}: no such strategy: use {', '.join(STRATEGIES)}"
    found = [said for name in parameters for said in build(name, parameters).problems]
    return f"variants.{variant}: {found[0].removesuffix('; its defaults are used instead')}" if found else ""
