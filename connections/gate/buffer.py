"""Messages held until ready: bounded in count and bytes, every one accounted for. Pure: time is an argument.

Priority decides what is evicted, never the order of delivery: a later message never overtakes an earlier one, whatever
their priorities (else an `agent_completed` could overtake its `tool_completed`). Opening only enables the one
consumer; there is no pass-through mode to race with.

Always true: accepted = delivered + evicted + expired + held. What a consumer has begun to take is still held, and stays
at the head where the consumer fails.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, NamedTuple, TypeVar

from connections.gate.errors import NothingHeld, StillHeld

T = TypeVar("T")
R = TypeVar("R")


class Priority(IntEnum):
    """Integers, so that "below" is arithmetic (compared as words, "high" is below "low")."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3


class Admission(NamedTuple):
    """What became of an offer. `overflow`: a CRITICAL one found no room, and the connection must close 1013."""

    accepted: bool
    overflow: bool
    evicted: int


_ACCEPTED = Admission(accepted=True, overflow=False, evicted=0)
_REFUSED = Admission(accepted=False, overflow=False, evicted=0)
_OVERFLOW = Admission(accepted=False, overflow=True, evicted=0)


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages so far. `refused` were never accepted; the rest obey accepted = delivered + evicted + expired + held.
    `evicted` made room for something more important, or were taken back by their sender."""

    accepted: int = 0
    delivered: int = 0
    evicted: int = 0
    expired: int = 0
    refused: int = 0
    held: int = 0
    held_bytes: int = 0


class _Entry(NamedTuple, Generic[T]):
    number: int
    size: int
    at: float
    item: T


class Buffer(Generic[T]):
    """Holds items in arrival order until `open()`; one consumer takes them from the head."""

    __slots__ = ("_accepted", "_bytes", "_delivered", "_evicted", "_expired", "_held", "_lanes", "_refused", "_taking",
                 "is_open", "max_age_s", "max_bytes", "max_count")  # fmt: skip

    def __init__(self, *, max_count: int = 1000, max_bytes: int = 1_048_576, max_age_s: float = 300.0) -> None:
        self.max_count = max_count
        self.max_bytes = max_bytes
        self.max_age_s = max_age_s
        self.is_open = False
        # One lane per priority, made when first used: a deque costs 0.7 KiB, and most connections use one.
        self._lanes: list[deque[_Entry[T]] | None] = [None] * len(Priority)
        self._taking: tuple[deque[_Entry[T]], _Entry[T]] | None = None
        self._bytes = 0
        self._held = 0
        self._accepted = self._delivered = self._evicted = self._expired = self._refused = 0

    def __len__(self) -> int:
        return self._held

    def __iter__(self) -> Iterator[T]:
        """What is held and not begun, by priority."""
        return (entry.item for lane in self._lanes if lane for entry in lane)

    @property
    def counts(self) -> Counts:
        return Counts(
            self._accepted, self._delivered, self._evicted, self._expired, self._refused, self._held, self._bytes
        )

    def open(self) -> None:
        """Enable the consumer."""
        self.is_open = True

    def hold(self) -> None:
        """Disable the consumer again: a draining server takes no new work."""
        self.is_open = False

    def fits(self, size: int) -> bool:
        """Whether an item of `size` bytes would be accepted without evicting. An empty buffer takes any one item, else
        a message larger than the whole buffer could never pass."""
        return self._held == 0 or (self._held < self.max_count and self._bytes + size <= self.max_bytes)

    def has_room(self, size: int, priority: Priority) -> bool:
        """Whether `offer` would accept it."""
        return self.fits(size) or self._room_below(priority, size)

    def offer(self, item: T, *, size: int, priority: Priority = Priority.NORMAL, now: float = 0.0) -> Admission:
        """Take `item` in. Where it does not fit, evict items of strictly lower priority, lowest class first and oldest
        first within it; where even that makes no room, evict nothing and refuse. CRITICAL is never evicted."""
        admission = _ACCEPTED
        if not self.fits(size):
            if not self._room_below(priority, size):
                self._refused += 1
                return _OVERFLOW if priority is Priority.CRITICAL else _REFUSED
            admission = Admission(accepted=True, overflow=False, evicted=self._evict_below(priority, size))
        self._append(item, size, priority, now)
        return admission

    def admit(self, item: T, *, size: int, now: float = 0.0) -> None:
        """Take `item` in as CRITICAL, whatever the bounds: for senders that wait until theirs is delivered, and so
        bound themselves."""
        self._append(item, size, Priority.CRITICAL, now)

    def peek(self) -> T:
        """The head, which stays. Raises StillHeld before `open()`, NothingHeld when empty."""
        return self._head()[0].item

    def take(self) -> T:
        """The head, which counts as delivered."""
        item = self.begin()
        self.done()
        return item

    def deliver(self, consumer: Callable[[T], R]) -> R:
        """Hand the head to `consumer`; it counts as delivered, and leaves, only when the consumer returns."""
        item = self.begin()
        try:
            result = consumer(item)
        except BaseException:
            self.restore()
            raise
        self.done()
        return result

    def begin(self) -> T:
        """The head, for a consumer that takes its time: it cannot be evicted, and is held until `done()` counts it as
        delivered, `restore()` puts it back or `withdraw()` gives it up. One at a time."""
        lane = self._head()
        entry = lane.popleft()
        self._taking = (lane, entry)
        return entry.item

    def done(self) -> None:
        """What was begun has been delivered."""
        self._delivered += 1
        self._forget(self._taken())

    def restore(self) -> None:
        """What was begun is the head again."""
        if self._taking is not None:
            lane, entry = self._taking
            lane.appendleft(entry)
            self._taking = None

    def withdraw(self) -> None:
        """Whoever sent what was begun has given it up."""
        self._evicted += 1
        self._forget(self._taken())

    def expire(self, now: float) -> list[T]:
        """Drop what was held longer than `max_age_s`, and return it. CRITICAL does not age: what holds it has a
        deadline of its own."""
        expired: list[T] = []
        for lane in self._lanes[: Priority.CRITICAL]:
            while lane and now - lane[0].at > self.max_age_s:
                entry = lane.popleft()
                self._forget(entry)
                expired.append(entry.item)
        self._expired += len(expired)
        return expired

    def _append(self, item: T, size: int, priority: Priority, now: float) -> None:
        lane = self._lanes[priority]
        if lane is None:
            lane = self._lanes[priority] = deque()
        lane.append(_Entry(self._accepted, size, now, item))
        self._accepted += 1
        self._held += 1
        self._bytes += size

    def _head(self) -> deque[_Entry[T]]:
        if not self.is_open:
            raise StillHeld("the connection is not ready: its messages are still held")
        lanes = [lane for lane in self._lanes if lane]
        if not lanes:
            raise NothingHeld("no message is held")
        return lanes[0] if len(lanes) == 1 else min(lanes, key=lambda lane: lane[0].number)

    def _room_below(self, priority: Priority, size: int) -> bool:
        below = [lane for lane in self._lanes[:priority] if lane]
        count = sum(len(lane) for lane in below)
        freed = sum(entry.size for lane in below for entry in lane)
        left = self._held - count
        return count > 0 and (left == 0 or (left < self.max_count and self._bytes - freed + size <= self.max_bytes))

    def _evict_below(self, priority: Priority, size: int) -> int:
        evicted = 0
        for lane in self._lanes[:priority]:
            while lane and not self.fits(size):
                self._forget(lane.popleft())
                evicted += 1
        self._evicted += evicted
        return evicted

    def _taken(self) -> _Entry[T]:
        if self._taking is None:
            raise NothingHeld("nothing was begun")
        entry, self._taking = self._taking[1], None
        return entry

    def _forget(self, entry: _Entry[T]) -> None:
        self._held -= 1
        self._bytes -= entry.size
