"""The faults of a running service: the clock beside the state, and waiting that a fault's end cuts short."""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from connections.reference.running import Faults, Running

logger = logging.getLogger("readywire.reference")


class Practice:
    """What the chat, the wire and the control call share. For one event loop."""

    def __init__(self) -> None:
        self.faults = Faults()
        self._changed = asyncio.Event()

    def now(self) -> float:
        """Seconds of the clock that the faults live by."""
        return time.monotonic()

    def draw(self) -> float:
        """A new connection's lot: a number in [0, 1) that decides, for as long as it lives, which faults it meets."""
        return random.random()  # noqa: S311 - a share of connections, not a secret

    def met(self, name: str, lot: float) -> Running | None:
        """The fault `name` where it is on, and a connection with this lot meets it."""
        if not self.faults.any:
            return None
        running = self.faults.running(name, self.now())
        return running if running is not None and running.meets(lot) else None

    async def hold_up(self, running: Running, seconds: float) -> None:
        """Wait `seconds`, at most until `running` ends or expires."""
        until = min(self.now() + seconds, running.until)
        while (left := until - self.now()) > 0 and self.faults.running(running.name, self.now()) is running:
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()

    def start(self, name: object, parameters: Mapping[str, Any], *, lasts_s: Any, by: str) -> Running:
        """As `Faults.start`, now."""
        running = self.faults.start(name, parameters, lasts_s=lasts_s, now=self.now(), by=by)
        logger.warning("practice: %s on for %.0f s, by %s", running.name, running.until - running.since, by or "nobody")
        return running

    def end(self, name: str) -> Running:
        """As `Faults.end`, now; whoever waits for it goes on."""
        ended = self.faults.end(name, self.now())
        self._tell((ended,))
        return ended

    def end_all(self) -> tuple[Running, ...]:
        """As `Faults.end_all`, now."""
        ended = self.faults.end_all(self.now())
        self._tell(ended)
        return ended

    def _tell(self, ended: tuple[Running, ...]) -> None:
        for running in ended:
            logger.warning("practice: %s ended", running.name)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
