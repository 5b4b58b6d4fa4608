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

A fault that comes and goes breaks this: its probes are not independent, and its calm looks like a cure. So slots are
put together into blocks as long as what happened before lasted (`block_of`), and nothing is cured before the clean
probes since are CALM times the longest calm that the fault had. A calm longer than any before still looks like a cure.
"""

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import mul

from connections.flags.guard import PASS_ALPHA, TOLERANCE

ALPHA = 0.01
"""Where nothing has changed, "cured" or "better" is ever said with at most this probability; "worse" as well."""
LEAST = 30
"""Probes since the change before anything but "worse" is said: without a failure, they leave 3 in 30 possible."""
LEAST_WORSE = 5
CALM = 2
MOST_NEEDED = 5_000
"""Where more clean probes than this are needed, no number is told."""
BAR = -math.log(ALPHA)
"""The logarithm of the stake that proves."""
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


def judge(before: Sequence[Slot], since: Sequence[Slot], objective: float, *, forecast: bool = True) -> Judged:
    """What the slots since a change say beside those before it, oldest first.

    `objective`: the share of successes that the target is held to. Without `forecast`, what is missing to "cured" is
    not looked for: that is most of the work.
    """
    size = block_of(before)
    shares_before, shares = _shares(before, size), _shares(since, size)
    probes, bad = _probes(since), sum(slot.bad for slot in since)
    if not probes:
        return Judged(Verdict.WAITING)
    worse = against(shares, shares_before, BAR)
    if probes >= LEAST_WORSE and worse >= BAR:
        return Judged(Verdict.WORSE, math.exp(-worse))
    if not fails_more_than(1 - objective, shares_before):
        return Judged(Verdict.SAME if probes >= LEAST else Verdict.UNPROVEN)
    better = against(shares_before, shares, BAR)
    chance = math.exp(-max(0.0, better))
    owed = _owed(before, since, objective)
    if better >= BAR and not owed:
        return Judged(Verdict.CURED, chance, 0)
    needed = max(owed, _until_proven(shares_before, shares, owed, size)) if forecast else 0
    told = needed if 0 < needed <= MOST_NEEDED else None
    if bad and probes >= LEAST:
        if better >= BAR:
            return Judged(Verdict.BETTER, chance, told)
        if fails_more_than(1 - objective, shares):
            return Judged(Verdict.UNCURED, chance, told)
    return Judged(Verdict.UNPROVEN, chance, told)


def against(higher: Counter[float], lower: Counter[float], bar: float = -math.inf) -> float:
    """The logarithm of the stake against "the mean of `higher` is not above that of `lower`": counts of shares from 0
    to 1. Where it is below `bar`, all that is told is something below `bar`.

    The first factor falls with the common mean p and the second rises, so over an interval their product is at least
    the first at its end times the second at its beginning: the interval with the least of these is halved until that
    is as good as the value inside it.
    """
    if not higher or not lower:
        return 0.0
    above, below = _above(higher), _below(lower)
    common = _mean_of(higher + lower)
    best = above(common) + below(common) if 0 < common < 1 else 0.0
    if best < bar:
        return best
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


def fails_more_than(limit: float, shares: Counter[float]) -> bool:
    """Whether "fails no more often than `limit`" is refuted: the guard's bet on its objective, by the same bound."""
    stakes = [
        sum(n * math.log1p(growth * (share - limit) / limit) for share, n in shares.items()) for growth in _GROWTHS
    ]
    return _mean(stakes) >= BAR


def block_of(slots: Sequence[Slot]) -> int:
    """How many slots in a row are one observation: 1 where each is drawn anew, more where what happens lasts.

    One and twice the sum of the autocorrelations, which is how much less a run of such slots tells than as many drawn
    anew (Geyer, "Practical Markov chain Monte Carlo", 1992); lags are added while they stand out of chance.
    """
    if len(slots) < LEAST:
        return 1
    mean = sum(slot.share for slot in slots) / len(slots)
    off = [slot.share - mean for slot in slots]
    whole = sum(one * one for one in off)
    lasts = 0.0
    for lag in range(1, len(off) // 2):
        alike = sum(map(mul, off, off[lag:])) / whole if whole else 0.0
        if alike <= 2 / math.sqrt(len(off)):
            break
        lasts += alike
    return math.ceil(1 + 2 * lasts - 1e-9)


def _owed(before: Sequence[Slot], since: Sequence[Slot], objective: float) -> int:
    """Clean slots that "cured" waits for, however much is proven already."""
    size = _probes(since) / len(since)
    calm = CALM * longest_calm(before)
    slots = math.ceil((max(LEAST, calm) - _probes(since)) / size)
    if any(slot.bad for slot in since):
        last = next(index for index, slot in enumerate(reversed(since)) if slot.bad)
        slots = max(slots, _clean_until_little(since, 1 - objective), math.ceil(calm / size) - last)
    return max(0, slots)


def _until_proven(before: Counter[float], since: Counter[float], owed: int, size: int) -> int:
    """Clean slots until "better" is proven, or some number above MOST_NEEDED; in blocks of `size`."""

    def proven(more: int) -> bool:
        return against(before, since + Counter({0.0: more // size}), BAR) >= BAR

    low, high = owed - 1, max(owed, size)
    while high <= MOST_NEEDED and not proven(high):
        low, high = high, 2 * high
    while high - low > 1 and high <= MOST_NEEDED:
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


def _above(counts: Counter[float]) -> Callable[[float], float]:
    """The logarithm of a stake that the mean is above p, falling with p; p above 0."""

    def stake(p: float) -> float:
        return _mean([sum(n * math.log1p(bet * (share / p - 1)) for share, n in counts.items()) for bet in _BETS_ABOVE])

    return stake


def _below(counts: Counter[float]) -> Callable[[float], float]:
    """The logarithm of a stake that the mean is below p, rising with p; p below 1."""

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


def _shares(slots: Sequence[Slot], size: int) -> Counter[float]:
    """How often each share of bad probes was met in blocks of `size` slots; what fills no block waits for the rest."""
    found: Counter[float] = Counter()
    for start in range(0, len(slots) - size + 1, size):
        block = slots[start : start + size]
        found[sum(slot.bad for slot in block) / _probes(block)] += 1
    return found


def _mean_of(shares: Counter[float]) -> float:
    return sum(share * n for share, n in shares.items()) / shares.total()
