"""Targeting rules: the part of JsonLogic that flagd's `targeting` uses, flagd's own operators, and `matches`. Pure.

Sources: jsonlogic.com/operations.html; flagd, "Fractional Operation Specification" (murmur3-32 seed 0 of the bucketing
value, times the sum of weights, shifted right by 32 bits), its `$flagd` properties and custom operations.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mmh3

from connections.flags import comparisons

MAX_DEPTH = 50
"""Deeper rules are refused: far above what people write, far below Python's own limit."""
MAX_WEIGHT_SUM = 2**31 - 1
MAX_TEXT = 1_000_000
"""Characters that `cat` may build: a rule that joins a huge attribute to itself again and again ends there."""
_NUMBER = re.compile(r"[+-]?(\d{1,400}(\.\d{0,400})?|\.\d{1,400})([eE][+-]?\d{1,4})?")


class TargetingError(ValueError):
    """A rule that cannot be carried out. The message names the operator and the mistake."""


@dataclass(frozen=True)
class Decision:
    """What a rule came to; `split` tells that a percentage had a part in it."""

    value: Any
    split: bool


def decide(rule: Any, flag_key: str, context: Mapping[str, Any]) -> Decision:
    """Carry out `rule` for one subject. Raises TargetingError on a rule that is not ours, or a weight that is none.

    The rule sees the context and `$flagd.flagKey`; time is no part of it, so the same input gives the same answer.
    """
    run = _Run(flag_key, {**context, "$flagd": {"flagKey": flag_key}})
    value = run.of(rule)
    return Decision(value, run.split)


class _Run:
    """One rule over one context."""

    def __init__(self, flag_key: str, data: Mapping[str, Any]) -> None:
        self.flag_key = flag_key
        self.data = data
        self.split = False
        self._depth = 0

    def of(self, rule: Any) -> Any:
        """The value of a rule: a literal, a list of rules, or one operator with its arguments."""
        if isinstance(rule, list):
            return self._deeper(lambda: [self.of(item) for item in rule])
        if not isinstance(rule, Mapping):
            return rule
        if len(rule) != 1:
            raise TargetingError(f"a rule has exactly one operator, this one has {len(rule)}")
        ((name, arguments),) = rule.items()
        operator = OPERATORS.get(name)
        if operator is None:
            raise TargetingError(f"unknown operator {name!r}: use one of {', '.join(sorted(OPERATORS))}")
        return self._deeper(lambda: operator(self, arguments if isinstance(arguments, list) else [arguments]))

    def _deeper(self, step: Callable[[], Any]) -> Any:
        if self._depth >= MAX_DEPTH:
            raise TargetingError(f"rules are nested deeper than {MAX_DEPTH}")
        self._depth += 1
        try:
            return step()
        finally:
            self._depth -= 1


def is_true(value: Any) -> bool:
    """JsonLogic's truth: null, false, 0, NaN, "" and [] are false; every other value is true."""
    if isinstance(value, float):
        return value != 0 and not math.isnan(value)
    return bool(value) or isinstance(value, Mapping)


def loosely_equal(left: Any, right: Any) -> bool:
    """JsonLogic's `==`: numbers equal their text; lists and objects equal nothing, as in JavaScript."""
    left, right = _number_of_bool(left), _number_of_bool(right)
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if left is None or right is None:
        return left is right
    numbers = _as_number(left), _as_number(right)
    return None not in numbers and numbers[0] == numbers[1]


