"""The five types of flags, kept apart: what every variant of one flag has. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

EXACT = 2**53 - 1
"""The greatest whole number that every client reads exactly: JavaScript's numbers are IEEE 754 doubles."""


class VariantType(StrEnum):
    """OpenFeature's types of flag values."""

    BOOLEAN = "boolean"
    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    OBJECT = "object"


class MixedTypes(ValueError):  # noqa: N818 (named as what is wrong with the variants)
    """Variants of several types, or of none. The message says which."""


def variant_type(variants: Mapping[str, Any]) -> VariantType:
    """The one type of all variants. Raises MixedTypes.

    A flag with any fractional variant is a float flag: its whole numbers are served as 1.0.
    """
    found = {_type_of(value) for value in variants.values()}
    if found == {VariantType.INTEGER, VariantType.FLOAT}:
        return VariantType.FLOAT
    if len(found) != 1:
        raise MixedTypes(f"all variants have one type, these are {' and '.join(sorted(found))}")
    return found.pop()


def _type_of(value: Any) -> VariantType:
    match value:
        case bool():
            return VariantType.BOOLEAN
        case int():
            if abs(value) > EXACT:
                raise MixedTypes(f"a whole number lies between -{EXACT} and {EXACT}: clients would read another one")
            return VariantType.INTEGER
        case float():
            return VariantType.FLOAT
        case str():
            return VariantType.STRING
        case Mapping():
            return VariantType.OBJECT
    raise MixedTypes("a variant is a boolean, a number, text or an object")
