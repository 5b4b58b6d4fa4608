"""A race check: a bounded burst against one target, asked for by a person. Its states, its bounds, its entries. Pure.

    queued -> running -> finished
       |         |
       +---------+--> cancelled (a person said so) | expired (no worker took it, or its worker went away)

A check that ended stays as it ended. What it found is in no result, rollup or objective.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from probes.race_report import Report


class State(StrEnum):
    """Where a check is."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


NEXT: Mapping[State, frozenset[State]] = {
    # A queued check may end at once: the entry that said "running" can be lost, the report alone arrives.
    State.QUEUED: frozenset({State.RUNNING, State.FINISHED, State.CANCELLED, State.EXPIRED}),
    State.RUNNING: frozenset({State.FINISHED, State.CANCELLED, State.EXPIRED}),
    State.FINISHED: frozenset(),
    State.CANCELLED: frozenset(),
    State.EXPIRED: frozenset(),
}
ACTIVE = (State.QUEUED, State.RUNNING)
"""At most one check of a target is in one of these."""

TAKEN_WITHIN = timedelta(seconds=30)
"""A worker takes a check so soon after it was asked for, or never: nobody waits for a burst they have forgotten."""
TOLD_WITHIN = timedelta(seconds=5)
"""How long the word that a check was taken may be on its way."""
SILENT_AFTER = timedelta(seconds=10)
"""A running check of which nothing was heard for so long has lost its worker, which tells of it twice a second."""
_ENTRY = '{"race_check":'


def before(state: State) -> tuple[State, ...]:
    """The states from which a check may go to `state`."""
    return tuple(each for each in State if state in NEXT[each])


class RequestError(ValueError):
    """A field of a request that cannot be used: `field` names it, `message` says what is wrong and what to write."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a check may ask for: the settings RACE_CHECK_MOST, RACE_CHECK_AT_ONCE and RACE_CHECK_PER_SECOND."""

    most: int
    at_once: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    count: int = 200
    at_once: int = 20
    early_send: bool = True
    """The first message leaves the moment the 101 arrives: only that proves `accept_race`."""
    location: str = "local"

    def checked(self, bounds: Bounds) -> "Request":
        """The same. Raises RequestError where it lies outside `bounds`."""
        for field, value, most in (("count", self.count, bounds.most), ("at_once", self.at_once, bounds.at_once)):
            if not 1 <= value <= most:
                raise RequestError(field, f"{value} does not lie between 1 and {most}.")
        return self

    def most_seconds(self, deadline_s: float, per_second: float) -> float:
        """The longest that the check can take: every probe waits for its deadline."""
        return math.ceil(self.count / self.at_once) * deadline_s + self.count / per_second


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a worker is told: the request, how fast, and the target as `specification.message_of` gives it."""

    check_id: int
    request: Request
    per_second: float
    target: Mapping[str, Any]

    def to_text(self) -> str:
        """JSON; credentials stay sealed."""
        return json.dumps({**asdict(self), "target": dict(self.target)}, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "Assignment":
        """Raises KeyError, TypeError or ValueError on a text that `to_text` did not write."""
        told = json.loads(text)
        return cls(**{**told, "request": Request(**told["request"])})


class Ending(StrEnum):
    """Why a worker probes no more."""

    DONE = "done"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    """The worker was told to stop."""
    CROWDED = "crowded"
    """The worker had no room for it beside its scheduled probes, for twice the longest time it should take."""
    REFUSED = "refused"
    """The worker cannot use the target's specification."""


_STATE_OF = {
    Ending.DONE: State.FINISHED,
    Ending.CANCELLED: State.CANCELLED,
    Ending.STOPPED: State.EXPIRED,
    Ending.CROWDED: State.EXPIRED,
    Ending.REFUSED: State.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What a worker tells the recorder of a check: how far it is, and at the end why it ended and what it found."""

    check_id: int
    worker: str
    done: int = 0
    failed: int = 0
    ending: Ending | None = None
    why: str = ""
    report: Report | None = None

    @property
    def state(self) -> State:
        """The state that the check is in when this is true."""
        return _STATE_OF[self.ending] if self.ending else State.RUNNING

    def to_text(self) -> str:
        """JSON that stands in the results stream beside outcomes; `is_entry` tells them apart."""
        told = {"race_check": self.check_id, "worker": self.worker, "done": self.done, "failed": self.failed}
        if self.ending:
            told |= {"ending": self.ending.value, "why": self.why}
            told |= {"report": self.report.to_json() if self.report else None}
        return json.dumps(told, separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> "Entry":
        """Raises KeyError, TypeError or ValueError on a text that `to_text` did not write."""
        told = json.loads(text)
        report = told.get("report")
        return cls(
            check_id=int(told["race_check"]),
            worker=str(told["worker"]),
            done=int(told["done"]),
            failed=int(told["failed"]),
            ending=Ending(told["ending"]) if "ending" in told else None,
            why=str(told.get("why", "")),
            report=Report.from_json(report) if report else None,
        )


def is_entry(text: str) -> bool:
    """Whether a text of the results stream is about a race check."""
    return text.startswith(_ENTRY)


def expired(
    state: State, asked_at: datetime, heard_at: datetime | None, done: int, location: str, now: datetime
) -> str:
    """Why a check has expired by `now`, in a sentence; "" where it has not."""
    if state is State.QUEUED and now - asked_at > TAKEN_WITHIN + TOLD_WITHIN:
        seconds = int(TAKEN_WITHIN.total_seconds())
        return f"No worker at {location} took it within {seconds} s. Check that one runs there and is not overloaded."
    if state is State.RUNNING and heard_at is not None and now - heard_at > SILENT_AFTER:
        return f"Its worker went silent after {done} probes: it was killed, or lost its connection. Start it again."
    return ""
