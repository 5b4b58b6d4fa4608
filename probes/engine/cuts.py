"""What ended a long-lived connection: told from one life where it says so, else from what several lives share. Pure.

A close code of 1012 names its cause. A connection that ends without a close frame, or with 1001, does not: a balancer's
limit on age, its limit on silence, a crash and a deployment look alike. They differ beside each other. A limit on age
ends lives at one age, at different moments; a limit on silence ends them after one length of silence, which nobody ever
outlives; a restart ends many lives of different ages at one moment.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from probes.engine.lives import Ending, Life


class Cut(StrEnum):
    """Why a life ended."""

    PLANNED = "planned"
    STOPPED = "stopped"
    RESTART = "restart"
    AGE_LIMIT = "age_limit"
    IDLE_LIMIT = "idle_limit"
    HALF_OPEN = "half_open"
    RESET = "reset"
    DROPPED = "dropped"
    CLOSED = "closed"
    BROKEN = "broken"

    @property
    def words(self) -> str:
        """The name on the page."""
        return _WORDS[self]

    @property
    def next_check(self) -> str:
        """What to check next; "" where nothing is wrong."""
        return NEXT_CHECK.get(self, "")

    @property
    def charged(self) -> bool:
        """Whether the target is charged with it."""
        return self not in (Cut.PLANNED, Cut.STOPPED)


_WORDS: Mapping[Cut, str] = {
    Cut.PLANNED: "ended as planned",
    Cut.STOPPED: "prober stopped",
    Cut.RESTART: "server restart",
    Cut.AGE_LIMIT: "balancer timeout",
    Cut.IDLE_LIMIT: "idle cut",
    Cut.HALF_OPEN: "silent half-open",
    Cut.RESET: "reset",
    Cut.DROPPED: "dropped",
    Cut.CLOSED: "closed by the server",
    Cut.BROKEN: "protocol broken",
}
NEXT_CHECK: Mapping[Cut, str] = {
    Cut.RESTART: "Check for a deployment or a crash at this time, and whether the server drains its connections.",
    Cut.AGE_LIMIT: "Look for this figure among the time-outs of the balancer or proxy: it limits a connection's age.",
    Cut.IDLE_LIMIT: "Let the server ping more often than this, or raise the idle time-out of the balancer or proxy.",
    Cut.HALF_OPEN: "Look for a firewall or NAT that forgot the connection, or a hung server: users wait for ever.",
    Cut.RESET: "Look into the balancer's and the server's logs: which one reset, and did a process crash?",
    Cut.DROPPED: "Look into the logs of server and proxy at this time: somebody hung up without a close frame.",
    Cut.CLOSED: "Look for the close code in the server's log.",
    Cut.BROKEN: "Look at what the server sent last; a proxy may have written into the stream.",
}

ALIKE_SHARE = 0.03
ALIKE_US = 250_000
"""Two durations are alike within the larger of both."""
FEWEST_ALIKE = 3
"""So many lives with one age, or one silence, that ended at as many moments show a limit."""
LEAST_SHARE = 1 / 3
"""Those that show a limit must be this part of all unexplained cuts: among many, some are alike by chance."""
MOMENT_US = 500_000
"""Cuts within this time of each other are one moment."""
FEWEST_TOGETHER = 3
"""So many residents cut at one moment, and half of all that the target has, show a restart."""
KNOWN_S = (30, 55, 60, 75, 100, 120, 180, 240, 300, 350, 600, 900, 1800, 3600, 7200)
"""Time-outs that balancers, proxies and clouds are delivered with: a single life that ends at one shows it already."""
KNOWN_SHARE = 0.01
_GOING_AWAY = 1001
_RESTARTS = 1012
_NORMAL = 1000
_ABNORMAL = 1006

_DIRECT = {
    Ending.PLANNED: Cut.PLANNED,
    Ending.STOPPED: Cut.STOPPED,
    Ending.SILENT: Cut.HALF_OPEN,
    Ending.BROKEN: Cut.BROKEN,
}


@dataclass(frozen=True, slots=True)
class Told:
    """An ended life with its cause. `limit_us`: the age or the silence at which it was cut, where that is the cause."""

    life: Life
    cut: Cut
    limit_us: int | None = None
    together: int = 1
    """How many residents were cut at that moment."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """Durations that enough lives share."""

    least: int
    most: int
    middle: int

    def holds(self, value: int) -> bool:
        """Whether a duration is alike to theirs: timers fire late where a machine is busy."""
        return self.least - _slack(self.least) <= value <= self.most + _slack(self.most)


def told(lives: Iterable[Life]) -> list[Told]:
    """The causes of all ended lives of one target, in the order given; those that live are left out."""
    known = list(lives)
    ended = [life for life in known if life.ending is not Ending.LIVING]
    return _Beside(ended, len({life.number for life in known})).tell_all(ended)


class _Beside:
    """What the lives of a target show only together."""

    def __init__(self, ended: Sequence[Life], residents: int) -> None:
        self._patience = max((life.patience_us for life in ended), default=0)
        puzzling = [life for life in ended if _unexplained(life)]
        silent = [life for life in puzzling if self._outlived_by_nobody(life)]
        self._fewest = max(FEWEST_ALIKE, LEAST_SHARE * len(puzzling))
        self._silences = self._limits([(life.idle_us, _end_us(life)) for life in silent])
        self._ages = self._limits([(life.lifetime_us, _end_us(life)) for life in puzzling])
        self._usual_silences = _usual([life.idle_us for life in silent], LEAST_SHARE * len(puzzling))
        self._usual_ages = _usual([life.lifetime_us for life in puzzling], LEAST_SHARE * len(puzzling))
        self._moments = _moments(puzzling)
        self._crowd = max(FEWEST_TOGETHER, residents / 2)

    def tell_all(self, ended: Iterable[Life]) -> list[Told]:
        return [self._puzzle(life) if _unexplained(life) else _plain(life) for life in ended]

    def _puzzle(self, life: Life) -> Told:
        beside = self._moments[id(life)]
        together = len({each.number for each in beside})
        quiet = self._outlived_by_nobody(life)
        if quiet and (limit := _among(self._silences, life.idle_us)):
            return Told(life, Cut.IDLE_LIMIT, limit, together)
        if limit := _among(self._ages, life.lifetime_us):
            return Told(life, Cut.AGE_LIMIT, limit, together)
        crowd = together >= self._crowd
        if not (crowd and _differ(beside)):
            if quiet and (limit := _known(life.idle_us)) in self._usual_silences:
                return Told(life, Cut.IDLE_LIMIT, limit, together)
            if (limit := _known(life.lifetime_us)) in self._usual_ages:
                return Told(life, Cut.AGE_LIMIT, limit, together)
        return Told(life, Cut.RESTART if crowd else _alone(life), together=together)

    def _outlived_by_nobody(self, life: Life) -> bool:
        """Whether it was silent for longer than any life has lived through: only then silence can be why."""
        return life.idle_us > self._patience + _slack(self._patience)

    def _limits(self, found: Sequence[tuple[int, int]]) -> list[_Limit]:
        """Durations that enough lives share, at more than one moment. `found`: (duration, end), microseconds."""
        rest = sorted(found)
        limits: list[_Limit] = []
        while True:
            low, high = _densest([value for value, _ in rest])
            if high - low < self._fewest:
                return limits
            alike, rest = rest[low:high], rest[:low] + rest[high:]
            if len(_grouped([end for _, end in alike])) >= FEWEST_ALIKE:
                limits.append(_Limit(alike[0][0], alike[-1][0], alike[len(alike) // 2][0]))


def _densest(values: Sequence[int]) -> tuple[int, int]:
    """The slice of sorted values that holds most that are alike."""
    best, low = (0, 0), 0
    for high, value in enumerate(values, 1):
        while value - values[low] > _slack(value):
            low += 1
        if high - low > best[1] - best[0]:
            best = low, high
    return best


def _plain(life: Life) -> Told:
    if life.ending in _DIRECT:
        return Told(life, _DIRECT[life.ending])
    return Told(life, Cut.RESTART if life.close_code == _RESTARTS else Cut.CLOSED)


def _unexplained(life: Life) -> bool:
    """Whether its end does not say why. 1000 from the peer is how some proxies end what they limit."""
    if life.ending in (Ending.DROPPED, Ending.RESET):
        return True
    return life.ending is Ending.CLOSED and life.close_code in (_NORMAL, _GOING_AWAY, _ABNORMAL)


def _alone(life: Life) -> Cut:
    if life.ending is not Ending.CLOSED:
        return Cut.RESET if life.ending is Ending.RESET else Cut.DROPPED
    return Cut.RESTART if life.close_code == _GOING_AWAY else Cut.CLOSED


def _among(limits: Iterable[_Limit], value: int) -> int | None:
    return next((limit.middle for limit in limits if limit.holds(value)), None)


def _known(value: int) -> int | None:
    for seconds in KNOWN_S:
        if abs(value - seconds * 1_000_000) <= max(ALIKE_US, KNOWN_SHARE * seconds * 1_000_000):
            return seconds * 1_000_000
    return None


def _usual(values: Iterable[int], fewest: float) -> frozenset[int]:
    """The delivered time-outs at which so many of the lives ended."""
    found = Counter(limit for value in values if (limit := _known(value)) is not None)
    return frozenset(limit for limit, n in found.items() if n >= fewest)


def _slack(value: int) -> float:
    return max(ALIKE_US, ALIKE_SHARE * value)


def _differ(lives: Sequence[Life]) -> bool:
    """Whether lives that were cut together had different ages."""
    ages = [life.lifetime_us for life in lives]
    return max(ages) - min(ages) > _slack(max(ages))


def _moments(lives: Sequence[Life]) -> dict[int, Sequence[Life]]:
    """The lives that were cut at the same moment, by the identity of each."""
    ordered = iter(sorted(lives, key=_end_us))
    found: dict[int, Sequence[Life]] = {}
    for ends in _grouped([_end_us(life) for life in lives]):
        together = [next(ordered) for _ in ends]
        found |= {id(life): together for life in together}
    return found


def _grouped(ends: Iterable[int]) -> list[list[int]]:
    """Instants as moments, each no longer than MOMENT_US."""
    groups: list[list[int]] = []
    for end in sorted(ends):
        if groups and end - groups[-1][0] <= MOMENT_US:
            groups[-1].append(end)
        else:
            groups.append([end])
    return groups


def _end_us(life: Life) -> int:
    return round(life.ended.timestamp() * 1_000_000)
