"""What every environment serves now, in memory, in each web process.

The database is the truth. One watcher per process reads the revisions every REVISION_POLL_MILLISECONDS, and earlier
when Redis or this process announces a change: losing Redis costs that half second and nothing else. Definitions, OFREP
and event streams are answered from here, with no database on their path. The keys that work are read in the same
breath, so a revoked key stops within the same time.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from weakref import WeakKeyDictionary

import redis.asyncio
from django.conf import settings
from django.utils import timezone

from connections.flags import control, keys, reports, using
from connections.flags.keys import Holder
from connections.models import Environment
from dashboard.counting_uses import UseCounter
from dashboard.database_thread import DatabaseThread
from dashboard.inbox import Inbox
from dashboard.snapshots import Snapshot, read_snapshot

logger = logging.getLogger(__name__)
CHANNEL = "readywire:revisions"
FIRST_READ_SECONDS = 5.0
RECONNECT_SECONDS = (0.5, 30.0)
CLOCK_SECONDS = 1.0
"""How often this process looks whether an overlay expires or a ramp's step is over."""
QUIET_SECONDS = 10.0
"""After so long without a message, the Redis connection is asked whether it still lives."""


LOOKUPS_PER_POLL = 100


class Unavailable(Exception):  # noqa: N818 (a state, told as HTTP's 503)
    """Nothing has been read from the database since this process started."""


@dataclass(frozen=True)
class _Reading:
    keys: dict[str, Holder]
    fresh: list[Snapshot]


