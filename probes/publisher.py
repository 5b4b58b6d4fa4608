"""Outcomes from a worker's loop to the results stream: in batches, kept while Redis is away, the oldest lost first."""

import asyncio
import logging
from collections import deque

from redis.asyncio import Redis
from redis.exceptions import RedisError

from probes.results_stream import STREAM

logger = logging.getLogger(__name__)
COLLECT_SECONDS = 0.05
"""How long outcomes gather into one round trip."""
_MOST_AT_ONCE = 500
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0


class Publisher:
    """Holds at most `buffer` entries; `dropped` counts those that had to go because Redis was away for too long."""

    def __init__(self, client: Redis, *, buffer: int, stream_length: int) -> None:
        self.dropped = 0
        self._client = client
        self._most = buffer
        self._stream_length = stream_length
        self._waiting: deque[str] = deque()
        self._sending = 0
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Entries that Redis has not confirmed yet."""
        return len(self._waiting) + self._sending

    def add(self, entry: str) -> None:
        """Take one encoded entry (`results_stream.encode`)."""
        self._waiting.append(entry)
        self._trim()
        self._arrived.set()

    async def run(self) -> None:
        """Publish for ever; while Redis is away, try again with growing pauses."""
        pause = _FIRST_WAIT
        while True:
            await self._arrived.wait()
            await asyncio.sleep(COLLECT_SECONDS)
            try:
                await self._send_some()
                pause = _FIRST_WAIT
            except (RedisError, OSError) as error:
                logger.warning("results cannot be published, %d wait: %s", self.waiting, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_WAIT)

    async def flush(self) -> None:
        """Publish all that waits. Raises RedisError where Redis does not answer."""
        while self._waiting:
            await self._send_some()

    async def _send_some(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(_MOST_AT_ONCE, len(self._waiting)))]
        self._sending = len(batch)
        try:
            pipeline = self._client.pipeline(transaction=False)
            for entry in batch:
                pipeline.xadd(STREAM, {"o": entry}, maxlen=self._stream_length, approximate=True)
            await pipeline.execute()
        except BaseException:
            # Some may have arrived all the same: a second delivery changes nothing.
            self._waiting.extendleft(reversed(batch))
            self._trim()
            raise
        finally:
            self._sending = 0
            if not self._waiting:
                self._arrived.clear()

    def _trim(self) -> None:
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self.dropped += 1
