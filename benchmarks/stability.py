"""A day of long-lived connections, compressed: `python -m benchmarks.stability [--seconds 600] [--residents 100]`.

Residents talk to two real reference services. A fifth of them goes straight to one that nothing ends: it must lose
nothing. The others meet what ends connections in production, each kind known here and to be told from outside:

    steady    held for a set time, then held anew             -> ended as planned
    deployed  its service restarts: SIGTERM, and SIGKILL       -> server restart
    aged      a balancer's limit on age                        -> balancer timeout
    idle      a proxy's limit on silence                       -> idle cut
    swallowed a path that forgets the connection               -> silent half-open
    reset     resets at no particular age                      -> reset

Printed: lives and cuts by kind, events lost, reconnects, memory and file descriptors. Exit status 1 where a cut was
told wrongly, a steady connection lost anything, a descriptor leaked, or memory grew by more than GROWTH_MIB.
"""

import argparse
import asyncio
import gc
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from probes.engine.cuts import KNOWN_S, Cut, told
from probes.engine.guardrails import Policy
from probes.engine.lives import Ending, Life
from probes.engine.resident import Stay
from probes.engine.residents import Backoff, Residents
from probes.engine.script import TargetSpec
from tests.support.servers import free_port, listens
from tests.support.waiting import wait_until

GROWTH_MIB = 10.0
"""Most that the process may grow once it has warmed up."""
WARM = 0.4
"""The share of the time after which growth is measured: by then every kind of end was met."""
EXPECTED = {
    "steady": frozenset({Cut.PLANNED}),
    "deployed": frozenset({Cut.RESTART}),
    "aged": frozenset({Cut.AGE_LIMIT}),
    "idle": frozenset({Cut.IDLE_LIMIT}),
    "swallowed": frozenset({Cut.HALF_OPEN}),
    "reset": frozenset({Cut.RESET}),
}
"""What each group's lives may have ended by, beside our own stop at the end."""
GROUPS = tuple(EXPECTED)
FEWEST = 3 * len(GROUPS)
"""Fewer than three in a group show no pattern."""
LEAST_UNIT_S, MOST_UNIT_S = 1.0, 15.0
"""Limits and pauses are multiples of a unit: a fortieth of the run, yet no shorter than what a busy machine blurs."""
_GOLDEN = 0.6180339887
"""Its multiples, modulo one, never come near each other: equal pauses between restarts would look like a limit."""


@dataclass
class Report:
    """What a run found."""

    lives: dict[str, list[Life]] = field(default_factory=dict)
    cuts: dict[str, Counter[Cut]] = field(default_factory=dict)
    growth_mib: float = 0.0
    descriptors: tuple[int, int] = (0, 0)
    """Before and after."""
    restarts: int = 0
    problems: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The report for a person."""
        for group, lives in self.lives.items():
            kinds = ", ".join(f"{n} {cut.words}" for cut, n in self.cuts[group].most_common()) or "none"
            talks = sum(life.conversations_ok for life in lives)
            lost = sum(life.lost_in_cut for life in lives)
            waits = [life.reconnect_us for life in lives if life.reconnect_us is not None]
            back = f", back in {median(waits) / 1000:.0f} ms at the median" if waits else ""
            cost = f"{talks} conversations, {lost} events lost in cuts{back}"
            yield f"  {group:<10} {len(lives):5d} lives: {kinds}; {cost}"
        before, after = self.descriptors
        yield f"  {self.restarts} restarts; memory +{self.growth_mib:.1f} MiB; descriptors {before}, then {after}"
        yield from (f"  WRONG: {problem}" for problem in self.problems)


class Service:
    """A reference service that can be restarted on its port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, "-m", "connections.reference", "--environment", "development"]
        self._process = subprocess.Popen(
            [*command, "--port", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: listens(self.port), seconds=30, what="the reference service listens")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)


@contextmanager
def balancers(to_port: int, rules: Sequence[tuple[str, float]]) -> Iterator[dict[str, int]]:
    """Ports that forward to a service, by the rule that ends their connections."""
    ports = {rule: free_port() for rule, _ in rules}
    wanted = [f"{ports[rule]}:{rule}:{seconds:.3f}" for rule, seconds in rules]
    with subprocess.Popen([sys.executable, "-m", "benchmarks.balancer", str(to_port), *wanted]) as process:
        try:
            wait_until(lambda: all(listens(port) for port in ports.values()), seconds=30, what="the balancer listens")
            yield ports
        finally:
            process.terminate()


