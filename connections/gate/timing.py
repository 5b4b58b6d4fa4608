"""What a gate measures of its connections, for the strategy that learns: bounded, and per gate."""

import math
from collections import deque

from connections.gate.strategies.knowledge import NOTHING_LEARNED, Learned

REMEMBERED = 200
"""The latest so many measurements count, whatever came before."""
ENOUGH = 5
"""With fewer measurements nothing is claimed."""


def percentile(values: list[float], share: float) -> float:
    """The nearest-rank percentile of `values`, which must not be empty."""
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


class Timing:
    """Setup times and round trips, in seconds. Used on the event loop's thread only."""

    __slots__ = ("_learned", "_round_trips", "_setups")

    def __init__(self) -> None:
        self._setups: deque[float] = deque(maxlen=REMEMBERED)
        self._round_trips: deque[float] = deque(maxlen=REMEMBERED)
        self._learned: Learned | None = NOTHING_LEARNED

    def set_up(self, seconds: float) -> None:
        """An application had said that everything required is ready, `seconds` after accept."""
        self._setups.append(seconds)
        self._learned = None

    def round_trip(self, seconds: float) -> None:
        """A client answered `connection_ready` after `seconds`."""
        self._round_trips.append(seconds)
        self._learned = None

    @property
    def learned(self) -> Learned:
        """The 95th percentiles so far. Computed when asked for, not with each measurement."""
        if self._learned is None:
            self._learned = Learned(_claim(self._setups), _claim(self._round_trips))
        return self._learned


def _claim(values: deque[float]) -> float | None:
    return percentile(list(values), 0.95) if len(values) >= ENOUGH else None
