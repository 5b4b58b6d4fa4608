"""What workers, the recorder and the queues tell through Redis. Whoever asks gets no answer late: a second at most."""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from probes.fleet.condition import Worker
from probes.results_stream import RECORDER, STREAM, WORKERS

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 0.5
ASK_AGAIN_SECONDS = 5.0
"""After no answer: so long nobody waits for another."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One look into Redis."""

    workers: tuple[Worker, ...] = ()
    queued: Mapping[str, int] = field(default_factory=dict)
    """{queue: messages that nobody has taken}."""
    recorder: datetime | None = None
    """The recorder's last heartbeat."""
    unrecorded: int = 0
    """Outcomes in the stream: not read, or not stored yet."""


class Ear:
    """Asks one Redis. Not for several threads."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._deaf_until = 0.0

    def hear(self, queues: Iterable[str]) -> Heard | None:
        """One round trip; None where Redis does not answer."""
        if time.monotonic() < self._deaf_until:
            return None
        names = list(queues)
        try:
            pipeline = self._client.pipeline(transaction=False)
            pipeline.hgetall(WORKERS)
            pipeline.get(RECORDER)
            pipeline.xlen(STREAM)
            for name in names:
                pipeline.llen(name)
            states, recorder, unrecorded, *lengths = pipeline.execute()
        except (RedisError, OSError) as error:
            logger.debug("Redis does not tell how the workers are: %s", error)
            self._deaf_until = time.monotonic() + ASK_AGAIN_SECONDS
            return None
        return Heard(_workers(states), dict(zip(names, lengths, strict=True)), _instant(recorder), unrecorded)


def _workers(states: Mapping[str, str]) -> tuple[Worker, ...]:
    return tuple(worker for name, text in sorted(states.items()) if (worker := read_worker(name, text)) is not None)


def read_worker(name: str, text: str) -> Worker | None:
    """A heartbeat; None for one that cannot be read, such as another version's."""
    try:
        told: Any = json.loads(text)
        return Worker(
            name=name,
            location=str(told["location"]),
            heard=datetime.fromisoformat(told["at"]),
            clock_offset_us=int(told["clock_offset_us"]),
            in_flight=int(told["in_flight"]),
            lag_us=int(told["lag_us"]),
            waiting=int(told["waiting"]),
            dropped=int(told["dropped"]),
            exceeded=int(told["exceeded"]),
            over_capacity=int(told["over_capacity"]),
            exceeded_since=datetime.fromisoformat(told["exceeded_since"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(json.loads(text)["at"]) if text else None
    except (ValueError, KeyError, TypeError):
        return None
