"""Writes the slots that nobody answered for as `missed`, so that a dead worker is seen; each once, in bounded steps."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from probes.engine.outcome import FailureKind, Outcome
from probes.expectation import Expected, expected_targets
from probes.memory import Memory
from probes.models import Result
from probes.recording import record
from probes.results_stream import Entry
from probes.watermarks import advance, read

logger = logging.getLogger(__name__)
STEP_SLOTS = 2000
"""About how many slots one transaction looks at: an outage of hours is caught up step by step."""
SHORTEST_STEP, LONGEST_STEP = timedelta(seconds=1), timedelta(days=1)
_WATERMARK = "sweep"
_MISSED = Outcome(
    kind=FailureKind.MISSED, detail="No outcome arrived in time: the probe was not run, or its worker went away."
)


def sweep(now: datetime, memory: Memory | None = None) -> bool:
    """Take one step towards `now`; returns whether more remain. `memory`: see `recording.record`.

    A slot is missed when its deadline and MISSED_GRACE_SECONDS have passed without a row. After an outage, only the
    last MISSED_CATCH_UP_MINUTES are written; what is older stays blank.
    """
    with transaction.atomic():
        before = read(_WATERMARK, first=now)
        start = max(before, now - timedelta(minutes=settings.MISSED_CATCH_UP_MINUTES))
        targets = expected_targets()
        until = min(now, start + _step(targets))
        if until <= before or not advance(_WATERMARK, before, until):
            return False
        if start > before:
            logger.warning("no recorder ran from %s on: slots until %s stay blank", before, start)
        record(_unanswered(targets, start, until), now=now, memory=memory)
    return until < now


def _step(targets: Sequence[Expected]) -> timedelta:
    slots_a_second = sum(len(target.locations) / target.interval.total_seconds() for target in targets)
    if slots_a_second * LONGEST_STEP.total_seconds() <= STEP_SLOTS:
        return LONGEST_STEP
    return max(SHORTEST_STEP, timedelta(seconds=STEP_SLOTS / slots_a_second))


def _unanswered(targets: Sequence[Expected], start: datetime, until: datetime) -> list[Entry]:
    """A missed entry for each slot that fell due in (start, until] and has no row."""
    by_deadline: dict[timedelta, list[Expected]] = defaultdict(list)
    for target in targets:
        by_deadline[target.deadline].append(target)
    missed: list[Entry] = []
    for deadline, group in by_deadline.items():
        wait = deadline + timedelta(seconds=settings.MISSED_GRACE_SECONDS)
        stored = _stored(start - wait, until - wait)
        missed += (
            Entry(target.target_id, location, slot, _MISSED)
            for target in group
            for slot in target.slots(start - wait, until - wait)
            for location in target.locations
            if (target.target_id, location, slot) not in stored
        )
    return missed


def _stored(after: datetime, until: datetime) -> set[tuple[int, str, datetime]]:
    rows = Result.objects.filter(slot__gt=after, slot__lte=until)
    return set(rows.values_list("target_id", "location_id", "slot"))
