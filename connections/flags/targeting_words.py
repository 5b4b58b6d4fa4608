"""Targeting rules in words, in the order in which they are tried. Pure, and total: whatever stands there is told.

The page shows these lines beside what is served, so that "who gets this?" is answered without reading JsonLogic.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from connections.flags.versions import Definition, same

MOST = 1_000
"""Characters of a line; what is longer ends in …"""
_ORDER = {"<": "below", "<=": "at most", ">": "above", ">=": "at least"}
_VERSIONS = {
    "=": "is",
    "!=": "is not",
    "<": "is before",
    "<=": "is at most",
    ">": "is after",
    ">=": "is at least",
    "~": "has the major and minor version of",
    "^": "has the major version of",
}
_TEXT = {"starts_with": "starts with", "ends_with": "ends with", "matches": "matches"}


def rules_in_words(definition: Definition) -> list[str]:
    """One line for each rule in the order in which they are tried; the last tells what everybody else gets."""
    if definition.get("state") == "DISABLED":
        return ["Nobody gets a variant: the flag is disabled, and each caller's own default holds."]
    default = _variant(definition.get("defaultVariant"))
    targeting = definition.get("targeting")
    if not targeting:
        return [f"Everybody gets {default}."]
    try:
        lines = _lines(targeting, default)
    except RecursionError:
        lines = ["The rules are nested too deeply to be told."]
    return [line if len(line) <= MOST else f"{line[: MOST - 1]}…" for line in lines]


def _lines(rule: Any, default: str) -> list[str]:
    steps, rest = _steps(rule)
    lines = [
        f"{'If' if number == 0 else 'Otherwise, if'} {_condition(condition)}: {_outcome(outcome, default)}."
        for number, (condition, outcome) in enumerate(steps)
    ]
    everybody = "Everybody else" if lines else "Everybody"
    operator, arguments = _operator(rest)
    if operator == "fractional":
        by, shares = _split(arguments)
        lines.append(f"{everybody} is split by {by}: {_shares(shares, default)}.")
        lines.append(f"Whoever has none gets {default}.")
    elif rest is None or not isinstance(rest, Mapping):
        lines.append(f"{everybody} gets {_outcome(rest, default)}.")
    else:
        lines.append(f"{everybody} gets the variant named by: {_value(rest)}; where it names none, {default}.")
    return lines


def _steps(rule: Any) -> tuple[list[tuple[Any, Any]], Any]:
    """The conditions with what each leads to, as one chain, and what holds for the rest."""
    steps: list[tuple[Any, Any]] = []
    while True:
        operator, arguments = _operator(rule)
        if operator != "if":
            return steps, rule
        own = _beneath_a_ramp(arguments)
        if own is not None:
            inner, _ = _steps(own)
            return [*steps, *inner], arguments[1]
        steps += list(zip(arguments[:-1:2], arguments[1::2], strict=False))
        rule = arguments[-1] if len(arguments) % 2 else None


def _beneath_a_ramp(arguments: list[Any]) -> Any:
    """The flag's own rules, where this is how a ramp is laid over them: whom they leave alone is split."""
    if len(arguments) != 3:
        return None
    operator, compared = _operator(arguments[0])
    laid = operator == "==" and len(compared) == 2 and compared[1] is None and same(compared[0], arguments[2])
    return arguments[2] if laid and _operator(arguments[1])[0] == "fractional" else None


def _outcome(value: Any, default: str) -> str:
    operator, arguments = _operator(value)
    if operator == "fractional":
        by, shares = _split(arguments)
        return f"{_shares(shares, default)}, split by {by}"
    if operator == "if":
        steps, rest = _steps(value)
        told = [f"if {_condition(condition)} {_outcome(outcome, default)}" for condition, outcome in steps]
        return f"({', '.join(told)}, else {_outcome(rest, default)})"
    return f"the default, {default}" if value is None else _variant(value)


def _split(arguments: list[Any]) -> tuple[str, list[Any]]:
    if arguments and not isinstance(arguments[0], list):
        return _value(arguments[0]), arguments[1:]
    return "the targeting key", arguments


def _shares(shares: list[Any], default: str) -> str:
    read = [share if isinstance(share, list) and share else [share] for share in shares]
    weights = [share[1] if len(share) > 1 and share[1] is not None else 1 for share in read]
    if not all(isinstance(weight, int | float) for weight in weights) or not sum(weights):
        return ", ".join(
            f"{_outcome(share[0], default)} by weight {_value(weight)}"
            for share, weight in zip(read, weights, strict=True)
        )
    whole = sum(weights)
    return ", ".join(
        f"{weight * 100 / whole:.4g} % {_outcome(share[0], default)}"
        for share, weight in zip(read, weights, strict=True)
    )


