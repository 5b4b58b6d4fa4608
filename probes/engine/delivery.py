"""Which expected events came, how, and what is wrong with each: by sequence number where the frames carry one.

Per connection: a gap in the sequence is a loss, a number seen before is a duplicate, a number below the highest seen
is a reordering, another epoch is a restart. A run is whole where its numbers are exactly first..N, with N from the
terminal event's `last_seq`, and its events, in the order of their numbers, obey the grammar (see `grammar`). Without
numbers, order and count by name decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from probes.engine import grammar
from probes.engine.grammar import RunEvent
from probes.engine.outcome import EventDefect

UNNAMED = "unnamed"
"""Stands in the defects for a lost event whose name nobody can know: a gap that no absent event explains."""

Key = str | int | None


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
        self._run: list[RunEvent] = []
        self._identities: set[tuple[str, Key]] = set()
        self._epoch: object = None
        self._restarted = False
        self._seqs: set[int] = set()
        self._highest = -1
        self._last_seq: int | None = None

    @property
    def complete(self) -> bool:
        """Every expected event came, and no number up to the run's last is missing."""
        if len(self.arrivals) < len(self.expected):
            return False
        last = max(self._highest, self._last_seq or 0)
        return not self._seqs or len(self._seqs) > last - self._first()

    @property
    def ended(self) -> bool:
        """The last expected event came."""
        return not self.expected or self.expected[-1] in self.arrivals

    def number(self, epoch: object, seq: int) -> EventDefect | None:
        """Take the number of any numbered frame, expected or not; the defect that it shows, if any."""
        if self._epoch is None:
            self._epoch = epoch
        elif epoch is not None and epoch != self._epoch:
            self._restarted = True
            return EventDefect.REORDERED
        if seq in self._seqs:
            return EventDefect.DUPLICATED
        regressed = seq < self._highest
        self._seqs.add(seq)
        self._highest = max(self._highest, seq)
        return EventDefect.REORDERED if regressed else None

    def arrived(
        self, name: str, at: int, seen: int, seq: int | None, shown: EventDefect | None,
        *, call: Key = None, event_id: Key = None,
    ) -> None:  # fmt: skip
        """Take an expected event of our run. `shown` is what its number showed.

        `call`: a tool event's `call_id`. `event_id`: tells a repeated event from a second copy where no number does.
        """
        if self._second_copy(name, seq, shown, call if event_id is None else event_id):
            self._defects.setdefault(name, EventDefect.DUPLICATED)
            return
        if shown is not None:
            self._defects.setdefault(name, shown)
        self._run.append(RunEvent(name, at, seq, call))
        if name not in self.arrivals:
            self.arrivals[name] = Arrival(at, seen, seq)

    def _second_copy(self, name: str, seq: int | None, shown: EventDefect | None, identity: Key) -> bool:
        if shown is EventDefect.DUPLICATED:
            return True
        if name in self.arrivals and name in (self.expected[0], self.expected[-1]):
            return True  # they happen once in a run; those between may repeat
        if seq is not None:
            return False
        known = (name, identity) in self._identities
        self._identities.add((name, identity))
        return known

    def ends_at(self, last_seq: int) -> None:
        """The terminal event says which number is the run's last."""
        self._last_seq = last_seq

    def defects(self, *, late_after: int | None) -> dict[str, EventDefect]:
        """Every defect by event name. `late_after`: the instant (ns) after which an arrival is late."""
        if self._plainly_whole(late_after):
            return {}
        gaps = self._gaps()
        absent = self._absent(gaps)
        # Absence first: that an event is lost says more of it than that another copy came out of order.
        defects = dict(absent)
        for name, defect in self._defects.items():
            defects.setdefault(name, defect)
        for name in self._disordered():
            defects.setdefault(name, EventDefect.REORDERED)
        for event in self._run:
            if late_after is not None and event.at > late_after:
                defects.setdefault(event.name, EventDefect.LATE)
        missing = sum(last - first + 1 for first, last in gaps)
        if missing > sum(1 for _name, defect in absent if defect is EventDefect.LOST):
            defects[UNNAMED] = EventDefect.LOST
        return defects

    def _plainly_whole(self, late_after: int | None) -> bool:
        """Whether each event came once, in order and in time, with every number: so most runs are."""
        run = self._run
        if self._defects or self._restarted or len(run) != len(self.expected) or not self.complete:
            return False
        if [event.name for event in run] != [*self.expected]:
            return False
        if grammar.governs(self.expected) and run[2].call != run[3].call:
            return False
        if run and late_after is not None and run[-1].at > late_after:
            return False
        return self._last_seq is None or self._highest <= self._last_seq

    def undelivered(self) -> tuple[str, ...]:
        """The expected events that never came, in order."""
        return tuple(name for name in self.expected if name not in self.arrivals)

    def _in_order(self) -> list[RunEvent]:
        """The run as the server numbered it; as it came where a number is absent or the stream began anew."""
        if self._restarted or any(event.seq is None for event in self._run):
            return self._run
        return sorted(self._run, key=lambda event: event.seq or 0)

    def _disordered(self) -> list[str]:
        """Events that the server itself put into a wrong order: their numbers agree with it, or there are none."""
        if self._restarted:
            return []
        events = self._in_order()
        beyond = [e.name for e in events if e.seq is not None and self._last_seq is not None and e.seq > self._last_seq]
        if grammar.governs(self.expected):
            return beyond + grammar.disordered(events)
        position = {name: index for index, name in enumerate(self.expected)}
        furthest, wrong, known = -1, list(beyond), set()
        for event in events:
            if event.name not in known and position[event.name] < furthest:
                wrong.append(event.name)
            known.add(event.name)
            furthest = max(furthest, position[event.name])
        return wrong

    def _absent(self, gaps: list[tuple[int, int]]) -> list[tuple[str, EventDefect]]:
        """Every event that did not come: by name, and by its partner where tool events come in pairs."""
        found: list[tuple[str, EventDefect]] = []
        if grammar.governs(self.expected) and not self._restarted:
            for name, low, high in grammar.unpaired(self._in_order()):
                found.append((name, _absence(gaps, low if low is not None else self._first() - 1, high)))
        named = {name for name, _defect in found}
        for index, name in enumerate(self.expected):
            if name not in self.arrivals and name not in named:
                found.append((name, _absence(gaps, *self._neighbours(index))))
        return found

    def _gaps(self) -> list[tuple[int, int]]:
        """Missing numbers as inclusive ranges: never listed one by one, for a server may claim 2^60 of them."""
        if not self._seqs:
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
        """The number the run begins with: announced, or 1 where its end is told, else that of the first event."""
        if self.first_seq is not None:
            return self.first_seq
        if self._last_seq is not None or not self.expected:
            return 1
        return self._seq_of(self.expected[0]) or 1

    def _neighbours(self, index: int) -> tuple[int, int | None]:
        """The numbers between which an absent event belongs; None: no bound above."""
        before = [self._seq_of(name) for name in self.expected[:index]]
        after = [self._seq_of(name) for name in self.expected[index + 1 :]]
        low = max((seq for seq in before if seq is not None), default=self._first() - 1)
        return low, min((seq for seq in after if seq is not None), default=None)

    def _seq_of(self, name: str) -> int | None:
        arrival = self.arrivals.get(name)
        return None if arrival is None else arrival.seq


def _absence(gaps: list[tuple[int, int]], low: int, high: int | None) -> EventDefect:
    """Lost where a number is missing in its place, else never emitted."""
    gap = any(last > low and (high is None or first < high) for first, last in gaps)
    return EventDefect.LOST if gap else EventDefect.NEVER_EMITTED
