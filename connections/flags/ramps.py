"""The machine of a ramp: its states, what may happen in each, and when the next step is due. Pure: time is an argument.

Everything that moves a ramp goes through `moved`, and every move that is allowed stands in `TABLE`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import Any, TypeGuard

from connections.flags.errors import BadRamp

MOST_STEPS = 20
LONGEST_HOLD_SECONDS = 30 * 86_400
FULL = 100.0
_FIELDS = {"percentage", "hold_seconds", "needs_pass"}


class State(StrEnum):
    """Where a ramp stands. Paused, it goes on serving the share of its step."""

    RUNNING = "running"
    PAUSED = "paused"
    ABORTED = "aborted"
    COMPLETED = "completed"


class Event(StrEnum):
    """What may happen to a ramp."""

    PAUSE = "pause"
    RESUME = "resume"
    STEP = "step"
    BACK = "back"
    COMPLETE = "complete"
    ABORT = "abort"


TABLE: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.RUNNING, Event.PAUSE): State.PAUSED,
        (State.RUNNING, Event.STEP): State.RUNNING,
        (State.RUNNING, Event.BACK): State.PAUSED,
        (State.RUNNING, Event.COMPLETE): State.COMPLETED,
        (State.RUNNING, Event.ABORT): State.ABORTED,
        (State.PAUSED, Event.RESUME): State.RUNNING,
        # Set back while paused, it stays so: what was set back must not climb again by itself.
        (State.PAUSED, Event.BACK): State.PAUSED,
        (State.PAUSED, Event.COMPLETE): State.COMPLETED,
        (State.PAUSED, Event.ABORT): State.ABORTED,
    }
)
"""Every move there is. Aborted and completed ramps never move again."""


@dataclass(frozen=True)
class Step:
    """A share of the subjects, how long it is served at least, and whether the guard must say "pass" to go on."""

    percentage: float
    hold_seconds: float
    needs_pass: bool = False

    def as_json(self) -> dict[str, Any]:
        return {"percentage": self.percentage, "hold_seconds": self.hold_seconds, "needs_pass": self.needs_pass}


@dataclass(frozen=True)
class Progress:
    """How far a ramp is. `held_seconds`: served in this step up to `counting_since`, which is None while paused."""

    state: State
    step: int
    held_seconds: float
    counting_since: datetime | None

    def held(self, now: datetime) -> float:
        """How long this step was served while the ramp ran. A clock set back takes nothing away."""
        running = 0.0 if self.counting_since is None else (now - self.counting_since).total_seconds()
        return self.held_seconds + max(running, 0.0)


class IllegalMoveError(Exception):
    """The machine has no such move in this state; nothing was changed."""


def started(now: datetime) -> Progress:
    """A ramp at its first step."""
    return Progress(State.RUNNING, 0, 0.0, now)


def moved(progress: Progress, event: Event, steps: Sequence[Step], now: datetime) -> Progress:
    """The ramp after `event`. Raises IllegalMoveError where there is no such move."""
    state = TABLE.get((progress.state, event))
    step = progress.step + {Event.STEP: 1, Event.BACK: -1}.get(event, 0)
    if state is None or not 0 <= step < len(steps):
        raise IllegalMoveError(f"{event} in step {progress.step} of a ramp that is {progress.state}")
    counting = now if state is State.RUNNING else None
    if step != progress.step:
        return Progress(state, step, 0.0, counting)
    return replace(progress, state=state, held_seconds=progress.held(now), counting_since=counting)


def due(progress: Progress, steps: Sequence[Step], verdict: str, now: datetime) -> Event | None:
    """What the clock does to the ramp now: the next step, its completion at 100 %, or nothing.

    A step is never skipped, however late the clock comes. A last step below 100 % is served until somebody decides.
    """
    step = steps[progress.step]
    if progress.state is not State.RUNNING or progress.held(now) < step.hold_seconds:
        return None
    if step.needs_pass and verdict != "pass":
        return None
    if progress.step + 1 < len(steps):
        return Event.STEP
    return Event.COMPLETE if step.percentage == FULL else None


def read_steps(raw: Any) -> tuple[Step, ...]:
    """Steps from JSON. Raises BadRamp naming the step at fault."""
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not 1 <= len(raw) <= MOST_STEPS:
        raise BadRamp(f"A ramp has 1 to {MOST_STEPS} steps.")
    steps = tuple(_read(number, one) for number, one in enumerate(raw, start=1))
    for number, (lower, higher) in enumerate(pairwise(steps), start=2):
        if higher.percentage <= lower.percentage:
            raise BadRamp(f"Step {number} must serve more than step {number - 1}.")
    return steps


def _read(number: int, raw: Any) -> Step:
    if isinstance(raw, Step):
        raw = raw.as_json()
    if not isinstance(raw, Mapping) or not set(raw) <= _FIELDS:
        raise BadRamp(f"Step {number} is an object with {', '.join(sorted(_FIELDS))}.")
    percentage, hold = raw.get("percentage"), raw.get("hold_seconds", 0)
    # What is served is thousandths: any finer share would be told otherwise than it is served.
    if not _is_number(percentage) or not (0.1 <= percentage <= FULL and round(percentage, 1) == percentage):
        raise BadRamp(f"Step {number}: percentage is 0.1 to 100, with one decimal at most.")
    if not _is_number(hold) or not 0 <= hold <= LONGEST_HOLD_SECONDS:
        raise BadRamp(f"Step {number}: hold_seconds is 0 to {LONGEST_HOLD_SECONDS}.")
    if not isinstance(raw.get("needs_pass", False), bool):
        raise BadRamp(f"Step {number}: needs_pass is true or false.")
    return Step(float(percentage), float(hold), raw.get("needs_pass", False))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
