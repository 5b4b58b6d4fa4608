"""Did a change cure a target, or make it worse? A test of the probes since against those before it, which may be looked
at after every probe. Pure.

"Better" refutes "the probes since fail no less often than those before". Nobody knows how often they would have failed,
so every share p is tried: a stake of 1 bets on the probes before that they fail more often than p, and on those since
that they fail less often. While the shares are the same, the stake at that share is not expected to grow, whatever
happens and whenever somebody looks, so it ever reaches 1/a with probability a at most (Ville's inequality). The least
stake of all shares p is what counts, and its inverse is how rarely this would happen if nothing had changed. "Worse" is
the same test with the sides exchanged.

The bets are those on a bounded mean of Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
betting" (JRSS B, 2024), as in `connections.flags.guard`; trying every common share is their way to a test of two
samples whose common mean is unknown. Probes of one slot meet the same trouble at every location, so a slot is one
observation: the share of its probes that were bad.

What no such test sees is a fault that comes and goes: its calm looks like a cure. So nothing is cured before the clean
probes since are CALM times the longest calm that the fault had before.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from connections.flags.guard import PASS_ALPHA, TOLERANCE

ALPHA = 0.01
"""Where nothing has changed, "cured" or "better" is ever said with at most this probability; "worse" as well."""
LEAST = 30
"""Probes since the change before anything but "worse" is said: without a failure, they leave 3 in 30 possible."""
LEAST_WORSE = 5
CALM = 2
MOST_NEEDED = 5_000
"""Where more clean probes than this are needed, no number is told."""
_BETS_ABOVE = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)
_BETS_BELOW = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)
_BET_ON_LITTLE, _GROWTHS = 0.9, (0.03, 0.1, 0.3)
_EXACT = 0.05
"""The least stake is known to within this much of its logarithm, and told too small rather than too large."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The probes of one slot at all locations, and how many of them were bad."""

    bad: int
    probes: int

    @property
    def share(self) -> float:
        return self.bad / self.probes


class Verdict(StrEnum):
    """What the probes say of the change."""

    WAITING = "waiting"
    UNPROVEN = "unproven"
    CURED = "cured"
    BETTER = "better"
    UNCURED = "uncured"
    WORSE = "worse"
    SAME = "same"
    """Nothing failed before, and nothing is worse."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict, how often this would happen if nothing had changed (at most), and what is missing to "cured"."""

    verdict: Verdict
    chance: float = 1.0
    clean_slots_needed: int | None = None
    """How many more without a bad probe; None where that is more than anybody waits for."""


def judge(before: Sequence[Slot], since: Sequence[Slot], objective: float) -> Judged:
    """What the slots since a change say beside those before it, oldest first; `objective`: the share of successes that
    the target is held to."""
    probes, bad = _probes(since), sum(slot.bad for slot in since)
    if not probes:
        return Judged(Verdict.WAITING)
    worse = against(_shares(since), _shares(before))
    if probes >= LEAST_WORSE and worse >= -math.log(ALPHA):
        return Judged(Verdict.WORSE, math.exp(-worse))
    if not fails_more_than(1 - objective, _shares(before)):
        return Judged(Verdict.SAME if probes >= LEAST else Verdict.UNPROVEN)
    better = against(_shares(before), _shares(since))
    chance = math.exp(-max(0.0, better))
    needed = clean_slots_needed(before, since, objective)
    if needed == 0:
        return Judged(Verdict.CURED, chance, 0)
    if bad and probes >= LEAST:
        if better >= -math.log(ALPHA):
            return Judged(Verdict.BETTER, chance, needed)
        if fails_more_than(1 - objective, _shares(since)):
            return Judged(Verdict.UNCURED, chance, needed)
    return Judged(Verdict.UNPROVEN, chance, needed)


