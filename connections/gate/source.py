"""What every source of flags shares: a thread of its own, what is held, what to do about trouble. A connection only
ever reads an attribute: a hung or dead flag server adds nothing to it.

What was held stays held through anything the flag server does, and is kept on disk for the next start.
"""

import asyncio
import email.utils
import json
import logging
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from httpx_sse import SSEError

from connections.gate.addresses import origin_of
from connections.gate.background import Background
from connections.gate.errors import DefinitionsInvalid, FlagServerRefused, FlagSourceError, InvalidSource
from connections.gate.last_known_good import LastKnownGood
from connections.gate.selection import Snapshot
from connections.gate.telemetry import ConnectionRecord
from connections.gate.version import VERSION

logger = logging.getLogger("readywire.flags")

TROUBLE = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, SSEError, FlagSourceError, TimeoutError, OSError)
"""What a flag server, or the way to it, can do to us. None of it is a reason to stop asking."""

MAX_INSTANCE = 200
MAX_BODY = 8 * 1024 * 1024
MAX_RETRY_AFTER_S = 600.0
"""No `Retry-After` keeps a source silent for longer: clients that believe a misread date sleep through an incident."""


@dataclass(frozen=True, slots=True)
class Times:
    """All in seconds: `timeout` bounds each request as a whole, `quiet_after` is how long an event stream may be silent
    before it counts as dead, and after trouble `retry_first` doubles up to `retry_most`."""

    timeout: float
    quiet_after: float
    retry_first: float
    retry_most: float


