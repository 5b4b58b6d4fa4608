"""Tells web processes of new revisions and results. Redis being down costs a moment, and never fails the change."""

import json
import logging
from functools import cache
from typing import Any

import redis
from django.conf import settings
from django.dispatch import receiver
from redis.backoff import NoBackoff
from redis.retry import Retry

from connections.signals import revision_served
from dashboard import revisions
from probes.signals import recorded

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 0.5
RESULTS_CHANNEL = "readywire:live"


@receiver(revision_served)
def publish_revision(*, environment: str, revision: int, **_: Any) -> None:
    """Wake this process directly and all others through Redis."""
    revisions.wake_all()
    message = json.dumps({"environment": environment, "revision": revision})
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL,
            socket_connect_timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.publish(revisions.CHANNEL, message)
    except (redis.RedisError, OSError) as error:
        logger.info("Redis was not told of revision %d; web processes find it by themselves: %s", revision, error)


@receiver(recorded)
def publish_results(*, target_ids: frozenset[int], **_: Any) -> None:
    """Wake the live hubs of all web processes. They look at the database every two seconds anyway."""
    try:
        _results_client().publish(RESULTS_CHANNEL, json.dumps({"targets": sorted(target_ids)}))
    except (redis.RedisError, OSError) as error:
        logger.debug("Redis was not told of results; web processes find them by themselves: %s", error)


@cache
def _results_client() -> "redis.Redis":
    """One for the process: the recorder commits several times a second."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=PATIENCE_SECONDS,
        socket_timeout=PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
