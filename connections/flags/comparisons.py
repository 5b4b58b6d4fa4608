"""Operators of targeting rules that compare values they are given: text, order and versions. Pure.

A comparison of something that it cannot compare (a version that is none, a missing attribute, a text that is too long)
is null, as flagd's are: it matches nobody, and as the whole of a rule it leaves the default variant.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from connections.flags.semantic_versions import COMPARISONS, parse
from connections.flags.text_patterns import MAX_TEXT, PatternError, compiled

Comparison = Callable[[Sequence[Any]], bool | None]


def _starts_with(values: Sequence[Any]) -> bool | None:
    texts = _texts(values)
    return None if texts is None else texts[0].startswith(texts[1])


def _ends_with(values: Sequence[Any]) -> bool | None:
    texts = _texts(values)
    return None if texts is None else texts[0].endswith(texts[1])


def _matches(values: Sequence[Any]) -> bool | None:
    texts = _texts(values)
    if texts is None or len(texts[0]) > MAX_TEXT:
        return None
    try:
        return compiled(texts[1]).found_in(texts[0])
    except PatternError:
        return None


def _texts(values: Sequence[Any]) -> tuple[str, str] | None:
    match values:
        case [str(text), str(other)]:
            return text, other
    return None


def _sem_ver(values: Sequence[Any]) -> bool | None:
    match values:
        case [value, str(name), target] if name in COMPARISONS:
            left, right = parse(value), parse(target)
            return None if left is None or right is None else bool(COMPARISONS[name](left, right))
    return None


def _ordered(compare: Callable[[Any, Any], bool]) -> Comparison:
    """Two values, or a value between two others as in {"<": [1, x, 5]}; texts by their letters, all else by number."""

    def compared(values: Sequence[Any]) -> bool | None:
        if not 2 <= len(values) <= 3:
            return None
        if not all(isinstance(value, str) for value in values):
            values = [number(value) for value in values]
        if None in values:
            return None
        return all(compare(left, right) for left, right in pairwise(values))

    return compared


def number(value: Any) -> int | float | None:
    """A number, of a number or of text that is one; None for all else, and for NaN."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= 1_000 and value.isascii() and "_" not in value else None
        except ValueError:
            return None
    if not isinstance(value, int | float) or value != value:
        return None
    return value


BY_NAME: dict[str, Comparison] = {
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "matches": _matches,
    "sem_ver": _sem_ver,
    "<": _ordered(lambda left, right: left < right),
    "<=": _ordered(lambda left, right: left <= right),
    ">": _ordered(lambda left, right: left > right),
    ">=": _ordered(lambda left, right: left >= right),
}
"""`matches` is ours: flagd has no regular expressions."""
