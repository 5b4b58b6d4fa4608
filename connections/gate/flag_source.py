"""Learns flag definitions from Readywire's server on a thread of its own, and reports back.

One loop: conditional GET, then the event stream, whose events carry the definitions; where they are too many for that,
a change is a conditional GET again. After every reconnect it fetches again, so a change during the gap is not missed.
Definitions are evaluated here, per connection, by the same code as the server's.
"""

import json
import os
import time
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from pathlib import Path

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

from connections.gate.counters import Counters
from connections.gate.errors import DefinitionsInvalid
from connections.gate.last_known_good import parse
from connections.gate.reporting import Reporter
from connections.gate.selection import Snapshot
from connections.gate.source import Source, Times, body_of, refused
from connections.gate.telemetry import ConnectionRecord

DEFINITIONS = "/api/v1/definitions"
STREAM = "/api/v1/definitions/stream?with=definitions"


class FlagSource(Source):
    """Definitions from `url` with the server key `key`, for the watched server `instance`.

    `cache_path` is the file of the last known good (None: not kept). Times are seconds: `timeout_s` bounds each
    request as a whole; `quiet_after_s` without a byte means that the event stream is dead (the server sends a comment
    every 10 s); `report_every_s` is the least time between two batches of counts, `alive_every_s` between two reports
    that only say "still here". Nothing starts before `start()`, which the gate calls. Raises InvalidSource for an
    argument that cannot be.
    """

    def __init__(
        self,
        url: str,
        key: str,
        instance: str,
        cache_path: Path | str | None = None,
        *,
        timeout_s: float = 5.0,
        quiet_after_s: float = 30.0,
        retry_first_s: float = 0.25,
        retry_most_s: float = 5.0,
        report_every_s: float = 2.0,
        alive_every_s: float = 10.0,
    ) -> None:
        super().__init__(url, key, instance, cache_path, Times(timeout_s, quiet_after_s, retry_first_s, retry_most_s))
        self._report_every_s = report_every_s
        self._alive_every_s = alive_every_s
        self._counters = Counters()
        self._reporter: Reporter | None = None
        self._held_since = time.monotonic()

    def start(self) -> None:
        """Start learning, once per process; in a forked child, counting begins at 0."""
        if self._background.started:
            return
        if self._counters.process != os.getpid():
            self._counters = Counters()
        super().start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Send what was counted, if the server answers at once, and end the thread."""
        super().stop(timeout_s)

    def evaluated(self, evaluations: Iterable[tuple[str, str]]) -> None:
        """Count one connection's evaluations for the next report."""
        self._counters.evaluated(evaluations)

    def ended(self, record: ConnectionRecord) -> None:
        """Count one connection's end for the next report."""
        self._counters.ended(record)

    def _beside(self, client: httpx.AsyncClient) -> list[Awaitable[None]]:
        self._reporter = Reporter(
            client,
            self.instance,
            self._counters,
            lambda: (self._snapshot.revision, time.monotonic() - self._held_since),
            every_s=self._report_every_s,
            alive_every_s=self._alive_every_s,
        )
        return [self._reporter.run()]

    async def _parting(self) -> None:
        if self._reporter is not None:
            await self._reporter.last()

    def _learned(self, snapshot: Snapshot, before: Snapshot) -> None:
        if snapshot.revision != before.revision:
            self._held_since = time.monotonic()
        if self._reporter is not None:
            self._reporter.news.set()

    async def _cycle(self, client: httpx.AsyncClient) -> None:
        await self._fetch(client)
        await self._listen(client)

    async def _listen(self, client: httpx.AsyncClient) -> None:
        headers = {} if self._snapshot.revision is None else {"Last-Event-ID": str(self._snapshot.revision)}
        timeout = httpx.Timeout(self._times.timeout, read=self._times.quiet_after)
        async with aconnect_sse(client, "GET", STREAM, headers=headers, timeout=timeout) as source:
            if source.response.status_code != httpx.codes.OK:
                raise refused(source.response, STREAM, self._key_cure)
            # The stream is open: fetching only now leaves no instant in which a change would go unseen.
            await self._fetch(client)
            self._say("")
            async for event in source.aiter_sse():
                if not self._taken(event):
                    await self._fetch(client)

    def _taken(self, event: ServerSentEvent) -> bool:
        """Whether nothing is to be asked: the event told nothing new, or carried the definitions that it tells of."""
        if not event.data:
            return True
        try:
            data = json.loads(event.data)
            if data["etag"] == self._snapshot.etag:
                return True
            told = parse(data, etag=data["etag"], origin="server")
        except (ValueError, TypeError, KeyError, RecursionError, DefinitionsInvalid):
            return False  # without definitions, or unreadable: a conditional GET costs little
        if told.revision is None or told.revision <= (self._snapshot.revision or 0):
            return False  # overtaken on its way by an answer, or of a database that was restored: the answer decides
        self._hold(told)
        return True

    async def _fetch(self, client: httpx.AsyncClient) -> None:
        headers = {"If-None-Match": self._snapshot.etag} if self._snapshot.etag else {}
        async with self._asking(client, "GET", DEFINITIONS, headers=headers) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED:
                self._hold(replace(self._snapshot, origin="server"))
            else:
                self._hold(parse(await body_of(response), etag=response.headers.get("etag", ""), origin="server"))
