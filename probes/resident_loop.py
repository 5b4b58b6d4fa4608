"""The residents of a probe worker: takes leases on what is wanted, keeps the connections, publishes their lives.

It has a thread and an event loop of its own, so that a burst of probes does not hold up a conversation, nor the other
way round. It touches no database.
"""

import asyncio
import logging
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError

from probes.credentials import CredentialsError
from probes.engine.lives import Life
from probes.engine.residents import Report, Residents
from probes.engine.script import TargetSpec
from probes.leases import Leases, Resident
from probes.lives_stream import LifeEntry, encode_life
from probes.publisher import Publisher
from probes.wishes import FORGET_SECONDS, Wish, key_of, read_wishes

logger = logging.getLogger(__name__)
_UNUSABLE = (CredentialsError, ValueError, KeyError, TypeError)
_FLUSH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the loop does what, seconds."""

    look_s: float = 2.0
    """Wishes are read, and leases renewed."""
    lease_s: float = 15.0
    """How long after its worker's death a resident goes to another."""
    report_s: float = 30.0
    """What a connection that lives has come to is published so often, and once when it becomes ready."""
    forget_s: float = float(FORGET_SECONDS)
    """How long residents go on without a wish: a scheduler may restart without cutting what is to live for hours."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a worker keeps to: the settings RESIDENTS_PER_WORKER, OUTCOME_BUFFER and RESULTS_STREAM_LENGTH."""

    residents: int
    buffer: int
    stream_length: int
    at_once: int = 50
    """Most residents taken in one look: other workers get their share, and no server meets them all at one instant."""


class ResidentLoop:
    """One per worker process. `start` and `stop` are for other threads; all else happens in the loop's own thread."""

    def __init__(
        self, location: str, redis_url: str, room: Room, open_: Callable[[Report], Residents], pace: Pace | None = None
    ) -> None:
        """`open_` makes, inside the loop, what keeps the connections."""
        self._location = location
        self._room = room
        self._open = open_
        self._pace = pace or Pace()
        self._client = Redis.from_url(redis_url, decode_responses=True, socket_timeout=5, socket_connect_timeout=2)
        # A name alone is not enough: a process may come again with the same number.
        holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._leases = Leases(self._client, location, holder, self._pace.lease_s)
        self._publisher = Publisher(self._client, buffer=room.buffer, stream_length=room.stream_length)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="residents", daemon=True)
        self._kept: dict[Resident, Wish] = {}
        self._reported: dict[Resident, tuple[Life, float]] = {}
        self._wish_text: str | None = None
        self._wanted: Mapping[Resident, Wish] = {}
        self._wish_seen = 0.0
        self._settled: Mapping[Resident, Wish] = self._wanted
        """The wishes that what is kept was last compared with."""
        self._specs: dict[int, tuple[Wish, TargetSpec | None]] = {}

    @property
    def kept(self) -> frozenset[Resident]:
        """The residents that this worker keeps."""
        return frozenset(self._kept)

    def start(self) -> None:
        """Start the loop's thread."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Leave every connection with 1000, publish the lives, give the leases up: at most so long."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(seconds)

    def _run(self) -> None:
        self._loop.run_until_complete(self._main())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _main(self) -> None:
        self._publisher.start()
        async with self._open(self._publish) as residents:
            while not self._stopping.is_set():
                try:
                    await self._look(residents)
                except (RedisError, OSError) as error:
                    # What lives goes on: a lease that ran out meanwhile is taken again, or lost to another.
                    logger.warning("residents cannot be arranged: %s", error)
                except Exception:
                    logger.exception("residents cannot be arranged for a reason of ours")
                await self._pause()
        await asyncio.to_thread(self._finish)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._pace.look_s):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _look(self, residents: Residents) -> None:
        """Once: end what is no longer wanted, keep what is held, take what is free, report."""
        await self._read_wishes()
        if self._settled is not self._wanted:
            gone = [key for key, wish in self._kept.items() if self._wanted.get(key) != wish]
            self._settled = self._wanted
            await self._drop(residents, gone, "no longer wanted, or wanted otherwise")
        lost = await asyncio.to_thread(self._leases.renew, list(self._kept))
        await self._drop(residents, lost, "another worker keeps it now")
        free = [key for key in self._wanted if key not in self._kept and self._spec(key) is not None]
        room = min(self._room.at_once, self._room.residents - len(self._kept), len(free))
        if room > 0:
            asked = random.sample(free, room)
            taken = await asyncio.to_thread(self._leases.take, asked)
            self._keep(residents, taken)
        self._report_living(residents.present())

    async def _read_wishes(self) -> None:
        text: str | None = await asyncio.to_thread(self._client.get, key_of(self._location))  # type: ignore[arg-type]
        now = time.monotonic()
        if text is None:
            if now - self._wish_seen > self._pace.forget_s:
                self._wish_text, self._wanted = None, {}
            return
        self._wish_seen = now
        if text != self._wish_text:
            try:
                self._wanted = read_wishes(text)
            except (ValueError, KeyError, TypeError) as error:
                logger.warning("the wish for residents cannot be read: %s: %s", type(error).__name__, error)
            self._wish_text = text

    def _keep(self, residents: Residents, taken: Iterable[Resident]) -> None:
        for place, key in enumerate(taken):
            wish, spec = self._wanted[key], self._spec(key)
            if spec is not None:
                self._kept[key] = wish
                # One after another, not all at one instant.
                delay_s = self._pace.look_s * place / self._room.at_once
                residents.keep(key, spec, wish.stay, key[1], delay_s)

    def _spec(self, key: Resident) -> TargetSpec | None:
        """The specification of what is wanted, read once; None, and said so once, where it cannot be used."""
        wish = self._wanted[key]
        known = self._specs.get(key[0])
        if known is None or (known[0] is not wish and known[0] != wish):
            try:
                known = wish, wish.spec()
            except _UNUSABLE as error:
                logger.warning("this worker cannot use the specification of target %d: %s", key[0], error)
                known = wish, None
            self._specs[key[0]] = known
        return known[1]

    async def _drop(self, residents: Residents, keys: Iterable[Resident], why: str) -> None:
        dropped = list(keys)
        for key in dropped:
            del self._kept[key]
            self._reported.pop(key, None)
        await asyncio.gather(*(residents.drop(key, why) for key in dropped))
        # Given up only now: until its goodbye is said, nobody else begins.
        await asyncio.to_thread(self._leases.release, dropped)

    # Lives. ----------------------------------------------------------------------------------------------------------

    def _publish(self, life: Life) -> None:
        self._publisher.add(encode_life(LifeEntry(self._location, life)))

    def _report_living(self, present: Iterable[Life]) -> None:
        now = time.monotonic()
        for life in present:
            key = (life.target_id, life.number)
            known = self._reported.get(key)
            if known is not None and not _news(known[0], life) and now - known[1] < self._pace.report_s:
                continue
            self._reported[key] = life, now
            self._publish(life)

    def _finish(self) -> None:
        self._publisher.stop(_FLUSH_SECONDS)
        try:
            self._leases.release(list(self._kept))
            self._client.close()
        except (RedisError, OSError) as error:
            logger.warning("leases could not be given up; they end by themselves: %s", error)


def _news(before: Life, now: Life) -> bool:
    """Whether another life began, or this one became ready."""
    return before.started != now.started or (before.ready_us is None) != (now.ready_us is None)
