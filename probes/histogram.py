"""Mergeable log-bucket histograms of microseconds, and 95 % bounds of proportions.

Bucket i holds the values in (GAMMA^(i-1), GAMMA^i]; answering with the bucket's middle is wrong by at most
(GAMMA - 1) / (GAMMA + 1) = 0.99 % (DDSketch: Masson, Rim, Lee, VLDB 2019). Two histograms merge by adding counts, so
any window's percentiles come from rollups, without the raw rows.
"""

import json
import math
from bisect import bisect_left
from collections.abc import ItemsView, Iterable, Mapping
from itertools import accumulate
from typing import Any

GAMMA = 1.02
RELATIVE_ERROR = (GAMMA - 1) / (GAMMA + 1)
_LOG_GAMMA = math.log(GAMMA)
_ZERO = -1
"""The bucket of 0 µs; values of 1 µs and above start at bucket 0."""
_Z95 = 1.959963984540054
_COMMON = 1400
"""Buckets below this one, of up to twelve days, are summed in a list; no probe takes longer."""


_decode = json.JSONDecoder().raw_decode


class _Numbers(dict[str, int]):
    """Bucket numbers as JSON has them: looked up, they cost half of what `int` takes."""

    def __missing__(self, text: str) -> int:
        return int(text)


_NUMBERS = _Numbers({str(bucket): bucket for bucket in range(_ZERO, _COMMON)})


def bucket_of(us: int) -> int:
    """The number of the bucket that a duration in microseconds falls into; -1 is that of 0 and below."""
    return math.ceil(math.log(us) / _LOG_GAMMA) if us > 0 else _ZERO


def ends_of(bucket: int) -> tuple[float, float]:
    """(low, high) of a bucket in microseconds."""
    return (0.0, 0.0) if bucket == _ZERO else (GAMMA ** (bucket - 1), GAMMA**bucket)


def _middle(bucket: int) -> float:
    return 0.0 if bucket == _ZERO else 2 * GAMMA**bucket / (GAMMA + 1)


