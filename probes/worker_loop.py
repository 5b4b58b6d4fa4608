"""The long-lived loop of a probe worker: starts each probe at its slot, bounds what is in flight, publishes outcomes.

It lives in a thread of the worker process and touches no database. A task only hands its batch over.
"""

import asyncio
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from probes.credentials import CredentialsError
from probes.engine.outcome import FailureKind, Outcome
from probes.engine.script import TargetSpec
from probes.publisher import Publisher
from probes.race_check_loop import RaceChecks
from probes.race_checks import Assignment
from probes.results_stream import WORKERS, Entry, encode, wants_success
from probes.schedule import EPOCH
from probes.specification import read_message

logger = logging.getLogger(__name__)
LATEST_START_SECONDS = 1.0
"""A probe that cannot start this soon after its slot is not started: the slot is missed, never run late."""
HEARTBEAT_SECONDS = 1.0
FLUSH_SECONDS = 2.0
"""At the end: how long the last outcomes may take to be published."""
EXCEEDED_SECONDS = 60.0
"""How long a worker that left a slot out says so."""
_REMEMBER_SECONDS = 60.0

Runner = Callable[[TargetSpec, float, bool], Awaitable[Outcome]]
"""Runs one probe: (specification, intended start in seconds of `time.monotonic()`, whether a success keeps frames)."""

Prober = Callable[[], AbstractAsyncContextManager[Runner]]
"""Opens, inside the loop, what runs its probes."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a worker keeps to: the settings PROBE_MAX_IN_FLIGHT, OUTCOME_BUFFER and RESULTS_STREAM_LENGTH."""

    in_flight: int
    buffer: int
    stream_length: int


@dataclass(slots=True)
class Counts:
    """What the heartbeat tells, since the worker started; `lag_us` is the worst since the last heartbeat."""

    over_capacity: int = 0
    """Slots not probed because PROBE_MAX_IN_FLIGHT were in flight."""
    late: int = 0
    """Slots not probed because they came, or the loop got to them, too late."""
    lag_us: int = 0
    """How late the loop's own timers fired."""
    exceeded: int = 0
    """Slots not probed, for either reason, since `exceeded_since`; forgotten after EXCEEDED_SECONDS without another."""
    exceeded_since: float = 0.0
    exceeded_last: float = 0.0
    """Wall clock, seconds since the epoch."""

    def exceed(self, now: float) -> None:
        """Count a slot that was not probed."""
        if now - self.exceeded_last > EXCEEDED_SECONDS:
            self.exceeded, self.exceeded_since = 0, now
        self.exceeded += 1
        self.exceeded_last = now

    def to_json(self, now: float) -> dict[str, Any]:
        """What the heartbeat tells."""
        recent = now - self.exceeded_last <= EXCEEDED_SECONDS
        return {
            "over_capacity": self.over_capacity,
            "late": self.late,
            "lag_us": self.lag_us,
            "exceeded": self.exceeded if recent else 0,
            "exceeded_since": datetime.fromtimestamp(self.exceeded_since, UTC).isoformat(),
        }


