"""One life of a long-lived connection, as frozen data: how long it lasted, how it ended, what it cost.

A life says what was observed. What it means (a balancer's timeout, a deployment) often shows only beside other lives:
that is `cuts`' part.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypedDict


class Ending(StrEnum):
    """How a life ended, as it was seen from here."""

    LIVING = "living"
    """It has not: this is the present state."""
    PLANNED = "planned"
    """The time to hold it was over: we closed with 1000."""
    STOPPED = "stopped"
    """We ended it early, for a reason of ours."""
    CLOSED = "closed"
    """The peer sent a close frame."""
    DROPPED = "dropped"
    """The stream ended without a close frame."""
    RESET = "reset"
    """The connection was reset."""
    SILENT = "silent"
    """Nothing came back within the deadline, not even a pong, while TCP stood: we cut it."""
    BROKEN = "broken"
    """The peer broke the protocol or a limit on size: we cut it."""

    @property
    def cut(self) -> bool:
        """Whether somebody else ended it, or it was no longer alive: what a target is charged with."""
        return self not in (Ending.LIVING, Ending.PLANNED, Ending.STOPPED)


@dataclass(frozen=True, slots=True)
class Life:
    """One life of one resident. Durations are microseconds; those that count from `started` are named `..._us` after
    the mark they lead to; None where it was not reached."""

    target_id: int
    number: int
    """Which of the target's residents, from 0."""
    started: datetime
    """When it began to connect, UTC. With target, location and number the identity of this life."""
    ending: Ending = Ending.LIVING
    opened_us: int | None = None
    """started -> the 101 of the connection that held."""
    ready_us: int | None = None
    """started -> the first answer of the application."""
    ended_us: int = 0
    """started -> its end; of a living one: until now."""
    idle_us: int = 0
    """How long nothing went either way before the end."""
    patience_us: int = 0
    """The longest silence, either way, that this connection lived through."""
    every_us: int = 0
    """How often it talks."""
    closed_by: str = ""
    """ "us", "peer" (it sent a close frame), "network" (nobody said anything), or "" while it lives."""
    close_code: int | None = None
    reason: str = ""
    """The peer's reason, or ours in words."""
    attempts: int = 1
    """Connections that were tried until one held."""
    failure: str = ""
    """The kind of failure of the last attempt that did not hold; "" where the first did."""
    conversations_ok: int = 0
    conversations_failed: int = 0
    events_expected: int = 0
    events_delivered: int = 0
    events_lost: int = 0
    """Of finished conversations; those of the conversation that the cut ended are in `lost_in_cut`."""
    lost_in_cut: int = 0
    reconnect_us: int | None = None
    """From the cut of the life before to the first answer of this one; None after a planned end."""
    address: str = ""
    strategy: str = ""
    flags_revision: int | None = None

    @property
    def lifetime_us(self) -> int:
        """From the 101 to the end: what a balancer's timer measures. 0 where it was never open."""
        return 0 if self.opened_us is None else self.ended_us - self.opened_us

    @property
    def ended(self) -> datetime:
        """The instant of its end; of a living one: up to when it is known to live."""
        return self.started + timedelta(microseconds=self.ended_us)

    @property
    def opened(self) -> datetime:
        """The instant of the 101; that of the end where it was never open."""
        return self.started + timedelta(microseconds=self.ended_us if self.opened_us is None else self.opened_us)

    def supersedes(self, other: "Life") -> bool:
        """Whether this report of a life takes the place of another of the same life: an end is final."""
        if other.ending is not Ending.LIVING:
            return False
        return self.ending is not Ending.LIVING or self.ended_us > other.ended_us

    def to_message(self) -> dict[str, Any]:
        """JSON-ready; `from_message` reverses it exactly."""
        message = {name: getattr(self, name) for name in _FIELDS}
        message["started"] = self.started.astimezone(UTC).isoformat(timespec="microseconds")
        message["ending"] = self.ending.value
        return message

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "Life":
        """Raises KeyError, TypeError or ValueError on a message that `to_message` did not write."""
        started = datetime.fromisoformat(message["started"])
        if started.tzinfo is None:
            raise ValueError("started: an instant without its time zone")
        life = cls(**{**message, "started": started.astimezone(UTC), "ending": Ending(message["ending"])})
        for name in _NUMBERS:
            value = getattr(life, name)
            if value is not None and (type(value) is not int or not 0 <= value < _MOST):
                raise ValueError(f"{name}: {value!r} is no number of this kind")
        return replace(life, reason=str(life.reason)[:_LONGEST], strategy=str(life.strategy)[:40])


class End(TypedDict):
    """The fields of a life that its end fills."""

    ending: Ending
    closed_by: str
    close_code: int | None
    reason: str


_MOST = 2**53
_LONGEST = 300
_FIELDS = tuple(each.name for each in fields(Life))
_NUMBERS = (
    "target_id", "number", "opened_us", "ready_us", "ended_us", "idle_us", "patience_us", "every_us", "close_code",
    "attempts", "conversations_ok", "conversations_failed", "events_expected", "events_delivered", "events_lost",
    "lost_in_cut", "reconnect_us", "flags_revision",
)  # fmt: skip
