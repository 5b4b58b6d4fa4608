"""Whether the probes of a location are ill, since when and why. Pure: facts and an instant in, a condition out.

What is ours is never charged to a target, so each case here is told as a story of ours: the targets read "stale".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

HEARD_WITHIN = timedelta(seconds=10)
"""Workers tell each second how they are; one that was not heard for so long is gone."""
OVERDUE = timedelta(seconds=10)
"""A location is silent when so long beyond two of its shortest intervals, or one where something is known to be away,
has brought no outcome."""
BEGINS = timedelta(seconds=20)
"""How long a location that was never heard may take: processes start one after the other."""
LATE_SHARE, LATE_FEWEST = 0.05, 3
"""A location is late when so many of its slots in the last two minutes, and at least three, were late or missed."""
OVER = timedelta(seconds=40)
"""A location is late no longer when so long no slot was: a miss is known some ten seconds after its slot."""
DISPATCH_OVERDUE = timedelta(seconds=5)
"""The tick hands slots out seconds ahead, each second."""
RECORDER_OVERDUE = timedelta(seconds=10)
"""The recorder notes each second how far it has come."""
QUEUED_MANY = 5
"""Batches in a location's queue; a worker takes each within milliseconds."""
LAG_MUCH_US = 250_000
OFFSET_MUCH_US = 500_000
"""A worker whose clock is further off begins its probes noticeably beside their slots."""
OFFSET_NOTED_US = 100_000
REDIS_AWAY = "Redis does not answer"
_MINUTE = timedelta(minutes=1)


class State(StrEnum):
    """How a location is."""

    ON_TIME = "on_time"
    LATE = "late"
    SILENT = "silent"
    IDLE = "idle"
    """No target is probed from there."""


_WORST_FIRST = (State.SILENT, State.LATE, State.ON_TIME, State.IDLE)


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker's last heartbeat. Durations are microseconds; counts are since it started."""

    name: str
    location: str
    heard: datetime
    clock_offset_us: int = 0
    """Its clock minus Redis's: positive where it is ahead."""
    in_flight: int = 0
    lag_us: int = 0
    """How late its loop's own timers fired at the worst, in the last second."""
    waiting: int = 0
    """Outcomes that Redis has not confirmed."""
    dropped: int = 0
    """Outcomes that had to go because Redis was away for too long."""
    exceeded: int = 0
    """Slots that it left out, of late: too many in flight, or come too late."""
    over_capacity: int = 0
    """How often too many were in flight."""
    exceeded_since: datetime | None = None

    def alive(self, now: datetime) -> bool:
        """Whether it was heard of late."""
        return now - self.heard <= HEARD_WITHIN


@dataclass(frozen=True, slots=True)
class Minute:
    """What one minute of slots came to at a location."""

    start: datetime
    slots: int
    ill: int
    """Late or missed."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is known of one location."""

    key: str
    name: str
    interval: timedelta | None
    """The shortest interval of its targets; None: it has no target that is probed now."""
    expected_since: datetime | None = None
    """Since when it has such a target."""
    answered: datetime | None = None
    """When its newest outcome was recorded."""
    ill_at: datetime | None = None
    """Its newest slot that was late or missed."""
    workers: Sequence[Worker] = ()
    queued: int = 0
    """Batches of slots that no worker has taken."""
    minutes: Sequence[Minute] = ()
    """Its last minutes, oldest first."""


@dataclass(frozen=True, slots=True)
class Machinery:
    """What all locations depend on. None: never seen."""

    redis: bool = True
    """Whether it answers."""
    dispatched_until: datetime | None = None
    """Up to which instant slots were handed out to the queues."""
    recorded_until: datetime | None = None
    """Up to which instant the recorder has looked for missed slots."""
    deaths: Mapping[str, str] = field(default_factory=dict)
    """{process: why it is not running}, as the supervisor tells; empty where nobody supervises."""

    def trouble(self, now: datetime) -> str:
        """Which of them is away: "redis", "recorder" or "tick", the first that keeps the others; "" where none is."""
        if not self.redis:
            return "redis"
        if self.recorded_until is None or now - self.recorded_until > RECORDER_OVERDUE:
            return "recorder"
        late = self.dispatched_until is None or now - self.dispatched_until > DISPATCH_OVERDUE
        return "tick" if late else ""


@dataclass(frozen=True, slots=True)
class Condition:
    """How a location is. `cause`: a clause for a sentence, in which "{at}" stands for the clock time of `cause_at`."""

    place: Place
    state: State
    since: datetime | None = None
    cause: str = ""
    cause_at: datetime | None = None

    @property
    def ill(self) -> bool:
        return self.state in (State.LATE, State.SILENT)


def judge(places: Iterable[Place], machinery: Machinery, now: datetime) -> list[Condition]:
    """Each location's condition, silent ones first, then late ones, then by name."""
    found = [_judge(place, machinery, now) for place in places]
    return sorted(found, key=lambda one: (_WORST_FIRST.index(one.state), one.place.name))