def _condition(rule: Any) -> str:
    operator, arguments = _operator(rule)
    told = _CONDITIONS.get(operator)
    if told is not None and (words := told(operator, arguments)):
        return words
    if operator == "var":
        return f"{_value(rule)} is set"
    return _value(rule)


def _equality(operator: str, arguments: list[Any]) -> str:
    if len(arguments) != 2:
        return ""
    left, right = arguments
    if _operator(right)[0] == "var" and _operator(left)[0] != "var":
        left, right = right, left
    is_not = operator.startswith("!")
    if right is None:
        return f"{_value(left)} is {'there' if is_not else 'missing'}"
    return f"{_value(left)} is {'not ' if is_not else ''}{_value(right)}"


def _within(operator: str, arguments: list[Any]) -> str:
    if len(arguments) != 2:
        return ""
    if isinstance(arguments[1], list):
        return f"{_value(arguments[0])} is one of {', '.join(_value(item) for item in arguments[1])}"
    return f"{_value(arguments[1])} contains {_value(arguments[0])}"


def _order(operator: str, arguments: list[Any]) -> str:
    word = _ORDER[operator]
    if len(arguments) == 2:
        return f"{_value(arguments[0])} is {word} {_value(arguments[1])}"
    if len(arguments) == 3:
        low, value, high = (_value(one) for one in arguments)
        return f"{low} is {word} {value}, and {value} is {word} {high}"
    return ""


def _version(operator: str, arguments: list[Any]) -> str:
    if len(arguments) != 3 or not isinstance(arguments[1], str) or arguments[1] not in _VERSIONS:
        return ""
    target = arguments[2] if isinstance(arguments[2], str) else _value(arguments[2])
    return f"{_value(arguments[0])} {_VERSIONS[arguments[1]]} {target}"


def _text(operator: str, arguments: list[Any]) -> str:
    if len(arguments) != 2:
        return ""
    return f"{_value(arguments[0])} {_TEXT[operator]} {_value(arguments[1])}"


def _joined(operator: str, arguments: list[Any]) -> str:
    return f" {operator} ".join(_grouped(one) for one in arguments)


def _grouped(rule: Any) -> str:
    operator, arguments = _operator(rule)
    return f"({_condition(rule)})" if operator in ("and", "or") and len(arguments) > 1 else _condition(rule)


def _not(operator: str, arguments: list[Any]) -> str:
    if len(arguments) != 1:
        return ""
    if _operator(arguments[0])[0] == "var":
        return f"{_value(arguments[0])} is not set"
    return f"not ({_condition(arguments[0])})"


def _set(operator: str, arguments: list[Any]) -> str:
    return _condition(arguments[0]) if len(arguments) == 1 else ""


def _by_lot(operator: str, arguments: list[Any]) -> str:
    by, shares = _split(arguments)
    return f"the split by {by} ({_shares(shares, 'nothing')}) says true"


_CONDITIONS: Mapping[str, Callable[[str, list[Any]], str]] = {
    **dict.fromkeys(("==", "===", "!=", "!=="), _equality),
    **dict.fromkeys(_ORDER, _order),
    **dict.fromkeys(_TEXT, _text),
    "in": _within,
    "sem_ver": _version,
    "and": _joined,
    "or": _joined,
    "!": _not,
    "!!": _set,
    "fractional": _by_lot,
}


def _value(value: Any) -> str:
    operator, arguments = _operator(value)
    if operator == "var" and arguments:
        path = arguments[0]
        return {"targetingKey": "the targeting key", "$flagd.flagKey": "the flag's key"}.get(str(path), str(path))
    if operator == "cat":
        return " + ".join(_value(one) for one in arguments)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(value)


def _variant(value: Any) -> str:
    if value is None:
        return "the caller's own default"
    return value if isinstance(value, str) else _value(value)


def _operator(rule: Any) -> tuple[str, list[Any]]:
    """An operator with its arguments; "" for what is no rule."""
    if not isinstance(rule, Mapping) or len(rule) != 1:
        return "", []
    ((name, arguments),) = rule.items()
    return str(name), arguments if isinstance(arguments, list) else [arguments]
