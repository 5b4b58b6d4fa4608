"""Log-bucket histograms of microseconds as one large number, pure: to merge thousands is to add thousands of numbers.

Lane i of 32 bits counts one bucket; five buckets of `probes.histogram` are one here, so that a value read back is wrong
by at most 5 %. What is below the first bucket counts in it, as what is above the last does in that.
"""

import math
import struct
from collections.abc import Iterator

from probes.histogram import GAMMA

_MERGED = 5
"""Buckets of `probes.histogram` in one lane."""
_FIRST = 46
"""The first lane ends at GAMMA ** (5 * 46) = 95 µs: nothing on a network is faster."""
LANES = 136
"""The last lane ends at 62 s: no deadline is longer than a minute."""
_BITS = 32
_LAYOUT = struct.Struct(f"<{LANES}I")
RELATIVE_ERROR = (GAMMA**_MERGED - 1) / (GAMMA**_MERGED + 1)


def lane_of(bucket: int) -> int:
    """The lane that a bucket of `probes.histogram.bucket_of` counts in."""
    return min(max(-(-bucket // _MERGED) - _FIRST, 0), LANES - 1)


def one_in(bucket: int) -> int:
    """The number that adds one value of that bucket of `probes.histogram.bucket_of`."""
    return 1 << (_BITS * lane_of(bucket))


def to_bytes(packed: int) -> bytes:
    """As stored: little-endian, without zeros at its end."""
    return packed.to_bytes((packed.bit_length() + 7) // 8, "little")


def from_bytes(stored: bytes | memoryview) -> int:
    """What `to_bytes` wrote."""
    return int.from_bytes(stored, "little")


def total(packed: int) -> int:
    """How many values it counts."""
    return sum(_lanes(packed))


def counts(packed: int) -> Iterator[tuple[float, int]]:
    """(upper end in microseconds, values) of each lane in use, ascending."""
    return ((_UPPER[lane], n) for lane, n in enumerate(_lanes(packed)) if n)


def _lanes(packed: int) -> tuple[int, ...]:
    return _LAYOUT.unpack(packed.to_bytes(_LAYOUT.size, "little"))


def upper(lane: int) -> float:
    """The upper end of a lane in microseconds."""
    return float(GAMMA ** (_MERGED * (lane + _FIRST)))


_UPPER = tuple(map(upper, range(LANES)))


def percentile(packed: int, never: int, q: float) -> float:
    """Microseconds that a share `q` (0 to 1) of the values does not exceed (nearest rank), by the middle of its lane.

    `never`: values beyond their deadline; `math.inf` where the rank is one of them, `math.nan` when empty.
    """
    whole = total(packed) + never
    if not whole:
        return math.nan
    rank = max(1, math.ceil(q * whole - 1e-9))
    for end, n in counts(packed):
        rank -= n
        if rank <= 0:
            return middle(end)
    return math.inf


def middle(end: float) -> float:
    """What the values of a lane with this upper end are taken for, in microseconds."""
    return 2 * end / (GAMMA**_MERGED + 1)
