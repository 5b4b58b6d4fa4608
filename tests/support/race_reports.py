"""Reports of race checks that never ran, for pages."""

import random
from dataclasses import replace

from probes.engine.outcome import FailureKind, Frame
from probes.race_report import Report, Tally
from tests.support.outcomes import failure, success

_FRAMES = (
    Frame(400, "out", "request", "GET /ws/chat HTTP/1.1"),
    Frame(1500, "in", "response", "HTTP/1.1 101 Switching Protocols"),
    Frame(1530, "out", "text", '{"type": "user_message", "run_id": "r1", "text": "readywire probe"}'),
    Frame(31_000, "in", "text", 'Need to call "accept" first.'),
    Frame(31_500, "in", "close", "1011"),
)


def report(probes: int, failed: int) -> Report:
    """What so many probes found, `failed` of which mostly met the race."""
    chance = random.Random(20261121)
    tally = Tally()
    for n in range(probes):
        if n >= failed:
            tally.add(success(ready_us=int(chance.lognormvariate(10.6, 0.4))))
            continue
        kind = FailureKind.NOT_READY if n % 6 == 5 else FailureKind.ACCEPT_RACE
        detail = 'The server said "Need to call accept first" 30 ms after the 101: it read before it was ready.'
        outcome = failure(kind, detail=detail, frames=_FRAMES, close_code=1011, closed_by="peer")
        tally.add(replace(outcome, flags_revision=5 if n % 2 else 4))
    return tally.report(12.4)
