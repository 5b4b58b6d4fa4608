"""What a definition must be before anybody serves it.

A definition is flagd's JSON with two fields of our own, which are stored and versioned with it and sent to no client:
`schema`, the JSON Schema of its values, and `tags`, by which keys select flags.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from connections.flags import own_flags
from connections.flags.errors import BadDefinition
from connections.flags.layers import STORED_ONLY
from connections.flags.rules import RuleError, check_rule
from connections.flags.tagging import TagError, tags_of
from connections.flags.targeting import TargetingError, decide
from connections.flags.variant_types import MixedTypes, variant_type
from connections.flags.versions import Definition, canonical_json

KEY = re.compile(r"[A-Za-z0-9._-]{1,100}")
"""OFREP clients put keys into addresses as they are: other characters would break there."""
VARIANT_LENGTH = 100
MAX_BYTES = 64 * 1024
STATES = ("ENABLED", "DISABLED")
RESERVED = ("change", "new-flag", "promote")
"""Pages below an environment, where each flag has a page by its key."""
FIELDS = {"state", "variants", "defaultVariant", "targeting", "metadata", *STORED_ONLY}
DATES = ("removeBy",)
"""Metadata that is a date, as YYYY-MM-DD."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def check(key: str, definition: Definition) -> None:
    """Raises BadDefinition naming the flag and what is wrong with it."""
    if not KEY.fullmatch(key):
        raise BadDefinition(key[:100], "a flag key has 1 to 100 letters, digits, dots, underscores or hyphens")
    if key in RESERVED:
        raise BadDefinition(key, f"{', '.join(RESERVED)} are names of pages; a flag needs another key")
    _check_storable(key, definition)
    if unknown := sorted(set(definition) - FIELDS):
        raise BadDefinition(key, f"unknown field {unknown[0]!r}")
    if definition.get("state") not in STATES:
        raise BadDefinition(key, f"state is one of {', '.join(STATES)}")
    variants = _checked_variants(key, definition)
    # `in` a list compares; in an object it would hash, and any JSON may stand where a name is meant.
    default = definition.get("defaultVariant")
    if default is not None and default not in list(variants):
        raise BadDefinition(key, "defaultVariant is one of the variants")
    _check_targeting(key, definition.get("targeting"), variants)
    _check_metadata(key, definition.get("metadata"), variants)
    try:
        tags_of(definition)
    except TagError as error:
        raise BadDefinition(key, str(error)) from None


def check_successor(key: str, before: Definition | None, definition: Definition) -> None:
    """Raises BadDefinition where a flag would become one of another type: those who read it would all fail."""
    if before is None:
        return
    try:
        old = variant_type(before["variants"])
    except MixedTypes:
        return  # It was written before types were kept apart: any type is an improvement.
    new = variant_type(definition["variants"])
    if old != new:
        raise BadDefinition(key, f"it is a flag of type {old}, not {new}: give the other type a key of its own")


def removal_date(value: Any) -> date | None:
    """The date that metadata tells; None where it is none."""
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None


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


def _checked_variants(key: str, definition: Definition) -> Mapping[str, Any]:
    variants = definition.get("variants")
    if not isinstance(variants, Mapping) or not variants:
        raise BadDefinition(key, "variants is an object with at least one variant")
    if any(not 1 <= len(name) <= VARIANT_LENGTH for name in variants):
        raise BadDefinition(key, f"a variant's name has 1 to {VARIANT_LENGTH} characters")
    try:
        type_ = variant_type(variants)
    except MixedTypes as error:
        raise BadDefinition(key, str(error)) from None
    if problem := own_flags.problem(key, type_, variants):
        raise BadDefinition(key, problem)
    if definition.get("schema") is not None:
        _check_schema(key, definition["schema"], variants)
    return variants


def _check_schema(key: str, schema: Any, variants: Mapping[str, Any]) -> None:
    # Here, not above: most changes meet no schema, and a rollback from the command line need not wait for the import.
    from connections.flags.schemas import SchemaViolationError, check_schema, check_value

    try:
        check_schema(schema)
        for name, value in variants.items():
            check_value(schema, value, f"variants.{name}")
    except SchemaViolationError as error:
        raise BadDefinition(key, str(error)) from None


def _check_targeting(key: str, targeting: Any, variants: Mapping[str, Any]) -> None:
    if targeting is None or targeting == {}:
        return
    if not isinstance(targeting, Mapping):
        raise BadDefinition(key, "targeting is an object with one operator")
    try:
        check_rule(targeting, variants)
        decide(targeting, key, {"targetingKey": "somebody"})
    except (RuleError, TargetingError) as error:
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
    for name in DATES:
        if name in metadata and removal_date(metadata[name]) is None:
            raise BadDefinition(key, f"metadata.{name} is a date, as 2027-01-31")
