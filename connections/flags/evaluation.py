"""What a flag is worth for one subject: the same pure code in the dashboard and in every watched server.

A definition is flagd's JSON: {"state", "variants", "defaultVariant", "targeting"?, "metadata"?}. Reasons and error
codes are the OpenFeature specification's. Evaluation is total (any context, any definition: an answer), deterministic
and sticky by `targetingKey`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from connections.flags.targeting import Decision, TargetingError, decide


class Reason(StrEnum):
    """Why this value: names of the OpenFeature SDKs' enum (clients turn any other name into an error)."""

    STATIC = "STATIC"
    DEFAULT = "DEFAULT"
    TARGETING_MATCH = "TARGETING_MATCH"
    SPLIT = "SPLIT"
    DISABLED = "DISABLED"
    CACHED = "CACHED"
    ERROR = "ERROR"


class ErrorCode(StrEnum):
    """OpenFeature's error codes, as far as a server can meet them."""

    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    PARSE_ERROR = "PARSE_ERROR"
    INVALID_CONTEXT = "INVALID_CONTEXT"
    TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
    GENERAL = "GENERAL"


@dataclass(frozen=True)
class Evaluation:
    """One flag for one subject. `variant` None: no variant is served, the caller's own default holds."""

    key: str
    value: Any
    variant: str | None
    reason: Reason
    error_code: ErrorCode | None = None
    error_details: str | None = None
    metadata: Mapping[str, bool | str | int | float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.error_code is None


def evaluate(flags: Mapping[str, Any], key: str, context: Mapping[str, Any]) -> Evaluation:
    """Evaluate flag `key` of `flags` (definitions by key) for `context` (`targetingKey` and the subject's attributes).

    Never raises: an unknown key, a broken definition or a hostile context is an Evaluation with reason ERROR, a code
    and details, and no variant.
    """
    try:
        return _evaluate(flags, key, context)
    except TargetingError as error:
        return _failed(key, ErrorCode.PARSE_ERROR, f"targeting of {key}: {error}")
    except Exception as error:  # noqa: BLE001 (totality: a context object of somebody else may raise anything)
        return _failed(key, ErrorCode.INVALID_CONTEXT, f"the context could not be read: {type(error).__name__}")


def _evaluate(flags: Mapping[str, Any], key: str, context: Mapping[str, Any]) -> Evaluation:
    definition = flags.get(key)
    if definition is None:
        return _failed(key, ErrorCode.FLAG_NOT_FOUND, f"no flag {key} is defined here")
    if not isinstance(definition, Mapping) or not isinstance(variants := definition.get("variants"), Mapping):
        return _failed(key, ErrorCode.PARSE_ERROR, f"{key} has no variants")
    if not isinstance(context, Mapping):
        return _failed(key, ErrorCode.INVALID_CONTEXT, "the context is not an object")
    metadata = plain_metadata(definition)
    if definition.get("state") == "DISABLED":
        return Evaluation(key, None, None, Reason.DISABLED, metadata=metadata)
    if targeting := definition.get("targeting"):
        decision = decide(targeting, key, context)
        if decision.value is not None:
            return _targeted(key, variants, decision, metadata)
    reason = Reason.DEFAULT if targeting else Reason.STATIC
    default = definition.get("defaultVariant")
    if default is None:
        return Evaluation(key, None, None, Reason.DEFAULT, metadata=metadata)
    if not isinstance(default, str) or default not in variants:
        return _failed(key, ErrorCode.PARSE_ERROR, f"{key}: its default variant does not exist")
    return Evaluation(key, variants[default], default, reason, metadata=metadata)


def _targeted(key: str, variants: Mapping[str, Any], decision: Decision, metadata: Mapping[str, Any]) -> Evaluation:
    variant = variant_name(decision.value)
    if variant is None or variant not in variants:
        return _failed(key, ErrorCode.GENERAL, f"targeting of {key} came to a variant that does not exist")
    reason = Reason.SPLIT if decision.split else Reason.TARGETING_MATCH
    return Evaluation(key, variants[variant], variant, reason, metadata=metadata)


def variant_name(value: Any) -> str | None:
    """The variant a rule's result names: text as it is, true and false as "true" and "false"; None for all else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else None


def plain_metadata(definition: Mapping[str, Any]) -> dict[str, bool | str | int | float]:
    """A definition's metadata as clients accept it: booleans, text and finite numbers only."""
    metadata = definition.get("metadata")
    if not isinstance(metadata, Mapping):
        return {}
    return {
        name: value
        for name, value in metadata.items()
        if isinstance(name, str)
        and isinstance(value, bool | str | int | float)
        and not (isinstance(value, float) and not math.isfinite(value))
    }


def _failed(key: str, code: ErrorCode, details: str) -> Evaluation:
    return Evaluation(key, None, None, Reason.ERROR, code, details)
