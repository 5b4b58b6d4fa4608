"""Who looks at a target, and what each is about to do there, so that two people do not fight. It locks nothing.

Each web process knows its own pages. Through Redis they learn of each other's: one hash per target, in it an entry for
each process, written again every RENEW_SECONDS and ignored once it is older than LEASE_SECONDS; and a channel that says
whose changed. Without Redis the people of one process still see each other. Nothing here touches the database.
"""

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings
from django.utils import timezone
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

logger = logging.getLogger(__name__)
CHANNEL, KEY = "readywire:presence", "readywire:presence:"
LEASE_SECONDS, RENEW_SECONDS = 15, 5.0
COALESCE_SECONDS = 0.1
PATIENCE_SECONDS = 0.5
MOST_PEOPLE = 50
"""So many are told of one target; a page names a few of them."""
_TARGET = re.compile(r"[-a-zA-Z0-9_]{1,80}\Z", re.ASCII)
_DOING = re.compile(r"([a-z]{1,10}(:[A-Za-z0-9._-]{1,100}){0,2})?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Person:
    """One open page: whose it is, and the act whose panel is open there ("undo:42"); "" for none."""

    user: int
    name: str
    doing: str = ""


class Page(Protocol):
    """A page's socket."""

    async def deliver(self, text: str) -> None: ...


def understood(target: object, doing: object) -> bool:
    """Whether a page may say this."""
    texts = isinstance(target, str) and isinstance(doing, str)
    return texts and bool(_TARGET.match(str(target)) and _DOING.match(str(doing)))


def words(doing: str) -> str:
    """What somebody does, after their name: "is undoing revision 42"; "" where nothing is about to change."""
    verb, _, subject = doing.partition(":")
    flag, _, layer = subject.partition(":")
    known = {
        "undo": f"is undoing revision {subject}",
        "kill": f"is killing {subject}",
        "lift": f"is lifting the {layer} of {flag}",
        "plan": f"is about to run {subject.replace('-', ' ')}",
        "restore": f"is restoring version {subject}",
        "back": "is choosing a way back",
    }
    return known.get(verb, "")


class Presence:
    """The pages of one event loop; call it from there only. It rests when nobody looks at a target."""

    def __init__(self, redis_url: str, *, renew_seconds: float = RENEW_SECONDS) -> None:
        self._redis_url = redis_url
        self._renew_seconds = renew_seconds
        self._process = uuid.uuid4().hex
        self._here: dict[Page, tuple[str, Person]] = {}
        self._elsewhere: dict[str, list[Person]] = {}
        self._told: dict[Page, str] = {}
        self._changed: set[str] = set()
        self._woken = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    def say(self, page: Page, target: str, person: Person) -> None:
        """This page shows this target, and its person does this there."""
        before = self._here.get(page)
        self._here[page] = (target, person)
        self._told.pop(page, None)
        self._changes({target} | ({before[0]} if before else set()))

    def leave(self, page: Page) -> None:
        """The page is gone."""
        before = self._here.pop(page, None)
        self._told.pop(page, None)
        if before:
            self._changes({before[0]})

    def _changes(self, targets: Collection[str]) -> None:
        self._changed.update(targets)
        self._woken.set()
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._live())

    async def _live(self) -> None:
        client = self._client(socket_timeout=PATIENCE_SECONDS)
        hearing = asyncio.create_task(self._hear())
        try:
            while (self._here or self._changed) and not _cancelled():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._renew_seconds):
                        await self._woken.wait()
                await asyncio.sleep(COALESCE_SECONDS)
                self._woken.clear()
                changed, self._changed = self._changed, set()
                await self._exchange(client, changed)
                for page, (target, own) in list(self._here.items()):
                    await self._tell(page, target, own)
        finally:
            hearing.cancel()
            self._elsewhere.clear()
            await client.aclose()

    async def _tell(self, page: Page, target: str, own: Person) -> None:
        """A person's own tabs are no company; what a page knows already is not told again."""
        people = [one for shown, one in self._here.values() if shown == target] + self._elsewhere.get(target, [])
        others = {(one.user, one.doing): one for one in people if one.user != own.user}
        rows = [{"name": one.name, "doing": one.doing, "words": words(one.doing)} for one in others.values()]
        data = json.dumps(sorted(rows, key=lambda row: (row["name"], row["doing"]))[:MOST_PEOPLE])
        if self._told.get(page) == data:
            return
        self._told[page] = data
        head = json.dumps({"type": "update", "topic": f"presence:{target}", "at": timezone.now().isoformat()})
        with suppress(Exception):  # the page has gone meanwhile: its consumer says so, nobody else need know
            await page.deliver(f'{head[:-1]}, "whole": true, "data": {{"people": {data}}}}}')

    async def _exchange(self, client: Any, changed: Collection[str]) -> None:
        """Tell the other processes of ours, and learn of theirs; with no Redis there are none."""
        targets = {shown for shown, _ in self._here.values()} | set(changed)
        try:
            now = (await client.time())[0]
            for target in targets:
                await self._write(client, target, now)
                self._elsewhere[target] = await self._read(client, target, now)
            for target in changed:
                await client.publish(CHANNEL, json.dumps({"target": target, "by": self._process}))
        except (redis.RedisError, OSError, ValueError, TypeError, KeyError) as error:
            logger.debug("who else looks is not known: %s", error)
            self._elsewhere.clear()

    async def _write(self, client: Any, target: str, now: int) -> None:
        ours = [[one.user, one.name, one.doing] for shown, one in self._here.values() if shown == target]
        if not ours:
            await client.hdel(KEY + target, self._process)
            return
        await client.hset(KEY + target, self._process, json.dumps({"at": now, "people": ours[:MOST_PEOPLE]}))
        await client.expire(KEY + target, LEASE_SECONDS)

    async def _read(self, client: Any, target: str, now: int) -> list[Person]:
        stored = {process: json.loads(text) for process, text in (await client.hgetall(KEY + target)).items()}
        living = [
            one for process, one in stored.items() if process != self._process and now - one["at"] <= LEASE_SECONDS
        ]
        return [Person(*person) for one in living for person in one["people"]]

    async def _hear(self) -> None:
        """For as long as somebody looks. A message that is lost costs what is left of RENEW_SECONDS."""
        while not _cancelled():
            try:
                async with self._client() as client, client.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(CHANNEL)
                    while not _cancelled():
                        message = await channel.get_message(timeout=self._renew_seconds)
                        if message and json.loads(message["data"])["by"] != self._process:
                            self._woken.set()
            except (redis.RedisError, OSError, ValueError, TypeError, KeyError) as error:
                logger.debug("other processes' people are not heard of: %s", error)
            await asyncio.sleep(self._renew_seconds)

    def _client(self, **options: Any) -> "redis.asyncio.Redis":
        return redis.asyncio.Redis.from_url(
            self._redis_url,
            decode_responses=True,
            socket_connect_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=LEASE_SECONDS,
            **options,
        )


def _cancelled() -> bool:
    """Whether the running task was asked to end, also where a library swallowed the exception that says so."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


_presences: "WeakKeyDictionary[asyncio.AbstractEventLoop, Presence]" = WeakKeyDictionary()


def presence() -> Presence:
    """That of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _presences:
        _presences[loop] = Presence(settings.REDIS_URL)
    return _presences[loop]
