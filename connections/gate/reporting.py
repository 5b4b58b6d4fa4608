"""Tells the flag server which revision is held and what connections met."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx

from connections.gate.counters import Counters
from connections.gate.source import TROUBLE, refused
from connections.gate.version import VERSION

logger = logging.getLogger("readywire.flags")

REPORT = "/api/v1/servers/report"
_PARTING_S = 1.0


class Reporter:
    """Says what is held and what was counted: a new revision at once, counts in batches.

    `every_s` seconds lie at least between two batches of counts, `alive_every_s` between two reports that only say
    "still here". A report that did not arrive is not repeated: totals make the next one say it all.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        instance: str,
        counters: Counters,
        held: Callable[[], tuple[int | None, float]],
        *,
        every_s: float,
        alive_every_s: float,
    ) -> None:
        self.news = asyncio.Event()
        """Set when another revision is held."""
        self._client = client
        self._instance = instance
        self._counters = counters
        self._held = held
        """The revision, and for how many seconds it has been held."""
        self._every_s = every_s
        self._alive_every_s = alive_every_s
        self._told: tuple[int, int] | None = None
        self._quiet_since = time.monotonic()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self.news.wait()
            self.news.clear()
            try:
                await self._report()
            except TROUBLE as error:
                logger.debug("the report did not arrive: %s", error)
            except Exception:
                logger.exception("the report met something unforeseen")

    async def last(self) -> None:
        """One more report when stopping, if it goes through within a second."""
        with suppress(*TROUBLE):
            async with asyncio.timeout(_PARTING_S):
                await self._report(ending=True)

    async def _report(self, *, ending: bool = False) -> None:
        held, held_seconds = self._held()
        if held is None:
            return  # the flag server has never answered: it knows nothing that a report could confirm
        totals = self._counters.totals()
        now = time.monotonic()
        told = (held, totals.changes)
        if not ending and told == self._told and now - self._quiet_since < self._alive_every_s:
            return
        body: dict[str, Any] = {
            "instance": self._instance,
            "library_version": VERSION,
            "held_revision": held,
            "held_seconds": round(held_seconds, 3),
            "run": self._counters.run,
            "run_seconds": round(self._counters.age_s, 3),
            "evaluations": totals.evaluations,
            "connections": totals.connections,
        }
        if totals.readiness:
            body["readiness"] = totals.readiness
        if ending:
            body["ending"] = True
        response = await self._client.post(REPORT, json=body)
        if not response.is_success:
            raise refused(response, REPORT)
        self._told = told
        self._quiet_since = now