def _judge(place: Place, machinery: Machinery, now: datetime) -> Condition:
    if place.interval is None:
        return Condition(place, State.IDLE)
    if since := _silent_since(place, place.interval, machinery, now):
        return Condition(place, State.SILENT, since, *_why_silent(place, machinery, now))
    lately = place.ill_at is not None and now - place.ill_at <= OVER
    if lately and (since := _late_since(place.minutes, now)):
        return Condition(place, State.LATE, since, _why_late(place, now))
    return Condition(place, State.ON_TIME)


def _silent_since(place: Place, interval: timedelta, machinery: Machinery, now: datetime) -> datetime | None:
    """Its newest outcome, where the next is overdue; None where it is not."""
    last = place.answered
    if last is None or (place.expected_since is not None and last < place.expected_since):
        began = place.expected_since or now
        return began if now - began > BEGINS + 2 * interval else None
    # Where something is known to be away, nothing can come: no need to wait for a second interval.
    known = machinery.trouble(now) or not any(worker.alive(now) for worker in place.workers)
    return last if now - last > OVERDUE + (1 if known else 2) * interval else None


def _why_silent(place: Place, machinery: Machinery, now: datetime) -> tuple[str, datetime | None]:
    match machinery.trouble(now):
        case "redis":
            return REDIS_AWAY, None
        case "recorder":
            return _away("results wait for the recorder", machinery.recorded_until, machinery.deaths, ("recorder",))
        case "tick":
            return _away("no slot is handed out", machinery.dispatched_until, machinery.deaths, ("beat", "scheduler"))
    living = [worker for worker in place.workers if worker.alive(now)]
    if not living:
        return _workerless(place, machinery.deaths)
    if place.queued >= QUEUED_MANY:
        return f"{_batches(place.queued)} wait in its queue, and its worker takes none", None
    if sum(worker.waiting for worker in living):
        return "its worker has outcomes that do not reach Redis", None
    return "its worker runs, but no outcome comes", None


def _away(
    clause: str, until: datetime | None, deaths: Mapping[str, str], processes: Sequence[str]
) -> tuple[str, datetime | None]:
    dead = [f"{name}: {deaths[name]}" if deaths[name] else name for name in processes if name in deaths]
    tail = f" ({'; '.join(dead)})" if dead else ""
    return (f"{clause} since {{at}}{tail}", until) if until else (f"{clause}{tail}", None)


def _workerless(place: Place, deaths: Mapping[str, str]) -> tuple[str, datetime | None]:
    if not place.workers:
        return "no worker runs there", None
    heard = max(worker.heard for worker in place.workers)
    # Only a machine's own supervisor tells of deaths, and it runs the workers of one location.
    why = next((why for name, why in deaths.items() if why and name.split("-")[0] == "worker"), "")
    told = "its worker was" if len(place.workers) == 1 else f"its {len(place.workers)} workers were"
    return f"{told} last heard at {{at}}" + (f" ({why})" if why else ""), heard


def _late_since(minutes: Sequence[Minute], now: datetime) -> datetime | None:
    """The start of the first of the late minutes in a row, where the last two minutes were late."""
    settled = _settled(minutes)
    recent = [minute for minute in settled if minute.start > now - 3 * _MINUTE][-2:]
    if not _is_late(recent):
        return None
    since = recent[0].start if recent[0].ill else recent[-1].start
    for minute in reversed([each for each in settled if each.start < since]):
        if not _is_late([minute]):
            break
        since = minute.start
    return since


def _settled(minutes: Sequence[Minute]) -> list[Minute]:
    """The minutes with slots, without those that follow none: where probing begins, workers may not be there yet."""
    return [
        after
        for before, after in pairwise(minutes)
        if before.slots and after.slots and after.start == before.start + _MINUTE
    ]


def _is_late(minutes: Sequence[Minute]) -> bool:
    slots, ill = sum(minute.slots for minute in minutes), sum(minute.ill for minute in minutes)
    return ill >= LATE_FEWEST and ill >= LATE_SHARE * slots


def _why_late(place: Place, now: datetime) -> str:
    living = [worker for worker in place.workers if worker.alive(now)]
    if over := [worker for worker in living if worker.exceeded and worker.over_capacity]:
        left = sum(worker.exceeded for worker in over)
        return f"{over[0].name} left {left:,} slots out; start another worker"
    if place.queued >= QUEUED_MANY:
        return f"{_batches(place.queued)} wait in its queue; start another worker"
    worst = max((abs(worker.clock_offset_us) for worker in living), default=0)
    if worst >= OFFSET_MUCH_US:
        return f"a worker's clock is {worst / 1e6:.1f} s off"
    lag = max((worker.lag_us for worker in living), default=0)
    if lag >= LAG_MUCH_US:
        return f"its worker lags by {lag / 1000:.0f} ms: the machine is too busy"
    recent = _settled(place.minutes)[-2:]
    ill, slots = sum(minute.ill for minute in recent), sum(minute.slots for minute in recent)
    return f"{ill:,} of {slots:,} slots of the last two minutes began late or were missed"


def _batches(count: int) -> str:
    return f"{count:,} batches of slots"
