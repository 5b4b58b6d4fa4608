"""Evaluations that OFREP clients ask for, counted in the web process and written every few seconds.

An answer never waits for this. A process that dies takes at most FLUSH_SECONDS of counts with it.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from django.utils import timezone

from connections.flags import using
from connections.flags.keys import Holder
from connections.flags.using import Place, Tally
from connections.models import FlagUse

logger = logging.getLogger(__name__)
FLUSH_SECONDS = 5.0
MOST_PLACES = 20_000
"""More is not kept while the database does not take it."""
Write = Callable[[Tally], Coroutine[Any, Any, None]]


class UseCounter:
    """Lives on one event loop."""

    def __init__(self) -> None:
        self._tally = Tally()

    def evaluated(self, holder: Holder, flag: str, variant: str | None) -> None:
        """A client was answered one flag."""
        self._add(holder, flag, variant or "")

    def answered_all(self, holder: Holder) -> None:
        """A client was answered every flag."""
        self._add(holder, using.EVERY_FLAG, "")

    async def write_for_ever(self, write: Write, *, every: float | None = None) -> None:
        """Write what was counted every FLUSH_SECONDS; what the database does not take is kept for the next time."""
        failing = False
        while True:
            await asyncio.sleep(FLUSH_SECONDS if every is None else every)
            taken = self._tally.taken()
            if not taken:
                continue
            try:
                await write(taken)
                failing = False
            except Exception as error:  # noqa: BLE001 (the next ones can be written again)
                if not failing:
                    logger.error("Evaluations cannot be counted now; they are kept for the next time: %s", error)
                failing = True
                for place, counted in taken.items():
                    if len(self._tally) < MOST_PLACES:
                        self._tally.add(place, counted.at, counted.count)

    def _add(self, holder: Holder, flag: str, variant: str) -> None:
        if len(self._tally) < MOST_PLACES:
            place = Place(holder.environment, FlagUse.Source.OFREP.value, holder.name, flag, variant)
            self._tally.add(place, timezone.now())