class Watcher:
    """Reads the revisions for one event loop: `async with Watcher(...)`, or `watcher()` for the process's own."""

    def __init__(self, *, redis_url: str, poll_seconds: float) -> None:
        self._redis_url = redis_url
        self._poll_seconds = poll_seconds
        self._database = DatabaseThread("revisions")
        self.reports = DatabaseThread("reports")
        """For what programs and the clock write: a writer waiting for the database must not hold up the poll."""
        self.inbox = Inbox(lambda told: self.reports.run(reports.record_all, told))
        self.uses = UseCounter()
        self._snapshots: dict[str, Snapshot] = {}
        self._keys: dict[str, Holder] = {}
        self._asked_for: dict[str, asyncio.Future[Holder | None]] = {}
        self._lookups = 0
        self._noted: dict[int, float] = {}
        self._loaded = asyncio.Event()
        self._woken = asyncio.Event()
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.read_at: float | None = None
        """Monotonic time of the last successful read of the database; None: none yet."""
        self.redis_listens = False

    def start(self) -> Self:
        self._keep(self._watch())
        self._keep(self._listen())
        self._keep(self._tick())
        self._keep(self.uses.write_for_ever(lambda taken: self.reports.run(using.record, taken)))
        return self

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._database.close()
        await self.reports.close()

    def wake(self) -> None:
        """Read the database now instead of at the next poll. Call on the watcher's own loop."""
        self._woken.set()

    async def loaded(self) -> None:
        """Wait for the first read. Raises Unavailable where the database gives none in time."""
        if not self._loaded.is_set():
            try:
                async with asyncio.timeout(FIRST_READ_SECONDS):
                    await self._loaded.wait()
            except TimeoutError:
                raise Unavailable from None

    async def snapshot(self, environment: str) -> Snapshot:
        """What an environment serves. Raises Unavailable before the first read, KeyError if it does not exist."""
        await self.loaded()
        return self._snapshots[environment]

    async def changes(self, environment: str, *, after: int | None = None) -> AsyncIterator[Snapshot]:
        """Every newer snapshot as it comes, starting at once unless revision `after` is the one served."""
        snapshot = await self.snapshot(environment)
        if snapshot.revision != after:
            yield snapshot
        while True:
            changed = await self.next_change(environment, after=snapshot.revision, seconds=None)
            if changed is not None:
                snapshot = changed
                yield snapshot

    async def next_change(self, environment: str, *, after: int, seconds: float | None) -> Snapshot | None:
        """The first snapshot that is not revision `after`; None when `seconds` pass, or a key has been revoked."""
        if self._snapshots[environment].revision == after:
            moved = self._moved
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await moved.wait()
        snapshot = self._snapshots[environment]
        return None if snapshot.revision == after else snapshot

    async def holder(self, key: str) -> Holder | None:
        """Whose key this is. A key made a moment ago is looked up once; every other answer comes from memory."""
        await self.loaded()
        digest = keys.key_hash(key)
        if digest not in self._keys:
            await self._look_up(digest, key)
        return self._used(self._keys.get(digest))

    async def _look_up(self, digest: str, key: str) -> None:
        """One query for all who ask at once; whoever asks again before the next poll gets the same answer."""
        if digest not in self._asked_for and self._may_look_up():
            self._asked_for[digest] = asyncio.ensure_future(self._database.run(keys.verify, key))
        # Shielded: a client that leaves must not take the answer from the others.
        if (asked := self._asked_for.get(digest)) and (found := await asyncio.shield(asked)):
            self._keys[digest] = found

    async def stream_holder(self, token: str) -> Holder | None:
        """Whose event stream credential this is."""
        await self.loaded()
        key_id = token.partition(".")[0]
        holder = self._by_id(key_id)
        if holder is None and self._may_look_up():
            await self._refresh()
            holder = self._by_id(key_id)
        return self._used(holder) if holder and keys.check_stream_token(token, holder) else None

    def _may_look_up(self) -> bool:
        """Wrong keys must not keep the database from telling revisions: a few look-ups per poll, then wait for it."""
        self._lookups += 1
        return self._lookups <= LOOKUPS_PER_POLL

    def still_holds(self, holder: Holder) -> bool:
        """Whether the key has not been revoked, as far as the last read knows."""
        return holder.hash in self._keys

    def _by_id(self, key_id: str) -> Holder | None:
        return next((holder for holder in self._keys.values() if str(holder.key_id) == key_id), None)

    def _used(self, holder: Holder | None) -> Holder | None:
        """Note the use at most once a minute; the caller never waits for that."""
        if holder is not None:
            now = time.monotonic()
            if now - self._noted.get(holder.key_id, -3600.0) > keys.NOTED_EVERY.total_seconds():
                self._noted[holder.key_id] = now
                self._keep(self._note(holder))
        return holder

    async def _note(self, holder: Holder) -> None:
        try:
            await self.reports.run(keys.note_use, holder.key_id, timezone.now())
        except Exception:
            logger.exception("The use of key %s was not noted.", holder.name)

    async def _watch(self) -> None:
        failing = False
        while True:
            self._woken.clear()
            self._lookups = 0
            try:
                await self._refresh()
                failing = False
            except Exception as error:  # noqa: BLE001 (a watcher that ended would freeze every flag of this process)
                if not failing:
                    logger.error("The flag revisions cannot be read; the last ones are served: %s", error)
                failing = True
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._woken.wait()

    async def _refresh(self) -> None:
        found = await self._database.run(_read, dict(self._snapshots))
        lost = self._keys.keys() - found.keys.keys()
        self._keys, self._asked_for = found.keys, {}
        self._snapshots |= {snapshot.environment: snapshot for snapshot in found.fresh}
        self.read_at = time.monotonic()
        self._loaded.set()
        if found.fresh or lost:
            self._moved.set()
            self._moved = asyncio.Event()

    async def _tick(self) -> None:
        """The clock of expiries and ramps. It writes, so it waits for the database where reports do."""
        failing = False
        while True:
            await asyncio.sleep(CLOCK_SECONDS)
            try:
                await self.reports.run(control.advance)
                failing = False
            except Exception as error:  # noqa: BLE001 (a clock that stopped would keep an expired kill for ever)
                if not failing:
                    logger.error("Whether a kill expires or a ramp goes on cannot be read: %s", error)
                failing = True

    async def _listen(self) -> None:
        shortest, longest = RECONNECT_SECONDS
        pause = shortest
        while True:
            try:
                async with (
                    redis.asyncio.from_url(self._redis_url, socket_connect_timeout=2) as client,
                    client.pubsub(ignore_subscribe_messages=True) as channel,
                ):
                    await channel.subscribe(CHANNEL)
                    self.redis_listens, pause = True, shortest
                    # What was announced while nobody listened is found by reading once.
                    self.wake()
                    await self._heed(channel)
            except (redis.RedisError, OSError) as error:
                if self.redis_listens or pause == shortest:
                    logger.warning("Redis does not wake the flag revisions, the poll still does: %s", error)
            self.redis_listens = False
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _heed(self, channel: Any) -> None:
        while True:
            message = await channel.get_message(timeout=QUIET_SECONDS)
            if message is None:
                await channel.ping()
            elif message["type"] == "message":
                self.wake()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        # asyncio holds tasks weakly: without this, a running task may be collected.
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _read(held: dict[str, Snapshot]) -> _Reading:
    """The keys that work, and a snapshot of each environment whose revision is not the one that is held."""
    revisions = Environment.objects.values_list("key", "revision")
    fresh = [
        read_snapshot(key, held.get(key))
        for key, revision in revisions
        if key not in held or held[key].revision != revision
    ]
    return _Reading(keys.active(), fresh)


_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, Watcher] = WeakKeyDictionary()


def watcher() -> Watcher:
    """The watcher of the running event loop, started at the first call. A web process has one loop, so one watcher."""
    loop = asyncio.get_running_loop()
    if loop not in _watchers:
        poll = settings.REVISION_POLL_MILLISECONDS / 1000
        _watchers[loop] = Watcher(redis_url=settings.REDIS_URL, poll_seconds=poll).start()
    return _watchers[loop]


def wake_all() -> None:
    """Wake the watchers of this process, from any thread: a change made here is served before Redis tells of it."""
    for loop, one in list(_watchers.items()):
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(one.wake)