class Histogram:
    """Counts of durations in microseconds, plus a count of those `beyond` their deadline ("never").

    `add`, `remove` and `absorb` change the histogram; `merge` returns a new one. Durations below zero count as zero.
    """

    __slots__ = ("_counts", "_ranks", "_texts", "beyond")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._texts: dict[int, str] | None = None
        """The JSON of each bucket, kept from the first `to_text` on: one that is written often changes little."""
        self._ranks: tuple[list[int], list[int]] | None = None
        """The buckets in use, ascending, and how many lie in each or below: kept while nothing changes."""
        self.beyond = 0
        """How many never happened before their deadline."""

    @property
    def count(self) -> int:
        """All observations, those beyond the deadline included."""
        return sum(self._counts.values()) + self.beyond

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self._counts == other._counts and self.beyond == other.beyond

    __hash__ = None  # type: ignore[assignment]  # it can change

    def __repr__(self) -> str:
        return f"Histogram.from_json({self.to_json()!r})"

    def add(self, us: int) -> None:
        """Count one duration of `us` microseconds."""
        self.add_to(bucket_of(us))

    def add_to(self, bucket: int) -> None:
        """Count one duration in the bucket that `bucket_of` named: for one that several histograms count."""
        n = self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._ranks = None
        if self._texts is not None:
            self._texts[bucket] = f'"{bucket}":{n}'

    def add_beyond(self) -> None:
        """Count one that never happened before its deadline."""
        self.beyond += 1

    def remove(self, us: int) -> None:
        """Undo one `add(us)`. Raises ValueError where no such duration was counted."""
        bucket = bucket_of(us)
        left = self._counts.get(bucket, 0) - 1
        if left < 0:
            raise ValueError(f"no duration of {us} µs was counted")
        self._texts = self._ranks = None
        if left:
            self._counts[bucket] = left
        else:
            del self._counts[bucket]

    def remove_beyond(self) -> None:
        """Undo one `add_beyond()`. Raises ValueError where none was counted."""
        if not self.beyond:
            raise ValueError("nothing beyond the deadline was counted")
        self.beyond -= 1

    def merge(self, other: "Histogram") -> "Histogram":
        """The histogram of both sets of observations."""
        merged = self.copy()
        merged.absorb(other)
        return merged

    def copy(self) -> "Histogram":
        """Another one with the same observations."""
        copied = Histogram()
        copied._counts, copied.beyond = dict(self._counts), self.beyond
        return copied

    def absorb(self, other: "Histogram") -> None:
        """Count the other's observations too: of many histograms the sum is built without copying what it has."""
        self._texts = self._ranks = None
        self.beyond += other.beyond
        counts = self._counts
        for bucket, n in other._counts.items():
            counts[bucket] = counts.get(bucket, 0) + n

    @classmethod
    def sum(cls, parts: Iterable["Histogram"]) -> "Histogram":
        """All of them as one: of hundreds in half the time that absorbing one after the other takes."""
        parts = list(parts)
        total, counts = cls(), [0] * (_COMMON + 1)
        try:
            for part in parts:
                for bucket, n in part._counts.items():
                    counts[bucket] += n  # the bucket of 0 µs, -1, is the list's last place
        except IndexError:
            for part in parts:
                total.absorb(part)
            return total
        total._counts = {bucket: n for bucket, n in enumerate([counts.pop(), *counts], _ZERO) if n}
        total.beyond = sum(part.beyond for part in parts)
        return total

    def percentile(self, q: float) -> float:
        """Microseconds that a share `q` (0 to 1) of the observations does not exceed (nearest rank).

        `math.inf` where that rank lies beyond the deadline ("never"); `math.nan` when empty. Raises ValueError for a
        share outside 0 to 1.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q={q}: a share lies between 0 and 1")
        buckets, upto = self._ranks or self._rank()
        ready = upto[-1] if upto else 0
        total = ready + self.beyond
        if not total:
            return math.nan
        rank = max(1, math.ceil(q * total - 1e-9))
        return math.inf if rank > ready else _middle(buckets[bisect_left(upto, rank)])

    def _rank(self) -> tuple[list[int], list[int]]:
        buckets = sorted(self._counts)
        self._ranks = buckets, list(accumulate(map(self._counts.__getitem__, buckets)))
        return self._ranks

    def items(self) -> ItemsView[int, int]:
        """(bucket, n) of each bucket in use, in no order; those beyond the deadline are apart."""
        return self._counts.items()

    def bins(self) -> list[tuple[float, float, int]]:
        """(low µs, high µs, n) of each bucket in use, ascending; (inf, inf, n) last where some were beyond."""
        found = [(*ends_of(bucket), n) for bucket, n in sorted(self._counts.items())]
        return [*found, (math.inf, math.inf, self.beyond)] if self.beyond else found

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: {"b": {bucket: n}, "beyond": n}; `from_json` reverses it exactly."""
        return {"b": {str(bucket): n for bucket, n in self._counts.items()}, "beyond": self.beyond}

    def to_text(self) -> str:
        """The JSON text of `to_json`, compact."""
        if self._texts is None:
            self._texts = {bucket: f'"{bucket}":{n}' for bucket, n in self._counts.items()}
        return f'{{"b":{{{",".join(self._texts.values())}}},"beyond":{self.beyond}}}'

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Histogram":
        """Raises KeyError, TypeError or ValueError on data that `to_json` did not write."""
        histogram = cls()
        counts = data["b"]
        histogram._counts = dict(zip(map(_NUMBERS.__getitem__, counts), counts.values(), strict=True))
        histogram.beyond = data["beyond"]
        return histogram


def read(text: str, figures: Iterable[str]) -> dict[str, Histogram]:
    """The histograms of these figures from the JSON text of {figure: `to_json`}; the text of others is not parsed.

    Raises KeyError, TypeError or ValueError on data that `to_json` did not write.
    """
    found = {}
    for figure in figures:
        key = f'"{figure}":'
        # In it, only a figure's name can stand before a colon so: buckets are numbers.
        at = text.find(key)
        if at >= 0:
            at += len(key)
            data, _ = _decode(text, at + (text[at : at + 1] == " "))
            found[figure] = Histogram.from_json(data)
    return found


def bounds(k: int, n: int) -> tuple[float, float]:
    """95 % bounds of the proportion k of n: Wilson's score interval; the rule of three (3/n) where k is 0 or n.

    (0, 1) when n is 0. Raises ValueError unless 0 <= k <= n.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is no proportion")
    if n == 0:
        return 0.0, 1.0
    if k == 0:
        return 0.0, min(1.0, 3 / n)
    if k == n:
        return max(0.0, 1 - 3 / n), 1.0
    share, square = k / n, _Z95 * _Z95
    centre = share + square / (2 * n)
    spread = _Z95 * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    scale = 1 + square / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
