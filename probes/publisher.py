"""Outcomes from a worker's loop to the results stream: in batches, kept while Redis is away, the oldest lost first.

It has a thread of its own: a loop that is busy with probes must not hold up what they found.
"""

import logging
import threading
from collections import deque

from redis import Redis
from redis.exceptions import RedisError

from probes.results_stream import STREAM

logger = logging.getLogger(__name__)
COLLECT_SECONDS = 0.05
"""How long outcomes gather into one round trip."""
_MOST_AT_ONCE = 500
_ADD = """
for i = 2, #ARGV do
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'o', ARGV[i])
end
"""
"""One command and one answer for a batch: an XADD each would cost the worker as much as a tenth of its probes."""
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0


class Publisher:
    """Holds at most `buffer` entries; `dropped` counts those that had to go because Redis was away for too long."""

    def __init__(self, client: Redis, *, buffer: int, stream_length: int) -> None:
        self.dropped = 0
        self._add = client.register_script(_ADD)
        self._most = buffer
        self._stream_length = stream_length
        self._waiting: deque[str] = deque()
        self._sending = 0
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    @property
    def waiting(self) -> int:
        """Entries that Redis has not confirmed yet."""
        return len(self._waiting) + self._sending

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def add(self, entry: str) -> None:
        """Take one encoded entry (`results_stream.encode`), from any thread."""
        with self._lock:
            self._waiting.append(entry)
            self._trim()
        if not self._arrived.is_set():
            self._arrived.set()

    def stop(self, seconds: float) -> None:
        """Publish what waits, once and at most so long, and end the thread."""
        self._stopping.set()
        self._arrived.set()
        self._thread.join(seconds)
        if self.waiting:
            logger.warning("%d outcomes could not be published at the end", self.waiting)

    def _run(self) -> None:
        """Publish until told to stop; while Redis is away, try again with growing pauses."""
        pause = _FIRST_WAIT
        while not self._stopping.is_set():
            self._arrived.wait()
            self._stopping.wait(COLLECT_SECONDS)
            try:
                self._send_all()
                pause = _FIRST_WAIT
            except (RedisError, OSError) as error:
                logger.warning("results cannot be published, %d wait: %s", self.waiting, error)
                self._stopping.wait(pause)
                pause = min(pause * 2, _LONGEST_WAIT)
        try:
            self._send_all()
        except (RedisError, OSError) as error:
            logger.warning("the last results cannot be published: %s", error)

    def _send_all(self) -> None:
        # Cleared first: what arrives meanwhile sets it again.
        self._arrived.clear()
        while self._waiting:
            self._send_some()

    def _send_some(self) -> None:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(_MOST_AT_ONCE, len(self._waiting)))]
            self._sending = len(batch)
        try:
            self._add(keys=[STREAM], args=[self._stream_length, *batch])
        except BaseException:
            # It may have arrived all the same: a second delivery changes nothing.
            with self._lock:
                self._waiting.extendleft(reversed(batch))
                self._trim()
            self._arrived.set()
            raise
        finally:
            self._sending = 0

    def _trim(self) -> None:
        while len(self._waiting) > self._most:
            self._waiting.popleft()
            self.dropped += 1
