"""Happy eyeballs (RFC 8305): which address of a name is tried when. Pure: time is an argument."""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

ATTEMPT_DELAY_S = 0.25
"""Section 5, Connection Attempt Delay: how long an attempt runs alone before the next one joins it."""
RESOLUTION_DELAY_S = 0.05
"""Section 3, Resolution Delay: how long the answer of one family waits for the other's."""


class Race:
    """The attempts of one connection, begun one after the other and run beside each other; the first to connect wins.

    Ask `due` at `next_at`, and whenever an attempt failed. An attempt that failed lets the next one begin at once.
    """

    def __init__(self, addresses: Iterable[str], delay_s: float = ATTEMPT_DELAY_S) -> None:
        self._waiting = deque(addresses)
        self._delay_s = delay_s
        self._running: set[str] = set()
        self.next_at: float | None = float("-inf") if self._waiting else None
        """The instant at which the next attempt is due; None where none is left to begin."""

    def due(self, now: float) -> str | None:
        """The address to dial now, noted as begun; None where it is not time yet, or none is left."""
        if self.next_at is None or now < self.next_at:
            return None
        address = self._waiting.popleft()
        self._running.add(address)
        self.next_at = now + self._delay_s if self._waiting else None
        return address

    def failed(self, address: str, now: float) -> None:
        """An attempt ended without a connection."""
        self._running.discard(address)
        if self._waiting:
            self.next_at = now

    @property
    def lost(self) -> bool:
        """Every address was tried, and none connected."""
        return not self._waiting and not self._running


def interleave(addresses: Sequence[str]) -> tuple[str, ...]:
    """Alternate the families, beginning with the first address's (section 4); each address once."""
    unique = list(dict.fromkeys(addresses))
    if not unique:
        return ()
    first_is_six = ":" in unique[0]
    ours = [address for address in unique if (":" in address) is first_is_six]
    others = [address for address in unique if (":" in address) is not first_is_six]
    return tuple(address for address in chain.from_iterable(zip_longest(ours, others)) if address is not None)
