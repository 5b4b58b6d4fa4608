"""The event streams that an OFREP server announces: each followed by a task, their news gathered into one answer to
"ask again?". A stream only ever says that something changed; what, the next bulk evaluation tells."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import httpx
from httpx_sse import aconnect_sse

from connections.gate.addresses import origin_of
from connections.gate.errors import FlagServerRefused
from connections.gate.ofrep_answer import Refetch, read_event
from connections.gate.source import TROUBLE, Times, refused

DEBOUNCE_S = 0.05
"""Events that come within this time are answered with one request."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the streams said since it was last asked. `anew`: an address was refused, so ask without an ETag: a 304
    would only confirm the dead address."""

    refetch: Refetch = field(default_factory=Refetch)
    anew: bool = False


class Streams:
    """Streams of the server at `url`. `client` carries its credentials, which no other origin is ever sent."""

    def __init__(self, client: httpx.AsyncClient, url: str, times: Times) -> None:
        self._client = client
        self._origin = origin_of(url)
        self._times = times
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._heard = Heard()

    def follow(self, addresses: Iterable[str]) -> None:
        """Follow exactly these."""
        wanted = set(addresses)
        for address in [each for each in self._tasks if each not in wanted]:
            self._tasks.pop(address).cancel()
        for address in sorted(wanted - set(self._tasks)):
            self._tasks[address] = asyncio.create_task(self._keep_listening(address))

    async def wait(self, seconds: float) -> None:
        """Until there is news, at most `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
                await asyncio.sleep(DEBOUNCE_S)

    def heard(self) -> Heard:
        """The news so far; they are forgotten with this."""
        self._news.clear()
        heard, self._heard = self._heard, Heard()
        return heard

    async def close(self) -> None:
        """Leave every stream."""
        tasks = list(self._tasks.values())
        self.follow(())
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tell(self, refetch: Refetch, *, anew: bool = False) -> None:
        self._heard = Heard(refetch, anew or self._heard.anew)
        self._news.set()

    async def _keep_listening(self, address: str) -> None:
        pause = self._times.retry_first
        while True:
            began = time.monotonic()
            asked_to_wait = 0.0
            try:
                await self._listen(address)
            except FlagServerRefused as error:
                asked_to_wait = error.retry_after_s
                self._tell(Refetch(), anew=True)
            except TROUBLE:
                pass  # the poll goes on meanwhile, and says what is wrong if it is the server
            if time.monotonic() - began > self._times.retry_most:
                pause = self._times.retry_first
            await asyncio.sleep(max(asked_to_wait, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - jitter, no secret
            pause = min(pause * 2, self._times.retry_most)

    async def _listen(self, address: str) -> None:
        timeout = httpx.Timeout(self._times.timeout, read=self._times.quiet_after)
        async with (
            self._client_for(address) as client,
            aconnect_sse(client, "GET", address, timeout=timeout) as source,
        ):
            if source.response.status_code != httpx.codes.OK:
                raise refused(source.response, "the event stream")  # its address may hold a token
            # What changed before it was open is not replayed by every server.
            self._tell(Refetch())
            async for event in source.aiter_sse():
                if (refetch := read_event(event.data)) is not None:
                    self._tell(refetch)

    @asynccontextmanager
    async def _client_for(self, address: str) -> AsyncIterator[httpx.AsyncClient]:
        if origin_of(address) == self._origin:
            yield self._client
        else:
            async with httpx.AsyncClient() as stranger:
                yield stranger
