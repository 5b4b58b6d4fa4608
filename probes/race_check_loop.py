"""Race checks inside a probe worker's loop: beside the scheduled probes, and always after them.

One dispatcher per check starts its probes at a bounded pace while there is room: scheduled and checking probes together
never exceed the worker's capacity. A slot that finds the worker full takes the place of a checking probe, which is then
run again. Touches no database; what is found goes into the results stream as entries of their own kind.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from redis import Redis
from redis.exceptions import RedisError

from probes.credentials import CredentialsError
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.script import Script, TargetSpec
from probes.race_checks import Assignment, Ending, Entry
from probes.race_report import Tally
from probes.specification import read_message

logger = logging.getLogger(__name__)
TELL_SECONDS = 0.5
"""How often a running check says how far it is."""
WAIT_SECONDS = 0.05
"""How often a check that found no room looks again."""
GRACE_SECONDS = 10.0
"""Beyond twice the longest time that a check should take, it waits so long for room, and ends."""
CATCH_UP_SECONDS = 0.25
"""A check that had to wait makes up for so much of its pace, not for all of it at once."""
CANCELLED_KEY = "readywire:race-check:{}:cancelled"
CANCELLED_KEPT_SECONDS = 3600

_WHY = {
    Ending.STOPPED: "Its worker was stopped before it was done.",
    Ending.CROWDED: "Its worker was full of scheduled probes and had no room for it. Start another worker.",
}

Runner = Callable[[TargetSpec, float, bool], Awaitable[Outcome]]
"""As `worker_loop.Runner`."""


class RaceChecks:
    """The checks of one worker. `take` and `make_room` are called in the loop that runs the probes."""

    def __init__(
        self, worker: str, runner: Awaitable[Runner], client: Redis, publish: Callable[[str], None],
        capacity: int, scheduled: Callable[[], int],
    ) -> None:  # fmt: skip
        """`scheduled`: how many scheduled probes are in flight now; `publish`: takes a text for the results stream."""
        self._worker = worker
        self._runner = runner
        self._client = client
        self._publish = publish
        self._capacity = capacity
        self._scheduled = scheduled
        self._probes: list[asyncio.Task[Outcome]] = []
        self._checks: dict[int, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """Checking probes that run now."""
        return len(self._probes)

    def take(self, assignment: Assignment) -> None:
        """Begin a check, once."""
        if assignment.check_id in self._checks or self._stopping.is_set():
            return
        task = asyncio.get_running_loop().create_task(_Check(self, assignment).run())
        self._checks[assignment.check_id] = task
        task.add_done_callback(lambda _: self._checks.pop(assignment.check_id, None))

    def make_room(self) -> None:
        """A scheduled probe is about to start: where the worker is full, the youngest checking probe goes first."""
        if self._probes and self._scheduled() + len(self._probes) >= self._capacity:
            self._probes.pop().cancel()

    async def stop(self) -> None:
        """End every check now and say so."""
        self._stopping.set()
        if self._checks:
            await asyncio.wait(list(self._checks.values()))

    def has_room(self) -> bool:
        """Whether one more checking probe may start."""
        return self._scheduled() + len(self._probes) < self._capacity

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def start(self, spec: TargetSpec) -> "asyncio.Task[Outcome]":
        """Start one checking probe."""
        probe = asyncio.get_running_loop().create_task(self._probe(spec))
        self._probes.append(probe)
        probe.add_done_callback(self._forget)
        return probe

    def _forget(self, probe: "asyncio.Task[Outcome]") -> None:
        if probe in self._probes:
            self._probes.remove(probe)

    async def _probe(self, spec: TargetSpec) -> Outcome:
        run = await self._runner
        try:
            return await run(spec, time.monotonic(), False)
        except Exception as error:
            logger.exception("a probe of a race check of %s broke", spec.slug)
            return Outcome(kind=FailureKind.PROBE_ERROR, detail=f"Our probe broke: {type(error).__name__}: {error}")

    def tell(self, entry: Entry) -> None:
        """Publish where a check is."""
        self._publish(replace(entry, worker=self._worker).to_text())

    async def cancelled(self, check_id: int) -> bool:
        """Whether a person cancelled it. Redis being away is no cancellation: the check is bounded anyway."""
        try:
            return bool(await asyncio.to_thread(self._client.exists, CANCELLED_KEY.format(check_id)))
        except (RedisError, OSError) as error:
            logger.warning("cannot see whether race check %d was cancelled: %s", check_id, error)
            return False


class _Check:
    """One check from its assignment to its report."""

    def __init__(self, checks: RaceChecks, assignment: Assignment) -> None:
        self._checks = checks
        self._id = assignment.check_id
        self._request = assignment.request
        self._gap = 1 / assignment.per_second
        self._target = assignment.target
        self._tally = Tally()
        self._running: set[asyncio.Task[Outcome]] = set()
        self._ending: Ending | None = None
        self._again = asyncio.Event()
        self._latest = 0.0

    async def run(self) -> None:
        """Probe, tell, and report; never raises for what a target or Redis does."""
        began = time.monotonic()
        try:
            spec = _specification(self._target, early_send=self._request.early_send)
        except (CredentialsError, ValueError, KeyError, TypeError) as error:
            why = f"The worker cannot use the target's specification: {error}"
            self._checks.tell(Entry(self._id, "", ending=Ending.REFUSED, why=why))
            return
        self._checks.tell(Entry(self._id, ""))
        teller = asyncio.create_task(self._tell())
        self._latest = began + 2 * self._request.most_seconds(spec.deadline_s, 1 / self._gap) + GRACE_SECONDS
        await self._dispatch(spec)
        teller.cancel()
        await asyncio.gather(teller, return_exceptions=True)
        report = self._tally.report(time.monotonic() - began)
        self._checks.tell(replace(self._entry(), ending=self._ending or Ending.DONE, why=self._why(), report=report))

    def _why(self) -> str:
        return _WHY.get(self._ending or Ending.DONE, "")

    def _entry(self) -> Entry:
        return Entry(self._id, "", done=self._tally.done, failed=self._tally.summary.failed)

    async def _dispatch(self, spec: TargetSpec) -> None:
        """Start probes until all are done; each that had to make room is started again."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while self._tally.done + len(self._running) < self._request.count or self._running:
            if self._over():
                await self._abandon()
                return
            if self._may_begin() and loop.time() >= due:
                due = max(due + self._gap, loop.time() - CATCH_UP_SECONDS)
                self._begin(spec)
                await asyncio.sleep(0)
            else:
                await self._some_end(due - loop.time() if self._may_begin() else WAIT_SECONDS)

    def _over(self) -> bool:
        if self._checks.stopping:
            self._ending = Ending.STOPPED
        elif self._ending is None and time.monotonic() > self._latest:
            self._ending = Ending.CROWDED
        return self._ending is not None

    def _begin(self, spec: TargetSpec) -> None:
        probe = self._checks.start(spec)
        self._running.add(probe)
        probe.add_done_callback(self._ended)

    def _ended(self, probe: "asyncio.Task[Outcome]") -> None:
        self._running.discard(probe)
        if not probe.cancelled():
            self._tally.add(probe.result())
        self._again.set()

    def _may_begin(self) -> bool:
        wanted = self._tally.done + len(self._running) < self._request.count
        return wanted and len(self._running) < self._request.at_once and self._checks.has_room()

    async def _some_end(self, seconds: float) -> None:
        # Room may also come from a scheduled probe that ends, which nobody tells us: look again soon.
        self._again.clear()
        try:
            await asyncio.wait_for(self._again.wait(), min(seconds, WAIT_SECONDS))
        except TimeoutError:
            return

    async def _abandon(self) -> None:
        for probe in list(self._running):
            probe.cancel()
        if self._running:
            await asyncio.wait(list(self._running))

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            self._checks.tell(self._entry())
            if await self._checks.cancelled(self._id):
                self._ending = Ending.CANCELLED


def _specification(message: object, *, early_send: bool) -> TargetSpec:
    if not isinstance(message, dict):
        raise TypeError("target: must be a mapping")
    spec = read_message(message)
    return replace(spec, script=Script.from_json({**spec.script.to_json(), "early_send": early_send}))
