"""The tick: dispatches every slot of the next seconds once, in batches per location.

Beat drifts and may skip a second; the stored watermark does not. Slots that passed during an outage are not dispatched:
they become missed, never late.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from probes.expectation import expected_targets
from probes.models import Target
from probes.schedule import EPOCH
from probes.specification import message_of
from probes.watermarks import advance, read

logger = logging.getLogger(__name__)
BATCH_SLOTS = 200
"""Most slots in one message: a worker reads it between two probes."""
AHEAD_AT_MOST = timedelta(seconds=60)
"""A watermark further ahead than this was left by a clock that was wrong; it is taken back."""
_WATERMARK = "tick"

Slot = tuple[datetime, int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Slots of one location that are due within the next seconds, ascending, with what each target's probe needs."""

    location: str
    slots: tuple[Slot, ...]
    """(instant, target id)."""
    targets: dict[int, dict[str, Any]]
    """`specification.message_of` by target id."""

    @property
    def last(self) -> datetime:
        """The last slot's instant: afterwards the batch is worth nothing."""
        return self.slots[-1][0]

    def to_message(self) -> dict[str, Any]:
        """JSON-ready; slots as [microseconds since the epoch, target id]."""
        return {
            "location": self.location,
            "slots": [[(slot - EPOCH) // timedelta(microseconds=1), target_id] for slot, target_id in self.slots],
            "targets": {str(target_id): message for target_id, message in self.targets.items()},
        }


def dispatch(now: datetime, send: Callable[[Batch], None]) -> int:
    """Claim the window up to now + TICK_HORIZON_SECONDS and send its slots, once committed; returns how many.

    Of two calls at the same instant one claims the window and the other sends nothing.
    """
    until = now + timedelta(seconds=settings.TICK_HORIZON_SECONDS)
    with transaction.atomic():
        before = read(_WATERMARK, first=now)
        if before > until + AHEAD_AT_MOST:
            logger.warning("the tick's watermark %s lies in the future: a clock was wrong; taken back to now", before)
            after = now
        else:
            after = max(before, now)
        if after >= until or not advance(_WATERMARK, before, until):
            return 0
        batches = _batches(after, until)
        transaction.on_commit(lambda: _send_all(batches, send))
    return sum(len(batch.slots) for batch in batches)


def _send_all(batches: Iterable[Batch], send: Callable[[Batch], None]) -> None:
    for batch in batches:
        send(batch)


def _batches(after: datetime, until: datetime) -> list[Batch]:
    due: dict[str, list[Slot]] = defaultdict(list)
    for target in expected_targets():
        for slot in target.slots(after, until):
            for location in target.locations:
                due[location].append((slot, target.target_id))
    wanted = {target_id for slots in due.values() for _, target_id in slots}
    messages = {target.pk: message_of(target) for target in Target.objects.filter(pk__in=wanted)}
    return [
        Batch(location, chunk, {target_id: messages[target_id] for _, target_id in chunk})
        for location, slots in sorted(due.items())
        for chunk in _chunks(sorted(slot for slot in slots if slot[1] in messages))
    ]


def _chunks(slots: list[Slot]) -> Iterable[tuple[Slot, ...]]:
    for first in range(0, len(slots), BATCH_SLOTS):
        yield tuple(slots[first : first + BATCH_SLOTS])
