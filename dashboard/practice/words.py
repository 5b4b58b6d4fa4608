"""Words about practised faults, pure: what was chosen, and what a person will see."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connections.reference.faults import FAULTS, PERCENT, Fault, Parameter
from dashboard.sentences import NBSP, Evidence, symptom

_CLOSE_CODES = {"closed_before_ready": 1013, "closed_early": 1011}
DURATIONS: Mapping[int, str] = {60: "1 minute", 300: "5 minutes", 900: "15 minutes", 3600: "1 hour"}


@dataclass(frozen=True, slots=True)
class Sight:
    """What probes will report of a fault, and the words in which the overview tells it."""

    kind: str
    words: str


def sight(fault: Fault, parameters: Mapping[str, Any], strategy: str) -> Sight:
    """What is seen of `fault` while `strategy` is served."""
    kind = fault.kind_under(strategy)
    evidence = Evidence(
        http_status=int(parameters.get("status", 0)) or None,
        close_code=_CLOSE_CODES.get(kind),
        event=str(parameters.get("event", "")),
    )
    return Sight(kind, symptom(kind, evidence))


def defaults(fault: Fault) -> dict[str, float | str]:
    """Every parameter of `fault` as it is where nobody chooses."""
    return {each.name: each.default for each in fault.parameters}


def chosen(fault: str, parameters: Mapping[str, Any]) -> str:
    """The parameters in short: "6 s", "tool_completed, 50 % of connections"; "" where there is nothing to tell."""
    known = FAULTS.get(fault)
    if known is None:
        return ""
    told = [_told(each, parameters[each.name]) for each in known.parameters if each.name in parameters]
    return ", ".join(filter(None, told))


def _told(parameter: Parameter, value: Any) -> str:
    if parameter is PERCENT:
        return "" if value == PERCENT.default else f"{value:g}{NBSP}% of connections"
    return str(value) if parameter.choices else f"{value:g}{NBSP}{parameter.unit}"


def named(fault: str) -> str:
    """A fault within a sentence: "slow setup", "1011 after ready"."""
    known = FAULTS.get(fault)
    if known is None:
        return fault
    return known.title[:1].lower() + known.title[1:]


def time_left(seconds: float) -> str:
    """ "4 min 12 s", "12 s"."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    return f"{minutes}{NBSP}min {rest}{NBSP}s" if minutes else f"{rest}{NBSP}s"
