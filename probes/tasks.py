"""Thin Celery tasks, acknowledged before they run and never redone: a slot that passed is missed, not late."""

import json
import logging
from datetime import timedelta
from functools import cache
from typing import Any

import redis
from celery import shared_task, signals
from django.conf import settings
from django.utils import timezone

from probes import dispatch, retention, wishes, worker
from probes.race_checks import Assignment

logger = logging.getLogger(__name__)
LATEST_START = timedelta(seconds=1)
"""A batch is thrown away when its last slot lies this far back; the loop does the same with single slots."""
TICK_QUEUE = "tick"
QUEUED_AT_MOST = 200
"""Batches that wait for a location's workers; above it nobody reads them, and Redis would only fill up."""


@shared_task(name="probes.tick", ignore_result=True, acks_late=False)
def tick() -> None:
    """Dispatch the slots of the next seconds."""
    dispatch.dispatch(timezone.now(), _send)


@signals.worker_ready.connect
def _tick_at_once(sender: Any, **_: Any) -> None:
    # Beat begins to tick a second after its start: a scheduler that starts does not wait for it.
    if TICK_QUEUE in sender.app.amqp.queues.consume_from:
        tick.apply_async(queue=TICK_QUEUE, expires=1.0)


@shared_task(name="probes.run_batch", ignore_result=True, acks_late=False)
def run_batch(batch: str) -> None:
    """Hand a batch to this process's probe loop, and return at once: a silent target costs a socket, not a worker.

    `batch` is JSON within the message's JSON: Celery's own decoder calls Python for each object in it.
    """
    read: dict[str, Any] = json.loads(batch)
    worker.loop_for(read["location"]).submit(read)


@shared_task(name="probes.run_race_check", ignore_result=True, acks_late=False)
def run_race_check(assignment: str) -> None:
    """Hand a race check to this process's probe loop, and return at once. `assignment`: `Assignment.to_text`."""
    read = Assignment.from_text(assignment)
    worker.loop_for(read.request.location).check(read)


@shared_task(name="probes.offer_residents", ignore_result=True, acks_late=False)
def offer_residents() -> None:
    """Tell the workers of each location which residents are wanted."""
    wishes.offer(_client())


@shared_task(name="probes.tidy", ignore_result=True, acks_late=False)
def tidy() -> None:
    """Delete what is older than RAW_DAYS, MINUTE_DAYS and HOUR_DAYS."""
    retention.tidy(timezone.now())


def _send(batch: dispatch.Batch) -> None:
    queue = f"probes-{batch.location}"
    expires = batch.last + LATEST_START
    if expires <= timezone.now():
        logger.warning("the tick itself was late: %d slots of %s will be missed", len(batch.slots), batch.location)
        return
    if _queued(queue) >= QUEUED_AT_MOST:
        logger.warning("no worker reads the queue %s: %d slots will be missed", queue, len(batch.slots))
        return
    text = json.dumps(batch.to_message(), separators=(",", ":"))
    run_batch.apply_async(kwargs={"batch": text}, queue=queue, expires=expires)


def _queued(queue: str) -> int:
    count: Any = _client().llen(queue)
    return int(count)


@cache
def _client() -> "redis.Redis":
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)