async def run(seconds: float, residents: int) -> Report:
    """One compressed day. Raises ValueError for fewer residents than FEWEST."""
    if residents < FEWEST:
        raise ValueError(f"residents: at least {FEWEST}, three of each kind; {residents} are too few")
    unit = min(MOST_UNIT_S, max(LEAST_UNIT_S, seconds / 40))
    report = Report()
    with ExitStack() as stack:
        steady, deployed = Service(free_port()), Service(free_port())
        for service in (steady, deployed):
            service.start()
            stack.callback(service.stop)
        rules = (("age", 2.3 * unit), ("idle", unit), ("swallow", 1.5 * unit), ("reset", 3 * unit))
        ports = stack.enter_context(balancers(steady.port, rules))
        by_group = dict(zip(GROUPS, (steady.port, deployed.port, *ports.values()), strict=True))
        await _hold(report, by_group, deployed, seconds, residents, unit)
    _judge(report)
    return report


async def _hold(
    report: Report, ports: dict[str, int], deployed: Service, seconds: float, residents: int, unit: float
) -> None:
    found: dict[int, list[Life]] = defaultdict(list)
    gc.collect()
    before = _descriptors()
    backoff = Backoff(first_s=0.1, most_s=1.0, steady_s=0.1 * unit)
    async with Residents(
        lambda life: found[life.target_id].append(life), policy=Policy(allow_private=True), backoff=backoff
    ) as kept:
        for number in range(residents):
            place = number % len(GROUPS)
            group = GROUPS[place]
            spec = TargetSpec(place, group, f"ws://127.0.0.1:{ports[group]}/ws/chat", min(5.0, max(2.0, unit)))
            hold_s = 4 * unit if group == "steady" else 10 * seconds
            every_s = 4 * unit if group == "idle" else unit / 3
            kept.keep(number, spec, Stay(hold_s, every_s), number // len(GROUPS), unit * number / residents)
        async with _restarting(report, deployed, unit):
            await asyncio.sleep(seconds * WARM)
            gc.collect()
            warm = _resident_mib()
            await asyncio.sleep(seconds * (1 - WARM))
    gc.collect()
    report.growth_mib = _resident_mib() - warm
    report.descriptors = before, _descriptors()
    report.lives = {group: found[place] for place, group in enumerate(GROUPS)}


@asynccontextmanager
async def _restarting(report: Report, service: Service, unit: float) -> AsyncIterator[None]:
    """Restart the service again and again: in good order, then by killing it, in turns."""

    async def restart() -> None:
        for turn, number in enumerate(itertools.cycle((signal.SIGTERM, signal.SIGKILL)), 1):
            await asyncio.sleep(_unusual((3 + 4 * (turn * _GOLDEN % 1)) * unit))
            await asyncio.to_thread(service.stop, number)
            await asyncio.to_thread(service.start)
            report.restarts += 1

    task = asyncio.create_task(restart())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _unusual(seconds: float) -> float:
    """A pause that is no usual time-out: a service that crashes at one would rightly look like it."""
    while any(abs(seconds - known) < 0.05 * known for known in KNOWN_S):
        seconds *= 1.07
    return seconds


def _judge(report: Report) -> None:
    for group, lives in report.lives.items():
        causes = [each.cut for each in told(lives) if each.life.ending is not Ending.STOPPED]
        report.cuts[group] = Counter(causes)
        if wrong := {cut: n for cut, n in report.cuts[group].items() if cut not in EXPECTED[group]}:
            said = ", ".join(f"{n} {cut.words}" for cut, n in wrong.items())
            report.problems.append(f"{group}: {said}; expected {', '.join(cut.words for cut in EXPECTED[group])}")
        if not causes:
            report.problems.append(f"{group}: no life ended")
    steady = report.lives["steady"]
    if lost := sum(life.events_lost + life.lost_in_cut for life in steady if life.ending is not Ending.STOPPED):
        report.problems.append(f"steady: {lost} events lost")
    if report.descriptors[1] > report.descriptors[0]:
        report.problems.append(f"{report.descriptors[1] - report.descriptors[0]} descriptors leaked")
    if report.growth_mib > GROWTH_MIB:
        report.problems.append(f"memory grew by {report.growth_mib:.1f} MiB, more than {GROWTH_MIB:g}")


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--residents", type=int, default=100)
    arguments = parser.parse_args()
    began = time.monotonic()
    report = asyncio.run(run(arguments.seconds, arguments.residents))
    print(f"{arguments.residents} residents for {time.monotonic() - began:.0f} s")
    print("\n".join(report.lines()))
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