def _number_of_bool(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def _as_number(value: Any) -> int | float | None:
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and len(value) <= 1_000 and _NUMBER.fullmatch(text := value.strip()):
        return float(text)
    return None


def bucket(text: str, weight_sum: int) -> int:
    """Which of `weight_sum` equal slices `text` falls into: 0 up to, not including, `weight_sum`. flagd's mapping."""
    return (mmh3.hash(text.encode("utf-8", "surrogatepass"), 0, signed=False) * weight_sum) >> 32


def _if(run: _Run, arguments: list[Any]) -> Any:
    for at in range(0, len(arguments) - 1, 2):
        if is_true(run.of(arguments[at])):
            return run.of(arguments[at + 1])
    return run.of(arguments[-1]) if len(arguments) % 2 else None


def _var(run: _Run, arguments: list[Any]) -> Any:
    default = run.of(arguments[1]) if len(arguments) > 1 else None
    path = run.of(arguments[0]) if arguments else ""
    if path is None or path == "":
        return dict(run.data)
    here: Any = run.data
    for part in str(path).split("."):
        if isinstance(here, Mapping) and part in here:
            here = here[part]
        elif isinstance(here, Sequence) and not isinstance(here, str) and _is_index(part, here):
            here = here[int(part)]
        else:
            return default
    return default if here is None else here


def _is_index(part: str, items: Sequence[Any]) -> bool:
    return part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(items)


def _equal(run: _Run, arguments: list[Any]) -> bool:
    left, right = _two(run, arguments, "==")
    return loosely_equal(left, right)


def _not_equal(run: _Run, arguments: list[Any]) -> bool:
    left, right = _two(run, arguments, "!=")
    return not loosely_equal(left, right)


def _in(run: _Run, arguments: list[Any]) -> bool:
    needle, where = _two(run, arguments, "in")
    if isinstance(where, str):
        return isinstance(needle, str) and needle in where
    if not isinstance(where, Sequence):
        return False
    return any(_same(needle, item) for item in where)


def _same(left: Any, right: Any) -> bool:
    """Strictly equal: 1 is not "1" nor true."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, str) or isinstance(right, str):
        return isinstance(left, str) and isinstance(right, str) and left == right
    return left is right if left is None or right is None else loosely_equal(left, right)


def _two(run: _Run, arguments: list[Any], name: str) -> tuple[Any, Any]:
    if len(arguments) != 2:
        raise TargetingError(f"{name} compares 2 values, not {len(arguments)}")
    return run.of(arguments[0]), run.of(arguments[1])


def _and(run: _Run, arguments: list[Any]) -> Any:
    value: Any = None
    for argument in arguments:
        value = run.of(argument)
        if not is_true(value):
            break
    return value


def _or(run: _Run, arguments: list[Any]) -> Any:
    value: Any = None
    for argument in arguments:
        value = run.of(argument)
        if is_true(value):
            break
    return value


def _not(run: _Run, arguments: list[Any]) -> bool:
    return not is_true(run.of(arguments[0]) if arguments else None)


def _not_not(run: _Run, arguments: list[Any]) -> bool:
    return not _not(run, arguments)


def _strictly_equal(run: _Run, arguments: list[Any]) -> bool:
    return _same(*_two(run, arguments, "==="))


def _strictly_not_equal(run: _Run, arguments: list[Any]) -> bool:
    return not _same(*_two(run, arguments, "!=="))


def _compared(name: str) -> Callable[[_Run, list[Any]], bool | None]:
    compare = comparisons.BY_NAME[name]
    return lambda run, arguments: compare([run.of(argument) for argument in arguments])


def _cat(run: _Run, arguments: list[Any]) -> str:
    parts: list[str] = []
    length = 0
    for argument in arguments:
        parts.append(_text(run.of(argument)))
        length += len(parts[-1])
        if length > MAX_TEXT:
            raise TargetingError(f"cat: the text is longer than {MAX_TEXT} characters")
    return "".join(parts)


def _text(value: Any) -> str:
    if value is None or isinstance(value, list | Mapping):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _fractional(run: _Run, arguments: list[Any]) -> Any:
    """flagd's percentage split: null (so: the default variant) where the subject has nothing to be bucketed by."""
    if arguments and isinstance(arguments[0], list):
        by, shares = None, arguments
    else:
        by, shares = run.of(arguments[0]) if arguments else None, arguments[1:]
    if by is None and isinstance(subject := run.data.get("targetingKey"), str):
        by = run.flag_key + subject
    if not isinstance(by, str):
        return None
    shares = [run.of(share) for share in shares]
    weights = [_weight(share) for share in shares]
    total = sum(weights)
    if total > MAX_WEIGHT_SUM:
        raise TargetingError(f"fractional: weights add up to {total}, at most {MAX_WEIGHT_SUM} is possible")
    if total == 0:
        return None
    run.split = True
    slot = bucket(by, total)
    for share, weight in zip(shares, weights, strict=True):
        if slot < weight:
            return share[0]
        slot -= weight
    return None


def _weight(share: Any) -> int:
    if not isinstance(share, list) or not share:
        raise TargetingError("fractional: each share is a list: [variant, weight]")
    weight = share[1] if len(share) > 1 else 1
    if weight is None:
        return 1
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= MAX_WEIGHT_SUM:
        raise TargetingError("fractional: a weight is a whole number from 0 up")
    if weight != int(weight):
        raise TargetingError("fractional: a weight is a whole number from 0 up")
    return int(weight)


OPERATORS: dict[str, Callable[[_Run, list[Any]], Any]] = {
    "if": _if,
    "var": _var,
    "==": _equal,
    "!=": _not_equal,
    "in": _in,
    "and": _and,
    "or": _or,
    "!": _not,
    "!!": _not_not,
    "===": _strictly_equal,
    "!==": _strictly_not_equal,
    "cat": _cat,
    "fractional": _fractional,
    **{name: _compared(name) for name in comparisons.BY_NAME},
}
"""Every operator a rule may use. A new one is a row here."""
