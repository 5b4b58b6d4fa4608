"""What watched servers report, written many at a time.

A fleet confirms a change within the same tenth of a second; a transaction for each report would keep the web process
busy for seconds while it has flags to serve. Totals make a process's newest report say all that those before it said.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from connections.flags.reports import Told

GATHER_SECONDS = 0.05
Write = Callable[[Sequence[Told]], Coroutine[Any, Any, None]]


class _Batch:
    def __init__(self) -> None:
        self.told: dict[tuple[str, str, str], Told] = {}
        self.stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def add(self, told: Told) -> None:
        run = told.report.run
        # A process without a name may have begun again: its older totals say what the newer ones do not.
        place = (told.holder.environment, told.report.instance, run or f"\0{len(self.told)}")
        self.told.pop(place, None)
        self.told[place] = told


class Inbox:
    """Lives on one event loop. `write` keeps a batch; its error is that of every report in it."""

    def __init__(self, write: Write, *, gather_seconds: float = GATHER_SECONDS) -> None:
        self._write = write
        self._gather_seconds = gather_seconds
        self._batch: _Batch | None = None
        self._writing: asyncio.Task[None] | None = None

    async def put(self, told: Told) -> None:
        """Return once the report is stored, itself or within a newer one of the same process."""
        batch = self._batch = self._batch or _Batch()
        batch.add(told)
        if self._writing is None:
            self._writing = asyncio.create_task(self._empty())
        # Shielded: a client that leaves must not take the answer of the others with it.
        await asyncio.shield(batch.stored)

    async def _empty(self) -> None:
        try:
            while self._batch is not None:
                await asyncio.sleep(self._gather_seconds)
                batch, self._batch = self._batch, None
                await self._store(batch)
        finally:
            self._writing = None

    async def _store(self, batch: _Batch) -> None:
        try:
            await self._write(list(batch.told.values()))
        except Exception as error:  # noqa: BLE001 (raised in every request that waits)
            batch.stored.set_exception(error)
            batch.stored.exception()  # all of them may have left: nobody needs to be told then
        else:
            batch.stored.set_result(None)
