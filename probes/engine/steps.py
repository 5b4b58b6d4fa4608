"""The steps of a scripted conversation: what is sent, awaited and waited for beside the claim and the trigger."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol, get_args

import jmespath
from jmespath.exceptions import JMESPathError

from probes.engine.fields import MAX_ITEMS, Reader

NONCE = "{nonce}"
TOKEN = "{token}"  # noqa: S105 - the place of a token in a message

StepKind = Literal["claim", "trigger", "ping", "send", "expect", "expect_text", "wait"]

_WORDS: tuple[StepKind, ...] = ("claim", "trigger", "ping")
_MAX_WAIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    `claim`: wait until the claim rule holds. `trigger`: send the trigger, and wait until its run is over. `ping`: wait
    for the pong. `send` a message. `expect`: wait for a JSON message for which a JMESPath holds. `expect_text`: wait
    for a message that contains a text. `wait` seconds.
    """

    kind: StepKind
    text: str = ""
    seconds: float = 0.0

    def to_json(self) -> Any:
        """As it is written in a script; `read` reverses it exactly."""
        if self.kind in _WORDS:
            return self.kind
        return {self.kind: self.seconds if self.kind == "wait" else self.text}

    @property
    def shown(self) -> str:
        """For a sentence."""
        return f"{self.kind} {self.text}".rstrip()[:120]


CLAIM, TRIGGER = Step("claim"), Step("trigger")


class Matcher(Protocol):
    """A compiled expression."""

    def search(self, value: Any) -> Any:
        """What it makes of the value. Raises JMESPathError where it does not fit."""


class _Equality:
    """`name == 'text'`, as nearly every rule is: the interpreter of the language costs ten times as much."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text

    def search(self, value: Any) -> bool:
        return isinstance(value, dict) and bool(value.get(self._name) == self._text)


_EQUALITY = re.compile(r" *([A-Za-z_][A-Za-z0-9_]*) *== *'([^'\\]*)' *")


@lru_cache(maxsize=1024)
def matcher(expression: str) -> Matcher:
    """The compiled JMESPath expression. Raises JMESPathError."""
    if plain := _EQUALITY.fullmatch(expression):
        return _Equality(*plain.groups())
    compiled: Matcher = jmespath.compile(expression)
    return compiled


@lru_cache(maxsize=1024)
def plan(steps: tuple[Step, ...], *, early: bool) -> tuple[Step, ...]:
    """All steps in order: the claim first and the trigger last where the script names no other place.

    `early`: the trigger comes first, and nobody waits for the claim.
    """
    if early:
        return (TRIGGER, *(step for step in steps if step not in (CLAIM, TRIGGER)))
    first = () if CLAIM in steps else (CLAIM,)
    last = () if TRIGGER in steps else (TRIGGER,)
    return (*first, *steps, *last)


def opens(steps: Sequence[Step]) -> bool:
    """Whether something comes before the claim."""
    return CLAIM in steps and steps[0] != CLAIM


def field_of(step: Step | None, steps: Sequence[Step], trigger: str) -> str:
    """The field of the script that a step's message stands in, and what of the target is filled into it, in words."""
    if step is None or step.kind not in ("send", "trigger"):
        return "our answer"
    text = trigger if step.kind == "trigger" else step.text
    place = "trigger" if step.kind == "trigger" else f"steps[{steps.index(step)}]"
    return f"{place}, with the target's token in it," if TOKEN in text else place


def read(reader: Reader) -> tuple[Step, ...]:
    """The field `steps`. Raises ScriptError, with the line of the step."""
    value = reader.mapping.get("steps", [])
    if not isinstance(value, list | tuple):
        raise reader.fail("steps", "must be a list of steps", "Write for example `- send: hello`")
    if len(value) > MAX_ITEMS:
        raise reader.fail("steps", f"lists more than {MAX_ITEMS}", "Shorten the list")
    steps = tuple(_step(item, _Place(reader, at)) for at, item in enumerate(value))
    for word in (CLAIM, TRIGGER):
        if steps.count(word) > 1:
            raise reader.fail("steps", f"names {word.kind} twice", "Keep one of them")
    if CLAIM in steps and TRIGGER in steps and steps.index(TRIGGER) < steps.index(CLAIM):
        raise reader.fail("steps", "has the trigger before the claim", "Write early_send: true instead")
    return steps


class _Place:
    """Where in the list a mistake is."""

    def __init__(self, reader: Reader, at: int) -> None:
        self._reader = reader
        self._name = f"steps[{at}]"

    def fail(self, fault: str, cure: str) -> Exception:
        return self._reader.fail(self._name, fault, cure)


def _step(item: Any, place: _Place) -> Step:
    kinds: tuple[StepKind, ...] = get_args(StepKind)
    for word in _WORDS:
        if item == word:
            return Step(word)
    if not isinstance(item, Mapping) or len(item) != 1:
        raise place.fail("is no step", f"Write one of {', '.join(kinds)}, each with its own hyphen")
    ((name, value),) = item.items()
    for kind in kinds:
        if name == kind and kind not in _WORDS:
            return _filled(kind, value, place)
    cure = "Write the word alone" if name in _WORDS else f"Use one of {', '.join(kinds)}"
    raise place.fail(f"{name!r} takes no value" if name in _WORDS else f"{name!r} is no step", cure)


def _filled(kind: StepKind, value: Any, place: _Place) -> Step:
    if kind == "wait":
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MAX_WAIT_S:
            raise place.fail(f"wait: {value!r} is no time", f"Write seconds between 0 and {_MAX_WAIT_S:g}")
        return Step(kind, seconds=float(value))
    if kind == "send" and isinstance(value, Mapping | list):
        value = json.dumps(value)
    if not isinstance(value, str) or not value:
        raise place.fail(f"{kind}: must be text", "Put it in quotes")
    if kind == "expect":
        try:
            matcher(value)
        except JMESPathError as error:
            fault = str(error).replace("\n", " ")
            raise place.fail(f"expect: is no JMESPath ({fault})", "Write for example type == 'joined'") from error
    return Step(kind, value)
