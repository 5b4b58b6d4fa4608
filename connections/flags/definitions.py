"""What a definition must be before anybody serves it. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from connections.flags.errors import BadDefinition
from connections.flags.targeting import TargetingError, decide
from connections.flags.versions import Definition, canonical_json

KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")
"""OFREP clients put keys into addresses as they are: other characters would break there."""
MAX_BYTES = 64 * 1024
STATES = ("ENABLED", "DISABLED")
RESERVED = ("change", "promote")
"""Pages below an environment, where each flag has a page by its key."""
FIELDS = {"state", "variants", "defaultVariant", "targeting", "metadata"}


def check(key: str, definition: Definition) -> None:
    """Raises BadDefinition naming the flag and what is wrong with it."""
    if not KEY.fullmatch(key):
        raise BadDefinition(key[:100], "a flag key has 1 to 100 letters, digits, dots, underscores or hyphens")
    if key in RESERVED:
        raise BadDefinition(key, f"{' and '.join(RESERVED)} are names of pages; a flag needs another key")
    _check_storable(key, definition)
    if unknown := sorted(set(definition) - FIELDS):
        raise BadDefinition(key, f"unknown field {unknown[0]!r}")
    if definition.get("state") not in STATES:
        raise BadDefinition(key, f"state is one of {', '.join(STATES)}")
    variants = definition.get("variants")
    if not isinstance(variants, Mapping) or not variants:
        raise BadDefinition(key, "variants is an object with at least one variant")
    _check_values(key, variants)
    # `in` a list compares; in an object it would hash, and any JSON may stand where a name is meant.
    default = definition.get("defaultVariant")
    if default is not None and default not in list(variants):
        raise BadDefinition(key, "defaultVariant is one of the variants")
    _check_targeting(key, definition.get("targeting"))
    _check_metadata(key, definition.get("metadata"), variants)


def _check_storable(key: str, definition: Definition) -> None:
    """PostgreSQL stores neither a NUL nor half a surrogate pair, in text or in JSON."""
    try:
        stored = canonical_json(definition).encode()
    except (ValueError, TypeError, RecursionError):
        raise BadDefinition(key, "a definition is plain JSON, its numbers finite, its text Unicode") from None
    if b"\\u0000" in stored:
        raise BadDefinition(key, "text has no NUL character")
    if len(stored) > MAX_BYTES:
        raise BadDefinition(key, f"a definition has at most {MAX_BYTES} bytes")


def _check_values(key: str, variants: Mapping[str, Any]) -> None:
    kinds = {_kind(key, value) for value in variants.values()}
    if len(kinds) > 1:
        raise BadDefinition(key, f"all variants have one type, these are {' and '.join(sorted(kinds))}")


def _kind(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, Mapping):
        return "object"
    raise BadDefinition(key, "a variant is a boolean, a number, text or an object")


def _check_targeting(key: str, targeting: Any) -> None:
    if targeting is None:
        return
    if not isinstance(targeting, Mapping):
        raise BadDefinition(key, "targeting is an object with one operator")
    try:
        decide(targeting, key, {"targetingKey": "somebody"})
    except TargetingError as error:
        raise BadDefinition(key, f"targeting: {error}") from None


def _check_metadata(key: str, metadata: Any, variants: Mapping[str, Any]) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, Mapping) or not all(
        isinstance(one, bool | str | int | float) for one in metadata.values()
    ):
        raise BadDefinition(key, "metadata holds text, numbers and booleans only")
    if "safeVariant" in metadata and metadata["safeVariant"] not in list(variants):
        raise BadDefinition(key, "metadata.safeVariant is one of the variants")
