"""Lives of a target's residents as its recorder would have them: so that a page of them can be judged."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from probes.engine.lives import Ending, Life
from probes.lives import record_lives
from probes.lives_stream import LifeEntry
from probes.models import Target

S = 1_000_000
AGE_S = 300.4
"""What the balancer of residents 0 and 1 allows."""


def life(target: Target, number: int, started: datetime, lasted_s: float, **fields: Any) -> Life:
    """A life that was ready in 60 ms, talked every ten seconds, and lasted so long."""
    talked = max(1, int(lasted_s // 10))
    defaults: dict[str, Any] = {
        "opened_us": 4_000, "ready_us": 60_000, "ended_us": int(lasted_s * S) + 4_000,
        "idle_us": int(lasted_s % 10 * S), "patience_us": 10 * S, "every_us": 10 * S,
        "closed_by": "network", "conversations_ok": talked,
        "events_expected": 5 * talked, "events_delivered": 5 * talked, "strategy": "dependency_gate",
        "flags_revision": 1, "address": "127.0.0.1:8101",
    }  # fmt: skip
    return Life(target.pk, number, started, **{**defaults, **fields})


def story(target: Target, start: datetime, now: datetime) -> Iterator[Life]:
    """Two meet a limit on age, one a deployment and then a dead path, one cannot connect again."""
    for number in (0, 1):
        at = start + timedelta(seconds=47 * number)
        reconnect: int | None = None
        while at < now:
            left = (now - at).total_seconds()
            ending = Ending.DROPPED if left > AGE_S else Ending.LIVING
            told = life(target, number, at, min(AGE_S, left), ending=ending, reconnect_us=reconnect)
            yield told
            at, reconnect = told.ended + timedelta(milliseconds=90), 118_000 + 9_000 * number
    age = (now - start).total_seconds()
    deployed, swallowed = age * 0.45, age * 0.8
    yield life(
        target, 2, start, deployed, ending=Ending.CLOSED, closed_by="peer", close_code=1012, reason="deploy",
        lost_in_cut=2,
    )  # fmt: skip
    yield life(
        target, 2, start + timedelta(seconds=deployed + 1.2), swallowed - deployed, ending=Ending.SILENT,
        closed_by="us", reason="nothing came back within 5 s, not even a pong", reconnect_us=1_260_000, lost_in_cut=5,
    )  # fmt: skip
    yield life(
        target, 2, start + timedelta(seconds=swallowed + 1.3), age - swallowed - 1.3, ending=Ending.LIVING,
        reconnect_us=140_000,
    )  # fmt: skip
    yield life(
        target, 3, start, age * 0.7, ending=Ending.RESET, idle_us=4 * S,
    )  # fmt: skip
    out = start + timedelta(seconds=age * 0.7 + 0.1)
    yield life(
        target, 3, out, (now - out).total_seconds(), ending=Ending.LIVING, opened_us=None, ready_us=None, attempts=9,
        failure="connect_refused", conversations_ok=0, events_expected=0, events_delivered=0,
    )  # fmt: skip


def store(target: Target, start: datetime, now: datetime) -> None:
    """Record the story."""
    record_lives((LifeEntry("local", told) for told in story(target, start, now)), now=now)
