"""The JSON Schema (2020-12) of a flag's values: part of the definition as it is stored, and never sent to a client.

A schema is somebody's text too: it fetches nothing, its patterns are the bounded ones, and its references are counted.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import SchemaError, best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

from connections.flags.text_patterns import MAX_TEXT, PatternError, compiled

REFUSED = ("$dynamicRef", "$dynamicAnchor", "$id", "patternProperties")
"""What is not needed here, and would let a schema reach out or run for very long."""
MAX_REFERENCES = 1_000
"""References followed in one check: a schema that refers to itself in width would not end otherwise."""


class SchemaViolationError(ValueError):
    """A schema that cannot be used, or a value that does not follow it. The message names the place."""


def check_schema(schema: Any) -> None:
    """Raises SchemaViolationError where this is no JSON Schema, or uses what is refused here."""
    if not isinstance(schema, Mapping):
        raise SchemaViolationError("schema is an object: a JSON Schema")
    for keyword, value in _members(schema):
        if keyword in REFUSED:
            raise SchemaViolationError(f"schema: {keyword} cannot be used here")
        if keyword == "$ref" and not (isinstance(value, str) and value.startswith("#")):
            raise SchemaViolationError("schema: a $ref stays inside the schema: it begins with #")
        if keyword == "pattern" and isinstance(value, str):
            _check_pattern(value)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise SchemaViolationError(f"{_place('schema', error)}: {error.message}") from None
    except RecursionError:
        raise SchemaViolationError("schema is nested too deeply") from None


def check_value(schema: Mapping[str, Any], value: Any, place: str) -> None:
    """Raises SchemaViolationError naming the place in `value` that does not follow the schema."""
    budget = _Budget()
    checker = extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, {"pattern": _pattern, "$ref": budget.reference}
    )
    try:
        errors = list(islice(checker(schema, registry=Registry()).iter_errors(value), 100))
    except (Unresolvable, RecursionError):
        raise SchemaViolationError("schema: a $ref leads nowhere, or to itself") from None
    error = best_match(errors)
    if error is not None:
        raise SchemaViolationError(f"{_place(place, error)}: {error.message[:300]}")


class _Budget:
    """How many references may still be followed."""

    def __init__(self) -> None:
        self._left = MAX_REFERENCES

    def reference(self, checker: Any, reference: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        self._left -= 1
        if self._left < 0:
            raise SchemaViolationError(f"schema: checking a value follows more than {MAX_REFERENCES} references")
        yield from checker._validate_reference(ref=reference, instance=instance)


def _pattern(checker: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """The keyword `pattern` by the bounded engine."""
    if isinstance(instance, str) and (len(instance) > MAX_TEXT or not compiled(pattern).found_in(instance)):
        yield ValidationError(f"{instance[:80]!r} does not match {pattern!r}")


def _check_pattern(pattern: str) -> None:
    try:
        compiled(pattern)
    except PatternError as error:
        raise SchemaViolationError(f"schema: the pattern {pattern!r} cannot be used: {error}") from None


def _members(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every name and value anywhere in a schema, names of properties too."""
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            yield from one.items()
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _place(start: str, error: ValidationError | SchemaError) -> str:
    return ".".join([start, *(str(part) for part in error.absolute_path)])
