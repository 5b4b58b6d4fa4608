"""The page of one flag: what is served and why, its ramp step by step, where else it stands, and its history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connections.flags import reading
from connections.flags.layers import Layer
from connections.flags.ramping import progress_of, steps_of
from connections.flags.ramps import State, Step
from connections.models import Environment, Ramp, Revision
from dashboard.layer_words import entry_line, served_words
from dashboard.queries.layers import Laid
from dashboard.ramp_steps import duration, line_of

LOOK_BACK = 300
HISTORY = 12


@dataclass(frozen=True)
class StepRow:
    """One step of a ramp: "done", "now", or "next"."""

    words: str
    state: str
    note: str


@dataclass(frozen=True)
class Elsewhere:
    """The flag in one environment; `words` is empty where it is not defined."""

    environment: Environment
    words: str
    version: int


@dataclass(frozen=True)
class Past:
    """One revision that changed this flag."""

    revision: Revision
    line: str


def step_rows(ramp: Ramp, verdict: str, now: datetime) -> list[StepRow]:
    """The ramp's steps, with what the present one waits for."""
    steps = steps_of(ramp)
    return [
        StepRow(line_of(step), _when(number, ramp), _note(ramp, steps, number, verdict, now))
        for number, step in enumerate(steps)
    ]


def _when(number: int, ramp: Ramp) -> str:
    if number == ramp.step:
        return "now"
    return "done" if number < ramp.step else "next"


def _note(ramp: Ramp, steps: Sequence[Step], number: int, verdict: str, now: datetime) -> str:
    if number != ramp.step:
        return ""
    step, progress = steps[number], progress_of(ramp)
    held = progress.held(now)
    if progress.state is State.PAUSED:
        return f"Paused after {duration(int(held)) or 'no time'}: {ramp.paused_why}"
    rest = step.hold_seconds - held
    if number + 1 == len(steps) and step.percentage < 100:
        return "The last step: served until somebody finishes or aborts the ramp."
    if rest > 0:
        return f"{duration(int(rest) + 1)} left{', then the guard must pass' if step.needs_pass else ''}."
    if step.needs_pass and verdict != "pass":
        return "Its time is over; it waits for the guard to pass." + (" Nobody guards it." if verdict == "none" else "")
    return "Due now."


def elsewhere(flag: str) -> list[Elsewhere]:
    """The flag in every environment, in order of the rollout."""
    return [_in(stage, flag) for stage in Environment.objects.all()]


def _in(stage: Environment, flag: str) -> Elsewhere:
    flags = reading.flag_set(stage.key)
    definition = flags.definitions.get(flag)
    layers = [one for one in flags.layers if one.flag == flag]
    return Elsewhere(stage, "" if definition is None else served_words(definition, layers), flags.version)


def below(definition: dict[str, Any], laid: Sequence[Laid]) -> list[tuple[Laid, str]]:
    """Each layer, the strongest first, and what would be served without it and those above."""
    layers: list[Layer] = [one.layer for one in laid]
    return [(one, served_words(definition, layers[number + 1 :])) for number, one in enumerate(laid)]


def history(environment_key: str, flag: str) -> list[Past]:
    """The newest revisions that changed this flag, newest first. One query of bounded length."""
    rows = Revision.objects.filter(environment_id=environment_key).select_related("version").order_by("-number")
    found: list[Past] = []
    for revision in rows[:LOOK_BACK]:
        found += [Past(revision, entry_line(one)) for one in revision.summary if one["flag"] == flag]
    return found[:HISTORY]


def since_changed(past: Sequence[Past], now: datetime, most: timedelta = timedelta(days=1)) -> tuple[int, datetime]:
    """The revision that changed the flag last and since when its probes are looked at."""
    newest = past[0].revision
    return newest.number, max(newest.at, now - most)
