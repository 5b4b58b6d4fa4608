"""What a targeting rule must be before anybody serves it: every branch is looked at, not just the one that runs. Pure.

Evaluation is total whatever it is given; this is what a person is told while they can still correct it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from connections.flags.evaluation import variant_name
from connections.flags.semantic_versions import COMPARISONS, parse
from connections.flags.targeting import MAX_DEPTH, MAX_WEIGHT_SUM, OPERATORS
from connections.flags.text_patterns import PatternError, compiled

TWO = ("==", "!=", "===", "!==", "in", "starts_with", "ends_with", "matches")
ORDER = ("<", "<=", ">", ">=")
MAX_PATTERNS = 20
"""`matches` in one rule: each may cost some milliseconds."""


class RuleError(ValueError):
    """A rule that would not do what it seems to say. The message names the operator and the mistake."""


def check_rule(rule: Any, variants: Iterable[str]) -> None:
    """Raises RuleError for the first thing in `rule` that cannot be carried out, or names no variant."""
    _check(rule, frozenset(variants), depth=0, decides=True)
    if _patterns(rule) > MAX_PATTERNS:
        raise RuleError(f"matches stands here more than {MAX_PATTERNS} times: use one pattern with | instead")


def _patterns(rule: Any) -> int:
    if isinstance(rule, Mapping):
        return ("matches" in rule) + sum(map(_patterns, rule.values()))
    return sum(map(_patterns, rule)) if isinstance(rule, list) else 0


def _check(rule: Any, variants: frozenset[str], *, depth: int, decides: bool) -> None:
    """`decides`: what this comes to is the variant that is served."""
    if depth > MAX_DEPTH:
        raise RuleError(f"rules are nested deeper than {MAX_DEPTH}")
    if isinstance(rule, list):
        for item in rule:
            _check(item, variants, depth=depth + 1, decides=False)
    elif isinstance(rule, Mapping):
        name, arguments = _operator(rule)
        if check := _BY_NAME.get(name):
            check(name, arguments)
        for at, argument in enumerate(arguments):
            leads = decides and _leads(name, at, len(arguments))
            if name == "fractional" and isinstance(argument, list):
                _check_share(argument, variants, depth + 1, decides)
            else:
                _check(argument, variants, depth=depth + 1, decides=leads)
    elif decides:
        _check_outcome(rule, variants)


def _operator(rule: Mapping[str, Any]) -> tuple[str, list[Any]]:
    if len(rule) != 1:
        raise RuleError(f"a rule has exactly one operator, this one has {len(rule)}")
    ((name, arguments),) = rule.items()
    if name not in OPERATORS:
        raise RuleError(f"unknown operator {name!r}: use one of {', '.join(sorted(OPERATORS))}")
    return name, arguments if isinstance(arguments, list) else [arguments]


def _leads(name: str, at: int, count: int) -> bool:
    """Whether the argument at this place may be what the operator comes to: the branches of `if`."""
    if name == "if":
        return at % 2 == 1 or at == count - 1
    return name in ("and", "or") and at == count - 1


def _check_outcome(value: Any, variants: frozenset[str]) -> None:
    if value is None:
        return
    name = variant_name(value)
    if name is None or name not in variants:
        raise RuleError(f"{value!r} is no variant: use one of {', '.join(sorted(variants))}, or null for the default")


def _check_share(share: list[Any], variants: frozenset[str], depth: int, decides: bool) -> None:
    if not 1 <= len(share) <= 2:
        raise RuleError("fractional: each share is a list: [variant, weight]")
    _check(share[0], variants, depth=depth, decides=decides)
    if len(share) == 2 and isinstance(share[1], Mapping):
        _check(share[1], variants, depth=depth, decides=False)
    elif len(share) == 2:
        _check_weight(share[1])


def _check_weight(weight: Any) -> None:
    is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if weight is not None and not (is_number and 0 <= weight <= MAX_WEIGHT_SUM and weight == int(weight)):
        raise RuleError("fractional: a weight is a whole number from 0 up")


def _check_fractional(name: str, arguments: list[Any]) -> None:
    by_something = bool(arguments) and not isinstance(arguments[0], list)
    shares = arguments[1:] if by_something else arguments
    if not shares or not all(isinstance(share, list) for share in shares):
        raise RuleError("fractional: each share is a list: [variant, weight]")
    weights = [share[1] if len(share) > 1 and share[1] is not None else 1 for share in shares]
    total = sum(weight for weight in weights if isinstance(weight, int | float))
    if total > MAX_WEIGHT_SUM:
        raise RuleError(f"fractional: weights add up to {total}, at most {MAX_WEIGHT_SUM} is possible")
    if total == 0 and not any(isinstance(weight, Mapping) for weight in weights):
        raise RuleError("fractional: all weights are 0")


def _check_two(name: str, arguments: list[Any]) -> None:
    if len(arguments) != 2:
        raise RuleError(f"{name} compares 2 values, not {len(arguments)}")


def _check_order(name: str, arguments: list[Any]) -> None:
    if not 2 <= len(arguments) <= 3:
        raise RuleError(f"{name} compares 2 values, or one between two others, not {len(arguments)}")


def _check_matches(name: str, arguments: list[Any]) -> None:
    _check_two(name, arguments)
    pattern = arguments[1]
    if not isinstance(pattern, str):
        raise RuleError("matches: the pattern is text, not a rule")
    try:
        compiled(pattern)
    except PatternError as error:
        raise RuleError(f"matches: the pattern {pattern!r} cannot be used: {error}") from None


def _check_sem_ver(name: str, arguments: list[Any]) -> None:
    if len(arguments) != 3 or arguments[1] not in list(COMPARISONS):
        signs = " ".join(COMPARISONS)
        raise RuleError(f'sem_ver: write a value, one of {signs} and a version: [{{"var": "version"}}, ">=", "2.0.0"]')
    if not isinstance(arguments[2], Mapping) and parse(arguments[2]) is None:
        raise RuleError(f"sem_ver: {arguments[2]!r} is no version: write it as 1.2.3")


_BY_NAME: dict[str, Callable[[str, list[Any]], None]] = {
    **dict.fromkeys(TWO, _check_two),
    **dict.fromkeys(ORDER, _check_order),
    "matches": _check_matches,
    "sem_ver": _check_sem_ver,
    "fractional": _check_fractional,
}