class Source:
    """Base of the sources. A subclass says in `_cycle` how it learns; it runs again and again until `stop()`."""

    _key_cure = "check READYWIRE_KEY (manage.py server_key create prints a key)"
    """What to do where the flag server refuses the key."""

    def __init__(
        self, url: str, key: str, instance: str, cache_path: Path | str | None, times: Times, *, bound_to: str = ""
    ) -> None:
        """`bound_to`: what else the last known good must be of, besides the server and the key.

        Raises InvalidSource, which names the argument.
        """
        _check(url, key, instance, times)
        self.instance = instance
        self._url = url.rstrip("/")
        self._key = key
        self._times = times
        origin = f"{self._url}\n{key}" + (f"\n{bound_to}" if bound_to else "")
        self._cache = None if cache_path is None else LastKnownGood(Path(cache_path), origin)
        self._snapshot = (self._cache.load() if self._cache else None) or Snapshot()
        self._background = Background("readywire-flags", self._main)
        self._trouble = ""

    def snapshot(self) -> Snapshot:
        """What is held now. One attribute read; never waits."""
        return self._snapshot

    def start(self) -> None:
        """Start learning, once per process. The gate calls it; nothing is asked of the flag server before."""
        if not self._background.started:
            self._background.start()

    def stop(self, timeout_s: float = 3.0) -> None:
        """End the thread, waiting at most `timeout_s` seconds for it."""
        self._background.stop(timeout_s)

    def evaluated(self, evaluations: Iterable[tuple[str, str]]) -> None:
        """Counted only where the flag server takes reports."""

    def ended(self, record: ConnectionRecord) -> None:
        """Counted only where the flag server takes reports."""

    async def _cycle(self, client: httpx.AsyncClient) -> None:
        """Learn for as long as it goes well. Returning or raising means trouble: a pause, then the next cycle."""
        raise NotImplementedError

    def _beside(self, client: httpx.AsyncClient) -> list[Awaitable[None]]:
        """What else runs on the thread."""
        return []

    async def _parting(self) -> None:
        """The last thing before the thread ends."""

    def _learned(self, snapshot: Snapshot, before: Snapshot) -> None:
        """`snapshot` is held, no longer `before`."""

    # --- the thread -----------------------------------------------------------------------------------------------

    async def _main(self, stopping: asyncio.Event) -> None:
        try:
            http = self._client()
        except (ValueError, OSError) as error:
            # Of the machine's settings: a proxy's address, a file of certificates.
            logger.error(
                "flags: no HTTP client can be made (%s); %s stays in use", _named(error), _what(self._snapshot)
            )
            return
        async with http as client:
            work = [self._follow(client), *self._beside(client)]
            tasks = [asyncio.ensure_future(each) for each in work]
            await stopping.wait()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._parting()

    def _client(self) -> httpx.AsyncClient:
        loopback = (urlsplit(self._url).hostname or "") in {"localhost", "127.0.0.1", "::1"}
        return httpx.AsyncClient(
            base_url=self._url,
            headers=self._headers(),
            timeout=self._times.timeout,
            trust_env=not loopback,  # a machine's proxy settings must not catch a flag server on the same machine
        )

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}", "User-Agent": f"readywire/{VERSION}"}

    async def _follow(self, client: httpx.AsyncClient) -> None:
        pause = self._times.retry_first
        while True:
            began, asked_to_wait = time.monotonic(), 0.0
            try:
                await self._cycle(client)
                self._say("the event stream ended; reconnecting")
            except FlagServerRefused as error:
                self._say(str(error))
                asked_to_wait = error.retry_after_s
            except TROUBLE as error:
                self._say(str(error) if isinstance(error, FlagSourceError) else _named(error))
            except Exception:
                logger.exception("the flag source met something unforeseen; it goes on with the last known good")
            if time.monotonic() - began > self._times.retry_most:
                pause = self._times.retry_first  # it worked for a while: this is a new trouble, not the old one
            await asyncio.sleep(max(asked_to_wait, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - jitter, no secret
            pause = min(pause * 2, self._times.retry_most)

    # --- for subclasses -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _asking(
        self, client: httpx.AsyncClient, method: str, path: str, **request: Any
    ) -> AsyncIterator[httpx.Response]:
        """One request, bounded as a whole. Raises FlagServerRefused unless it is answered 200 or 304."""
        async with asyncio.timeout(self._times.timeout), client.stream(method, path, **request) as response:
            if response.status_code not in (httpx.codes.OK, httpx.codes.NOT_MODIFIED):
                raise refused(response, path, self._key_cure)
            yield response

    def _hold(self, snapshot: Snapshot) -> None:
        if snapshot == self._snapshot:
            return
        same = snapshot.etag == self._snapshot.etag and snapshot.flags == self._snapshot.flags
        before, self._snapshot = self._snapshot, snapshot
        logger.info("flags: %s is held", _what(snapshot))
        self._learned(snapshot, before)
        if self._cache and not same:
            self._cache.save(snapshot)

    def _say(self, trouble: str) -> None:
        """Log a trouble once, however often it repeats, and its end."""
        if trouble and trouble != self._trouble:
            logger.warning("flags: %s; %s stays in use", trouble, _what(self._snapshot))
        elif self._trouble and not trouble:
            logger.info("flags: the flag server answers again")
        self._trouble = trouble


def _check(url: str, key: str, instance: str, times: Times) -> None:
    """Raises InvalidSource for what would only ever be logged on a thread that nobody watches."""
    if not origin_of(url):
        raise InvalidSource("url", 'give the address of the flag server, such as "https://readywire.example"')
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidSource(
            "key", "it has a space, a line break or a character that no header carries; pass it as printed"
        )
    if not 1 <= len(instance) <= MAX_INSTANCE or not instance.isprintable():
        raise InvalidSource("instance", f"give a name of 1 to {MAX_INSTANCE} printable characters, such as the host's")
    for name, seconds in asdict(times).items():
        if not 0 < seconds < math.inf:
            raise InvalidSource(f"{name}_s", "give a number of seconds above 0")


def _what(snapshot: Snapshot) -> str:
    if snapshot.origin == "default":
        return "the coded default of every flag"
    name = "a flag set without a number" if snapshot.revision is None else f"revision {snapshot.revision}"
    return f"{name} of {snapshot.environment}" if snapshot.environment else name


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def refused(response: httpx.Response, what: str, key_cure: str = "retrying") -> FlagServerRefused:
    """The error of an answer whose status carries no flags. `key_cure`: what to do where it is about the key."""
    cure = key_cure if response.status_code in (401, 403) else "retrying"
    asked_to_wait = retry_after(response.headers, datetime.now(UTC))
    return FlagServerRefused(response.status_code, what, cure, retry_after_s=asked_to_wait)


def retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """Seconds that a `Retry-After` asks to wait: whole seconds or an HTTP date (RFC 9110, 10.2.3), or the ISO date of
    OFREP's own example. 0 where there is none or it cannot be read; never above MAX_RETRY_AFTER_S."""
    text = headers.get("retry-after", "").strip()
    seconds = float(text) if text.isascii() and text.isdecimal() else _seconds_until(text, now)
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _seconds_until(text: str, now: datetime) -> float:
    for read in (email.utils.parsedate_to_datetime, datetime.fromisoformat):
        try:
            at = read(text)
        except (ValueError, TypeError):
            continue
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    return 0.0


async def body_of(response: httpx.Response) -> Any:
    """The answer's JSON. Raises DefinitionsInvalid where it is none, or larger than MAX_BODY."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BODY:
            raise DefinitionsInvalid(f"the answer is larger than {MAX_BODY} bytes")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DefinitionsInvalid(f"the answer is no JSON: {error}") from error
