"""Workers that cannot keep up, from their heartbeats in Redis. Slots they leave out are misses, never probed late."""

import json
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from redis.exceptions import RedisError

from probes.results_stream import WORKERS

HEARD_WITHIN = timedelta(seconds=10)
"""An older heartbeat is of a worker that is gone."""


def exceeded_workers(now: datetime) -> list[dict[str, Any]]:
    """Those that left slots out within the last minute: name, state, since, why. Empty where Redis does not answer."""
    try:
        told: Any = _client(settings.REDIS_URL).hgetall(WORKERS)
        states = [(name, json.loads(text)) for name, text in sorted(told.items())]
    except (RedisError, OSError, ValueError):
        return []
    return [
        {
            "name": f"worker {name}",
            "state": "over capacity",
            "since": state["exceeded_since"],
            "why": f"{state['exceeded']} slots were not probed and count as missed; start another worker",
        }
        for name, state in states
        if state.get("exceeded") and datetime.fromisoformat(state["at"]) > now - HEARD_WITHIN
    ]


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, decode_responses=True, socket_timeout=0.5, socket_connect_timeout=0.5)
