"""Learns flag definitions on a thread of its own, and reports back. A connection only ever reads an attribute: a hung
or dead flag server adds nothing to it.

The thread follows one loop: conditional GET, then the event stream; a change on the stream is a conditional GET again.
After every reconnect it fetches again, so a change during the gap is not missed. What was held stays held through
anything the flag server does.
"""

import asyncio
import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse

from connections.gate.errors import DefinitionsInvalid, FlagServerRefused, FlagSourceError
from connections.gate.last_known_good import LastKnownGood, parse
from connections.gate.selection import Snapshot
from connections.gate.telemetry import ConnectionRecord, Counters
from connections.gate.version import VERSION

logger = logging.getLogger("readywire.flags")

DEFINITIONS = "/api/v1/definitions"
STREAM = "/api/v1/definitions/stream"
REPORT = "/api/v1/servers/report"

_MAX_BODY = 8 * 1024 * 1024
_TROUBLE = (httpx.HTTPError, httpx.StreamError, SSEError, FlagSourceError, TimeoutError, OSError)


class FlagSource:
    """Definitions from `url` with the server key `key`, for the watched server `instance`.

    `cache_path` is the file of the last known good (None: not kept). Times are seconds: `timeout_s` bounds each
    request as a whole; `quiet_after_s` without a byte means that the event stream is dead (the server sends a comment
    every 10 s); `report_every_s` is the least time between two batches of counts, `alive_every_s` between two reports
    that only say "still here". Nothing starts before `start()`, which the gate calls.
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
        self.instance = instance
        self._url = url.rstrip("/")
        self._key = key
        self._timeout_s = timeout_s
        self._quiet_after_s = quiet_after_s
        self._retry_first_s = retry_first_s
        self._retry_most_s = retry_most_s
        self._report_every_s = report_every_s
        self._alive_every_s = alive_every_s
        self._counters = Counters()
        self._cache = None if cache_path is None else LastKnownGood(Path(cache_path), url=self._url, key=key)
        self._snapshot = (self._cache.load() if self._cache else None) or Snapshot()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process = 0
        self._stop_asked = threading.Event()
        self._wake: Callable[[], object] | None = None
        self._trouble = ""

    def snapshot(self) -> Snapshot:
        """The definitions held now. One attribute read; never waits."""
        return self._snapshot

    def evaluated(self, evaluations: Iterable[tuple[str, str]]) -> None:
        """Count one connection's evaluations for the next report."""
        self._counters.evaluated(evaluations)

    def ended(self, record: ConnectionRecord) -> None:
        """Count one connection's end for the next report."""
        self._counters.ended(record)

    def start(self) -> None:
        """Start the thread, once per process: a server that forks after loading the application has none yet."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            self._stop_asked.clear()
            self._thread = threading.Thread(target=self._run, name="readywire-flags", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """Send what was counted, if the server answers at once, and end the thread."""
        self._stop_asked.set()
        if self._wake is not None:
            with suppress(RuntimeError):  # its loop may have closed already
                self._wake()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._process = 0

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        stopping, news = asyncio.Event(), asyncio.Event()
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, stopping.set)
        if self._stop_asked.is_set():
            stopping.set()
        async with self._client() as client:
            reporter = _Reporter(self, client, news, self._report_every_s, self._alive_every_s, self._counters)
            tasks = [asyncio.create_task(self._follow(client, news)), asyncio.create_task(reporter.run())]
            await stopping.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await reporter.last()

    def _client(self) -> httpx.AsyncClient:
        loopback = (urlsplit(self._url).hostname or "") in {"localhost", "127.0.0.1", "::1"}
        return httpx.AsyncClient(
            base_url=self._url,
            headers={"Authorization": f"Bearer {self._key}", "User-Agent": f"readywire/{VERSION}"},
            timeout=self._timeout_s,
            trust_env=not loopback,  # a machine's proxy settings must not catch a flag server on the same machine
        )

    async def _follow(self, client: httpx.AsyncClient, news: asyncio.Event) -> None:
        retry_s = self._retry_first_s
        while True:
            began = time.monotonic()
            try:
                await self._fetch(client, news)
                await self._listen(client, news)
                self._say("the event stream ended; reconnecting")
            except FlagSourceError as error:
                self._say(str(error))
            except _TROUBLE as error:
                self._say(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
            except Exception:
                logger.exception("the flag source met something unforeseen; it goes on with the last known good")
            if time.monotonic() - began > self._retry_most_s:
                retry_s = self._retry_first_s  # it worked for a while: this is a new trouble, not the old one
            await asyncio.sleep(retry_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            retry_s = min(retry_s * 2, self._retry_most_s)

    async def _listen(self, client: httpx.AsyncClient, news: asyncio.Event) -> None:
        headers = {} if self._snapshot.revision is None else {"Last-Event-ID": str(self._snapshot.revision)}
        timeout = httpx.Timeout(self._timeout_s, read=self._quiet_after_s)
        async with aconnect_sse(client, "GET", STREAM, headers=headers, timeout=timeout) as source:
            if source.response.status_code != httpx.codes.OK:
                raise FlagServerRefused(source.response.status_code, STREAM)
            # The stream is open: fetching only now leaves no instant in which a change would go unseen.
            await self._fetch(client, news)
            self._say("")
            async for event in source.aiter_sse():
                if self._is_news(event):
                    await self._fetch(client, news)

    def _is_news(self, event: ServerSentEvent) -> bool:
        try:
            data = json.loads(event.data)
            return bool(data["etag"] != self._snapshot.etag)
        except (ValueError, TypeError, KeyError):
            return bool(event.data)  # unreadable, so ask: a conditional GET costs little

    async def _fetch(self, client: httpx.AsyncClient, news: asyncio.Event) -> None:
        headers = {"If-None-Match": self._snapshot.etag} if self._snapshot.etag else {}
        async with (
            asyncio.timeout(self._timeout_s),
            client.stream("GET", DEFINITIONS, headers=headers) as response,
        ):
            if response.status_code == httpx.codes.NOT_MODIFIED:
                if self._snapshot.origin == "disk":
                    self._hold(replace(self._snapshot, origin="server"), news)
                return
            if response.status_code != httpx.codes.OK:
                raise FlagServerRefused(response.status_code, DEFINITIONS)
            body = await _bounded(response)
            try:
                parsed = json.loads(body)
            except (ValueError, RecursionError) as error:
                raise DefinitionsInvalid(f"the definitions are no JSON: {error}") from error
            snapshot = parse(parsed, etag=response.headers.get("etag", ""), origin="server")
        if snapshot != self._snapshot:
            self._hold(snapshot, news)
            if self._cache:
                self._cache.save(snapshot)

    def _hold(self, snapshot: Snapshot, news: asyncio.Event) -> None:
        self._snapshot = snapshot
        news.set()
        logger.info("flags: revision %s of %s is held", snapshot.revision, snapshot.environment or "no environment")

    def _say(self, trouble: str) -> None:
        """Log a trouble once, however often it repeats, and its end."""
        if trouble and trouble != self._trouble:
            logger.warning("flags: %s; revision %s stays in use", trouble, self._snapshot.revision)
        elif self._trouble and not trouble:
            logger.info("flags: the flag server answers again")
        self._trouble = trouble


class _Reporter:
    """Says what is held and what was counted: at once when a revision is new, else in batches."""

    def __init__(
        self,
        source: FlagSource,
        client: httpx.AsyncClient,
        news: asyncio.Event,
        every_s: float,
        alive_every_s: float,
        counters: Counters,
    ) -> None:
        self._source = source
        self._client = client
        self._news = news
        self._every_s = every_s
        self._alive_every_s = alive_every_s
        self._counters = counters
        self._told: tuple[int, int] | None = None
        self._quiet_since = time.monotonic()

    async def run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._news.wait()
            self._news.clear()
            try:
                await self._report()
            except _TROUBLE as error:
                logger.debug("the report did not arrive: %s", error)
            except Exception:
                logger.exception("the report met something unforeseen")

    async def last(self) -> None:
        """One more report when stopping, if it goes through within a second."""
        with suppress(*_TROUBLE):
            async with asyncio.timeout(1.0):
                await self._report()

    async def _report(self) -> None:
        held = self._source.snapshot().revision
        if held is None:
            return  # the flag server has never answered: it knows nothing that a report could confirm
        totals = self._counters.totals()
        now = time.monotonic()
        told = (held, totals.changes)
        if told == self._told and now - self._quiet_since < self._alive_every_s:
            return
        body = {
            "instance": self._source.instance,
            "library_version": VERSION,
            "held_revision": held,
            "evaluations": totals.evaluations,
            "connections": totals.connections,
        }
        response = await self._client.post(REPORT, json=body)
        if not response.is_success:
            raise FlagServerRefused(response.status_code, REPORT)
        self._told = told
        self._quiet_since = now


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MAX_BODY:
            raise DefinitionsInvalid(f"the definitions are larger than {_MAX_BODY} bytes")
    return bytes(body)
