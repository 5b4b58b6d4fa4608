"""Ties the probe loop to a Celery worker process: one loop per process, begun and ended with it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from celery import signals
from django.conf import settings

from probes.bounds import limits, scheduled_policy
from probes.engine.client import Prober
from probes.engine.outcome import Outcome
from probes.engine.residents import Report, Residents
from probes.engine.script import TargetSpec
from probes.resident_loop import ResidentLoop, Room
from probes.worker_loop import Capacity, ProbeLoop, Runner

DRAIN_SECONDS = 5.0
"""How long a worker that is told to stop waits for the probes in flight."""
_QUEUE_PREFIX = "probes-"

_location: str | None = None
_process: int | None = None
"""The process that runs probes: the worker itself with the solo pool, its children with prefork."""
_loop: tuple[int, ProbeLoop] | None = None
_residents: tuple[int, ResidentLoop] | None = None


def loop_for(location: str) -> ProbeLoop:
    """This process's loop, started at the first call. After a fork the child starts its own."""
    global _loop
    if _loop is None or _loop[0] != os.getpid():
        capacity = Capacity(settings.PROBE_MAX_IN_FLIGHT, settings.OUTCOME_BUFFER, settings.RESULTS_STREAM_LENGTH)
        _loop = (os.getpid(), ProbeLoop(location, settings.REDIS_URL, capacity, _prober))
        _loop[1].start()
    return _loop[1]


def _keep_residents(location: str) -> None:
    global _residents
    if _residents is None or _residents[0] != os.getpid():
        room = Room(settings.RESIDENTS_PER_WORKER, settings.OUTCOME_BUFFER, settings.RESULTS_STREAM_LENGTH)
        _residents = (os.getpid(), ResidentLoop(location, settings.REDIS_URL, room, _open_residents))
        _residents[1].start()


def _open_residents(report: Report) -> Residents:
    return Residents(report, policy=scheduled_policy(), limits=limits())


@asynccontextmanager
async def _prober() -> AsyncIterator[Runner]:
    async with Prober(policy=scheduled_policy(), limits=limits()) as prober:

        async def run(spec: TargetSpec, intended: float, success_frames: bool) -> Outcome:
            return await prober.probe(spec, intended=intended, success_frames=success_frames)

        yield run


@signals.celeryd_after_setup.connect
def _remember_location(instance: Any, **_: Any) -> None:
    global _location
    for queue in instance.app.amqp.queues.consume_from:
        if queue.startswith(_QUEUE_PREFIX):
            _location = queue.removeprefix(_QUEUE_PREFIX)
    _begin_early()


@signals.worker_process_init.connect
def _begin(**_: Any) -> None:
    # Sent by the solo pool in the worker itself, before it knows its queues, and by prefork in each child.
    global _process
    _process = os.getpid()
    _begin_early()


def _begin_early() -> None:
    """Start the loop before the first batch: a worker is seen at once, and what its prober needs is there."""
    if _location is not None and _process == os.getpid():
        loop_for(_location)
        _keep_residents(_location)


@signals.worker_process_shutdown.connect
@signals.worker_shutdown.connect
def _end(**_: Any) -> None:
    residents = _residents[1] if _residents is not None and _residents[0] == os.getpid() else None
    if residents is not None:
        residents.stop(0)  # told now, waited for below: they leave while the last probes end
    if _loop is not None and _loop[0] == os.getpid():
        _loop[1].stop(DRAIN_SECONDS)
    if residents is not None:
        residents.stop(DRAIN_SECONDS)