class ProbeLoop:
    """One per worker process. `submit` is for other threads; all else happens in the loop's own thread."""

    def __init__(self, location: str, redis_url: str, capacity: Capacity, prober: Prober) -> None:
        self.location = location
        self.name = f"{location}@{socket.gethostname()}:{os.getpid()}"
        self.counts = Counts()
        self._capacity = capacity
        self._prober = prober
        self._specs: dict[int, tuple[Mapping[str, Any], TargetSpec | str]] = {}
        self._seen: dict[tuple[int, int], float] = {}
        self._timers: dict[tuple[int, int], asyncio.TimerHandle] = {}
        self._probes: set[asyncio.Task[None]] = set()
        self._client = Redis.from_url(redis_url, decode_responses=True, socket_timeout=5, socket_connect_timeout=2)
        self._publisher = Publisher(self._client, buffer=capacity.buffer, stream_length=capacity.stream_length)
        self._loop = asyncio.new_event_loop()
        self._runner: asyncio.Future[Runner] = self._loop.create_future()
        self._race_checks = RaceChecks(
            self.name, self._runner, self._client, self._publisher.add, capacity.in_flight, lambda: len(self._probes)
        )
        self._stopping = asyncio.Event()
        self._drain_seconds = 0.0
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._main(),), name="probes")
        self._thread.daemon = True

    @property
    def dropped(self) -> int:
        """Outcomes that had to go because Redis was away for too long."""
        return self._publisher.dropped

    def start(self) -> None:
        """Start the loop's thread."""
        self._thread.start()

    def submit(self, batch: Mapping[str, Any]) -> None:
        """Take a batch (`dispatch.Batch.to_message`) and return at once."""
        self._loop.call_soon_threadsafe(self._take, batch)

    def check(self, assignment: Assignment) -> None:
        """Take a race check and return at once."""
        self._loop.call_soon_threadsafe(self._race_checks.take, assignment)

    def stop(self, seconds: float) -> None:
        """Start no more probes, wait for those in flight at most so long, publish what was found, end the thread."""
        if self._thread.is_alive():
            self._drain_seconds = seconds
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(seconds + 2 * FLUSH_SECONDS)

    async def _main(self) -> None:
        self._publisher.start()
        beat = asyncio.create_task(self._beat())
        async with self._prober() as run:
            self._runner.set_result(run)
            await self._stopping.wait()
            await self._drain()
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)
        await asyncio.to_thread(self._finish)

    def _take(self, batch: Mapping[str, Any]) -> None:
        if self._stopping.is_set():
            return
        now, loop_now = time.time(), self._loop.time()
        for slot_us, target_id in batch["slots"]:
            key = (target_id, slot_us)
            if key in self._seen:
                continue
            self._seen[key] = now
            at = loop_now + slot_us / 1e6 - now
            self._timers[key] = self._loop.call_at(at, self._start, key, at, batch["targets"][str(target_id)])

    def _start(self, key: tuple[int, int], due: float, message: Mapping[str, Any]) -> None:
        del self._timers[key]
        late = time.time() - key[1] / 1e6
        self.counts.lag_us = max(self.counts.lag_us, int((self._loop.time() - due) * 1e6))
        if late > LATEST_START_SECONDS:
            self.counts.late += 1
            self.counts.exceed(time.time())
        elif len(self._probes) >= self._capacity.in_flight:
            self.counts.over_capacity += 1
            self.counts.exceed(time.time())
        else:
            self._race_checks.make_room()
            probe = self._loop.create_task(self._probe(key, due, message))
            self._probes.add(probe)
            probe.add_done_callback(self._probes.discard)

    async def _probe(self, key: tuple[int, int], intended: float, message: Mapping[str, Any]) -> None:
        target_id, slot_us = key
        slot = EPOCH + timedelta(microseconds=slot_us)
        spec = self._spec(target_id, message)
        if isinstance(spec, str):
            outcome = Outcome(kind=FailureKind.PROBE_ERROR, detail=spec)
        else:
            frames = wants_success((target_id, self.location, slot))
            outcome = await self._outcome(spec, intended, frames)
        self._publisher.add(encode(Entry(target_id, self.location, slot, outcome)))

    async def _outcome(self, spec: TargetSpec, intended: float, success_frames: bool) -> Outcome:
        run = await self._runner
        try:
            return await run(spec, intended, success_frames)
        except Exception as error:
            logger.exception("the probe of %s broke", spec.slug)
            return Outcome(kind=FailureKind.PROBE_ERROR, detail=f"Our probe broke: {type(error).__name__}: {error}")

    def _spec(self, target_id: int, message: Mapping[str, Any]) -> TargetSpec | str:
        """The target's specification, read once as long as it does not change; a sentence where it cannot be used."""
        known = self._specs.get(target_id)
        if known is not None and known[0] == message:
            return known[1]
        spec: TargetSpec | str
        try:
            spec = read_message(message)
        except (CredentialsError, ValueError, KeyError, TypeError) as error:
            spec = f"This worker cannot use the target's specification: {error}"
        self._specs[target_id] = (message, spec)
        return spec

    async def _beat(self) -> None:
        while True:
            due = self._loop.time() + HEARTBEAT_SECONDS
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self.counts.lag_us = max(self.counts.lag_us, int((self._loop.time() - due) * 1e6))
            forget = time.time() - _REMEMBER_SECONDS
            self._seen = {key: taken for key, taken in self._seen.items() if taken > forget}
            try:
                # Not in the loop: how a busy one fares is told in time all the same.
                await asyncio.to_thread(self._tell)
            except (RedisError, OSError) as error:
                logger.warning("no heartbeat: %s", error)
            else:
                self.counts.lag_us = 0

    def _tell(self) -> None:
        self._client.hset(WORKERS, self.name, json.dumps(self._state()))

    def _state(self) -> dict[str, Any]:
        before = time.time()
        told: Any = self._client.time()
        seconds, microseconds = told
        middle = (before + time.time()) / 2
        return {
            "location": self.location,
            "at": datetime.now(UTC).isoformat(),
            "clock_offset_us": int((middle - seconds) * 1e6) - microseconds,
            "in_flight": len(self._probes) + self._race_checks.in_flight,
            **self.counts.to_json(time.time()),
            "waiting": self._publisher.waiting,
            "dropped": self._publisher.dropped,
        }

    async def _drain(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        await self._race_checks.stop()
        if self._probes:
            await asyncio.wait(self._probes, timeout=self._drain_seconds)
        for probe in list(self._probes):
            probe.cancel()

    def _finish(self) -> None:
        self._publisher.stop(FLUSH_SECONDS)
        try:
            self._client.hdel(WORKERS, self.name)
            self._client.close()
        except (RedisError, OSError) as error:
            logger.warning("the heartbeat could not be taken back: %s", error)