def against(higher: Sequence[float], lower: Sequence[float]) -> float:
    """The logarithm of the stake against "the mean of `higher` is not above that of `lower`"; shares from 0 to 1.

    The first factor falls with the common mean p and the second rises, so over an interval their product is at least
    the first at its end times the second at its beginning: the interval with the least of these is halved until that
    is as good as the value inside it.
    """
    if not higher or not lower:
        return 0.0
    above, below = _above(higher), _below(lower)
    best = math.inf
    queue = [(above(1.0) + below(0.0), 0.0, 1.0)]
    while True:
        least, start, end = heapq.heappop(queue)
        if best - least < _EXACT or end - start < 1e-9:
            return least
        middle = (start + end) / 2
        here = (above(middle), below(middle))
        best = min(best, sum(here))
        heapq.heappush(queue, (here[0] + below(start), start, middle))
        heapq.heappush(queue, (above(end) + here[1], middle, end))


def fails_more_than(limit: float, shares: Sequence[float]) -> bool:
    """Whether "fails no more often than `limit`" is refuted: the guard's bet on its objective, by the same bound."""
    stakes = [sum(math.log1p(growth * (share - limit) / limit) for share in shares) for growth in _GROWTHS]
    return _mean(stakes) >= -math.log(ALPHA)


def clean_slots_needed(before: Sequence[Slot], since: Sequence[Slot], objective: float) -> int | None:
    """How many more slots without a bad probe until "cured"; 0: it is; None: more than MOST_NEEDED."""
    size = _probes(since) / len(since) if since else 1.0
    slots = max(0, math.ceil((max(LEAST, CALM * longest_calm(before)) - _probes(since)) / size))
    if any(slot.bad for slot in since):
        slots = max(slots, _clean_until_little(since, 1 - objective), _calm_until_over(before, since, size))
    shares_before, shares = _shares(before), _shares(since)

    def proven(more: int) -> bool:
        return against(shares_before, [*shares, *([0.0] * more)]) >= -math.log(ALPHA)

    if proven(slots):
        return slots
    low, high = slots, max(slots, 8)
    while not proven(high):
        low, high = high, 2 * high
        if high > MOST_NEEDED:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if proven(middle) else (middle, high)
    return high


def longest_calm(slots: Sequence[Slot]) -> int:
    """The most probes in a row, slot by slot, of which none was bad."""
    runs = groupby(slots, key=lambda slot: slot.bad > 0)
    return max((_probes(list(run)) for bad, run in runs if not bad), default=0)


def _clean_until_little(since: Sequence[Slot], limit: float) -> int:
    """Clean slots until "TOLERANCE more bad than the objective allows" is refuted: the guard's test of a pass."""
    worst = limit + TOLERANCE
    stake = sum(math.log1p(_BET_ON_LITTLE * (worst - slot.share) / (1 - worst)) for slot in since)
    clean = math.log1p(_BET_ON_LITTLE * worst / (1 - worst))
    return max(0, math.ceil((-math.log(PASS_ALPHA) - stake) / clean - 1e-9))


def _calm_until_over(before: Sequence[Slot], since: Sequence[Slot], size: float) -> int:
    last = next(index for index, slot in enumerate(reversed(since)) if slot.bad)
    return max(0, math.ceil(CALM * longest_calm(before) / size) - last)


def _above(shares: Sequence[float]) -> Callable[[float], float]:
    """The logarithm of a stake that the mean is above p, falling with p; p above 0."""
    counts = Counter(shares)

    def stake(p: float) -> float:
        return _mean([sum(n * math.log1p(bet * (share / p - 1)) for share, n in counts.items()) for bet in _BETS_ABOVE])

    return stake


def _below(shares: Sequence[float]) -> Callable[[float], float]:
    """The logarithm of a stake that the mean is below p, rising with p; p below 1."""
    counts = Counter(shares)

    def stake(p: float) -> float:
        return _mean(
            [sum(n * math.log1p(bet * (p - share) / (1 - p)) for share, n in counts.items()) for bet in _BETS_BELOW]
        )

    return stake


def _mean(logarithms: Sequence[float]) -> float:
    """The logarithm of the mean of what these are the logarithms of."""
    highest = max(logarithms)
    return highest + math.log(sum(math.exp(one - highest) for one in logarithms) / len(logarithms))


def _probes(slots: Sequence[Slot]) -> int:
    return sum(slot.probes for slot in slots)


def _shares(slots: Sequence[Slot]) -> list[float]:
    return [slot.share for slot in slots]
