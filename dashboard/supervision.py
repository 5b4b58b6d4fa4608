"""The rule of restarting: when a child that died starts again, and what is said meanwhile. Pure; time is given."""

from dataclasses import dataclass, replace
from enum import StrEnum

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0
STEADY_AFTER_S = 30.0
"""A child that ran this long starts afresh: its next death waits FIRST_DELAY_S again."""


class State(StrEnum):
    """What a process is doing."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Life:
    """One child's life so far. `since` and the times given are seconds on one clock; `why` is for a person."""

    name: str
    state: State
    since: float
    restarts: int = 0
    deaths_in_a_row: int = 0
    why: str = ""


def started(life: Life, now: float) -> Life:
    """The process was spawned."""
    return replace(life, state=State.STARTING, since=now)


def answered(life: Life, now: float) -> Life:
    """It serves."""
    return life if life.state is State.RUNNING else replace(life, state=State.RUNNING, since=now, why="")


def died(life: Life, now: float, why: str) -> tuple[Life, float]:
    """It ended by itself. Returns the new life and the seconds to wait before the next start."""
    steady = life.state is State.RUNNING and now - life.since >= STEADY_AFTER_S
    in_a_row = 1 if steady else life.deaths_in_a_row + 1
    delay = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** (in_a_row - 1))
    return (
        replace(life, state=State.RESTARTING, since=now, restarts=life.restarts + 1, deaths_in_a_row=in_a_row, why=why),
        delay,
    )


def stopped(life: Life, now: float) -> Life:
    """We stopped it."""
    return replace(life, state=State.STOPPED, since=now)
