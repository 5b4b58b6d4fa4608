"""Wake-ups over Redis pub/sub, heard by each web process. Losing them costs two seconds and nothing else."""

import asyncio
import logging
from typing import Any

import redis
import redis.asyncio
from django.utils import timezone

from dashboard.live.hub import Hub
from dashboard.revisions import CHANNEL as REVISIONS_CHANNEL
from dashboard.wakeups import RESULTS_CHANNEL

logger = logging.getLogger(__name__)
RETRY_SECONDS = 2.0
QUIET_SECONDS = 1.0


async def follow(hub: Hub, url: str) -> None:
    """Wake `hub` at each message, for ever; say in its health topic since when Redis does not answer."""
    while True:
        client = redis.asyncio.Redis.from_url(url, socket_connect_timeout=2, health_check_interval=5)
        try:
            async with client, client.pubsub(ignore_subscribe_messages=True) as messages:
                await messages.subscribe(RESULTS_CHANNEL, REVISIONS_CHANNEL)
                await client.ping()
                hub.tell_health(redis_away_since=None)
                await _listen(hub, client, messages)
        except (redis.RedisError, OSError) as error:
            if hub.redis_away_since is None:
                logger.warning("Redis does not answer (%s); live updates go on by polling", error)
                hub.tell_health(redis_away_since=timezone.now().isoformat())
        await asyncio.sleep(RETRY_SECONDS)


async def _listen(hub: Hub, client: "redis.asyncio.Redis", messages: Any) -> None:
    while True:
        if await messages.get_message(timeout=QUIET_SECONDS) is not None:
            hub.wake()
        else:
            # A silent channel and a dead server look alike: ask.
            await asyncio.wait_for(client.ping(), 2)
