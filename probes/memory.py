"""What a recorder remembers of its targets between flushes, so that it need not read and parse what it wrote itself.

Every writer of a target's results raises `TargetStatus.sequence` while it holds the row. So what was remembered at a
sequence is what the database holds, for as long as the locked row still has that sequence. A transaction takes what it
uses out of the memory and gives it back only when it has committed: nothing of one that failed is ever remembered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from probes.engine.outcome import Certificate
from probes.models import TargetStatus
from probes.recent import Recent, unpacked
from probes.served_tally import Key as ServedKey
from probes.served_tally import ServedTally
from probes.tally import Key, Tally


@dataclass(slots=True)
class Known:
    """A target's status row, and those of its rollups that are still being counted."""

    target_id: int
    sequence: int
    state: str
    since: datetime
    why: str
    recent: Recent
    last_slot: datetime | None
    last_result_at: datetime | None
    tallies: dict[Key, Tally] = field(default_factory=dict)
    served: dict[ServedKey, ServedTally] = field(default_factory=dict)

    def forget_past(self) -> None:
        """Keep the tallies of the newest stretch of each width and location, and of those just before them."""
        for keys, forget in ((self.tallies.keys(), self.tallies.pop), (self.served.keys(), self.served.pop)):
            for key in _past(keys):
                forget(key)


def _past(keys: Iterable[Any]) -> list[Any]:
    """Keys of tallies (target, location, width, start, ...) that are older than the last but one of their kind."""
    newest: dict[tuple[str, int], datetime] = {}
    for _, location, width, start, *_ in keys:
        newest[location, width] = max(start, newest.get((location, width), start))
    return [key for key in keys if key[3] < newest[key[1], key[2]] - timedelta(seconds=key[2])]


class Memory:
    """One recorder's memory. Not for several threads.

    It holds at most RECORDER_MOST_TARGETS; those remembered longest go first. A target that is probed each second takes
    about 0.2 MB after an hour.
    """

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}
        self.certificates: dict[int, Certificate | None] = {}
        """What each target's stored certificate is known to be."""

    def take(self, sequences: Mapping[int, int]) -> dict[int, Known]:
        """What is known of these targets, by the sequence of their locked rows; the rest is read from the database."""
        found: dict[int, Known] = {}
        for target_id, sequence in sequences.items():
            known = self._known.pop(target_id, None)
            if known is not None and known.sequence == sequence:
                found[target_id] = known
        absent = sequences.keys() - found.keys()
        for status in TargetStatus.objects.filter(pk__in=absent) if absent else ():
            found[status.pk] = _read(status)
        return found

    def keep(self, known: Iterable[Known]) -> None:
        """Remember what a committed transaction left."""
        for each in known:
            each.forget_past()
            self._known[each.target_id] = each
        for target_id in [*self._known][: max(0, len(self._known) - settings.RECORDER_MOST_TARGETS)]:
            del self._known[target_id]


def _read(status: TargetStatus) -> Known:
    return Known(
        target_id=status.pk,
        sequence=status.sequence,
        state=status.state,
        since=status.since,
        why=status.why,
        recent=Recent(unpacked(status.recent)),
        last_slot=status.last_slot,
        last_result_at=status.last_result_at,
    )
