"""A ramp's steps as a person types them: "10 % for 30 min", "50 % for 1 h if the guard passes", "100 %". Pure."""

import re
from collections.abc import Iterable

from connections.flags.errors import BadRamp
from connections.flags.ramps import Step, read_steps

_UNITS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600, "d": 86_400}
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|sec|min|m|h|d)")
_LINE = re.compile(
    r"(?P<share>\d+(?:\.\d+)?)\s*%?"
    r"(?:\s+for\s+(?P<hold>\d[\d.\sa-z]*?))?"
    r"(?P<guard>\s+if the guard passes)?\s*[,.;]?"
)
PASSES = " if the guard passes"
PRESETS = (
    ("Quick", "10 % for 5 min\n50 % for 5 min\n100 %"),
    ("Careful", "1 % for 10 min\n10 % for 30 min\n50 % for 1 h\n100 % for 1 h"),
    (
        "Guarded",
        "10 % for 5 min if the guard passes\n50 % for 5 min if the guard passes\n100 % for 5 min if the guard passes",
    ),
)
"""(name, lines) that the page offers."""


def steps_of(text: str) -> tuple[Step, ...]:
    """The steps that the lines say. Raises BadRamp naming the line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return read_steps([_step(number, line) for number, line in enumerate(lines, start=1)])


def lines_of(steps: Iterable[Step]) -> str:
    """The lines that say these steps."""
    return "\n".join(map(line_of, steps))


def line_of(step: Step) -> str:
    """One step: "10 % for 30 min if the guard passes"."""
    hold = f" for {duration(step.hold_seconds)}" if step.hold_seconds else ""
    return f"{step.percentage:g} %{hold}{PASSES if step.needs_pass else ''}"


def duration(seconds: float) -> str:
    """A step's time, whole: "45 s", "10 min", "1 h 30 min"."""
    parts, rest = [], seconds
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if rest >= size:
            parts.append(f"{int(rest // size)} {unit}")
            rest -= rest // size * size
    return " ".join(parts + ([f"{rest:g} s"] if rest else []))


def _step(number: int, line: str) -> Step:
    found = _LINE.fullmatch(line.lower())
    if found is None:
        raise BadRamp(f'Line {number} is not a step: write "10 % for 30 min", or "50 % for 1 h{PASSES}".')
    return Step(float(found["share"]), _seconds(number, found["hold"] or ""), bool(found["guard"]))


def _seconds(number: int, text: str) -> float:
    if _TIME.sub("", text).strip():
        raise BadRamp(f'Line {number}: write a time as "45 s", "10 min", "1 h" or "1 h 30 min".')
    return sum(float(amount) * _UNITS[unit] for amount, unit in _TIME.findall(text))
