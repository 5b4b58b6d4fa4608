"""Workers that keep residents, at a pace that tests can wait for."""

from probes.engine.guardrails import Policy
from probes.engine.residents import Backoff, Report, Residents
from probes.resident_loop import Pace, ResidentLoop, Room

QUICK = Pace(look_s=0.05, lease_s=1.0, report_s=0.3, forget_s=0.6)
ROOM = Room(residents=500, buffer=1000, stream_length=10_000)


def open_residents(report: Report) -> Residents:
    """Residents that may dial this machine, and do not wait long after a failure."""
    backoff = Backoff(first_s=0.02, most_s=0.1, steady_s=0.0)
    return Residents(report, policy=Policy(allow_private=True), backoff=backoff)


class Loops:
    """Starts loops, and ends them with the test."""

    def __init__(self, redis_url: str) -> None:
        self.redis_url = redis_url
        self.running: list[ResidentLoop] = []

    def start(self, room: Room = ROOM, pace: Pace = QUICK) -> ResidentLoop:
        """One worker more."""
        loop = ResidentLoop("local", self.redis_url, room, open_residents, pace)
        loop.start()
        self.running.append(loop)
        return loop

    def stop(self) -> None:
        """End them all."""
        for loop in self.running:
            loop.stop(10)
