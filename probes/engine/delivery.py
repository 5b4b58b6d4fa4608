"""Which expected events came, how, and what is wrong with each: by sequence number where the frames carry one.

Per connection: a gap in the sequence is a loss, a number seen before is a duplicate, a number below the highest seen
is a reordering, another epoch is a restart. Without numbers, order and count by name decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from probes.engine.outcome import EventDefect

UNNAMED = "unnamed"
"""Stands in the defects for a lost event whose name nobody can know: a gap beside a complete set of names."""


@dataclass(slots=True)
class Arrival:
    """The first arrival of an expected event: its instant on both clocks (ns, monotonic scale) and its number."""

    at: int
    seen: int
    seq: int | None


class Delivery:
    """Collects the events of one run. `expected` are names, each once, in order."""

    def __init__(self, expected: Sequence[str]) -> None:
        self.expected = tuple(expected)
        self.first_seq: int | None = None
        """The number that the server announced for its next frame; None where it announced none."""
        self.arrivals: dict[str, Arrival] = {}
        self._defects: dict[str, EventDefect] = {}
        self._position = {name: index for index, name in enumerate(self.expected)}
        self._furthest = -1
        self._epoch: object = None
        self._seqs: set[int] = set()
        self._last_seq: int | None = None

    @property
    def complete(self) -> bool:
        """Every expected event came."""
        return len(self.arrivals) == len(self.expected)

    @property
    def ended(self) -> bool:
        """The last expected event came."""
        return not self.expected or self.expected[-1] in self.arrivals

    def number(self, epoch: object, seq: int) -> EventDefect | None:
        """Take the number of any numbered frame, expected or not; the defect that it shows, if any."""
        if self._epoch is None:
            self._epoch = epoch
        elif epoch is not None and epoch != self._epoch:
            return EventDefect.REORDERED
        if seq in self._seqs:
            return EventDefect.DUPLICATED
        regressed = bool(self._seqs) and seq < max(self._seqs)
        self._seqs.add(seq)
        return EventDefect.REORDERED if regressed else None

    def arrived(self, name: str, at: int, seen: int, seq: int | None, shown: EventDefect | None) -> None:
        """Take an expected event of our run. `shown` is what its number showed."""
        if name in self.arrivals:
            # The first and the last event happen once in a run; those between may repeat, each with its own number.
            once = seq is None or name in (self.expected[0], self.expected[-1])
            if shown is not None or once:
                self._defects.setdefault(name, shown or EventDefect.DUPLICATED)
            return
        self.arrivals[name] = Arrival(at, seen, seq)
        position = self._position[name]
        if shown is not None or position < self._furthest:
            self._defects.setdefault(name, shown or EventDefect.REORDERED)
        self._furthest = max(self._furthest, position)

    def ends_at(self, last_seq: int) -> None:
        """The terminal event says which number is the run's last."""
        self._last_seq = last_seq

    def defects(self, *, late_after: int | None) -> dict[str, EventDefect]:
        """Every defect by event name. `late_after`: the instant (ns) after which an arrival is late."""
        defects = dict(self._defects)
        gaps = self._gaps()
        explained = False
        for index, name in enumerate(self.expected):
            arrival = self.arrivals.get(name)
            if arrival is None:
                lost = self._gap_around(index, gaps)
                explained = explained or lost
                defects[name] = EventDefect.LOST if lost else EventDefect.NEVER_EMITTED
            elif late_after is not None and arrival.at > late_after:
                defects.setdefault(name, EventDefect.LATE)
        if gaps and not explained:
            defects[UNNAMED] = EventDefect.LOST
        return defects

    def _gaps(self) -> list[tuple[int, int]]:
        """Missing numbers as inclusive ranges: never listed one by one, for a server may claim 2^60 of them."""
        if not self._seqs and self._last_seq is None:
            return []
        gaps, due = [], self._first()
        for seq in sorted(self._seqs):
            if seq > due:
                gaps.append((due, seq - 1))
            due = max(due, seq + 1)
        if self._last_seq is not None and self._last_seq >= due:
            gaps.append((due, self._last_seq))
        return gaps

    def _first(self) -> int:
        """The number the run begins with: announced, else that of the first event, else 1."""
        if self.first_seq is not None:
            return self.first_seq
        return (self._seq_of(self.expected[0]) if self.expected else None) or 1

    def _gap_around(self, index: int, gaps: list[tuple[int, int]]) -> bool:
        """Whether numbers are missing between the delivered neighbours of an absent event."""
        before = [self._seq_of(name) for name in self.expected[:index]]
        after = [self._seq_of(name) for name in self.expected[index + 1 :]]
        low = max((seq for seq in before if seq is not None), default=self._first() - 1)
        high = min((seq for seq in after if seq is not None), default=None)
        return any(last > low and (high is None or first < high) for first, last in gaps)

    def _seq_of(self, name: str) -> int | None:
        arrival = self.arrivals.get(name)
        return None if arrival is None else arrival.seq
