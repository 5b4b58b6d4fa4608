"""One hub per web process: it alone reads the database, computes each topic once, and hands it to all who listen.

Woken by Redis pub/sub and, whatever happens to Redis, by looking at the database every two seconds. A topic is
computed at most `per_second` times a second; a page that falls behind is dropped and reconnects.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from datetime import datetime
from typing import Any, Protocol

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from dashboard.live.topics import Data, changed_rows

logger = logging.getLogger(__name__)
POLL_SECONDS = 2.0
HEARTBEAT_SECONDS = 1.0
SILENT_SECONDS = 45.0
"""A page answers each heartbeat; one that was silent for so long is asleep, and its buffer must not grow."""
SESSIONS_SECONDS = 2.0
"""How often it is looked whether the sessions of open pages still hold."""
MOST_SHARE = 0.15
"""Computing and telling takes at most this share of the time: with very many targets, updates come less often."""
SLEPT, SIGNED_OUT = 4408, 4401
"""Close codes. After the second the page asks for a new sign-in."""


class Listener(Protocol):
    """A page's socket, as the hub sees it."""

    last_heard: float
    session: str
    """The key of the session it was opened in."""

    async def deliver(self, text: str) -> None: ...

    async def drop(self, code: int) -> None: ...


class TopicSource(Protocol):
    """What the hub needs of `dashboard.live.topics.Topics`; called in a worker thread, one call at a time."""

    def known(self, topic: str) -> bool: ...

    def compute(self, topic: str, now: datetime) -> Data | None: ...

    def pulse(self) -> tuple[Any, ...]: ...

    def living(self, sessions: Collection[str], now: datetime) -> set[str]: ...

    def rest(self) -> None: ...


RunInThread = Callable[..., Awaitable[Any]]
Wakeups = Callable[["Hub"], Coroutine[Any, Any, None]]
"""Runs as long as somebody listens, and calls `wake`."""


class Hub:
    """Lives on one event loop. `wake` may be called from that loop only."""

    def __init__(self, topics: TopicSource, run: RunInThread, wakeups: Wakeups, *, per_second: float) -> None:
        self._topics = topics
        self._run = run
        self._wakeups = wakeups
        self._gap = 1 / per_second
        self._listeners: dict[str, set[Listener]] = {}
        self._shown: dict[str, Data] = {}
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._resting: asyncio.Future[Any] | None = None
        self._extra: Data = {}
        self._failing_since: datetime | None = None

    def known(self, topic: str) -> bool:
        """Whether a page may subscribe to this name."""
        return self._topics.known(topic)

    @property
    def redis_away_since(self) -> str | None:
        """ISO time since when Redis does not answer."""
        since: str | None = self._extra.get("redis_away_since")
        return since

    @property
    def listeners(self) -> set[Listener]:
        return {listener for group in self._listeners.values() for listener in group}

    async def subscribe(self, listener: Listener, topics: Iterable[str]) -> None:
        """Listen to exactly these topics; each is told whole at once, so this also resynchronises."""
        self._forget(listener)
        names = list(topics)
        for topic in names:
            self._listeners.setdefault(topic, set()).add(listener)
        self._start()
        for topic in names:
            data = self._shown.get(topic) or await self._compute(topic)
            if data is not None and listener in self._listeners.get(topic, ()):
                await listener.deliver(_update(topic, data, whole=True))

    def leave(self, listener: Listener) -> None:
        """Forget a listener; the hub rests when nobody is left."""
        self._forget(listener)
        if not self._listeners:
            self._rest()

    def wake(self) -> None:
        """Something was recorded: compute again, within the rate."""
        self._woken.set()

    def tell_health(self, **facts: Any) -> None:
        """Facts about ourselves that the database does not know, such as since when Redis is away."""
        if {**self._extra, **facts} != self._extra:
            self._extra.update(facts)
            self.wake()

    def _forget(self, listener: Listener) -> None:
        for topic in list(self._listeners):
            self._listeners[topic].discard(listener)
            if not self._listeners[topic]:
                del self._listeners[topic]
                self._shown.pop(topic, None)

    def _start(self) -> None:
        if not self._tasks:
            duties = (self._update_loop(), self._heartbeat_loop(), self._sessions_loop(), self._wakeups(self))
            self._tasks = [asyncio.create_task(duty) for duty in duties]

    def _rest(self) -> None:
        for task in self._tasks:
            task.cancel()
        # Kept, so that it is not collected before it has run.
        self._resting = asyncio.ensure_future(self._run(self._topics.rest))
        self._tasks = []

    async def _update_loop(self) -> None:
        pulse: tuple[Any, ...] | None = None
        while True:
            woken = await _wait(self._woken, POLL_SECONDS)
            self._woken.clear()
            started = time.monotonic()
            try:
                latest = await self._run(self._topics.pulse)
                if woken or latest != pulse or "health" in self._listeners:
                    await self._publish(everything=woken or latest != pulse)
                pulse = latest
                self._failing_since = None
            except Exception:
                # The database may be away for a while: pages say so, the loop goes on.
                if self._failing_since is None:
                    self._failing_since = timezone.now()
                    logger.exception("live updates cannot read the database; trying again every %s s", POLL_SECONDS)
            took = time.monotonic() - started
            await asyncio.sleep(max(0.0, self._gap - took, took / MOST_SHARE - took))

    async def _publish(self, *, everything: bool) -> None:
        for topic in list(self._listeners) if everything else ["health"]:
            before = self._shown.get(topic)
            data = await self._compute(topic)
            if data is not None and data != before and topic in self._listeners:
                told = changed_rows(before, data) if topic == "overview" else data
                await self._broadcast(topic, _update(topic, told, whole=before is None))

    async def _compute(self, topic: str) -> Data | None:
        data: Data | None = await self._run(self._topics.compute, topic, timezone.now())
        if data is None:
            return None
        whole = {**data, **self._extra} if topic == "health" else data
        if topic in self._listeners:
            self._shown[topic] = whole
        return whole

    async def _broadcast(self, topic: str, text: str) -> None:
        for listener in list(self._listeners.get(topic, ())):
            await listener.deliver(text)

    async def _heartbeat_loop(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            away = {"database_away_since": self._failing_since} if self._failing_since else {}
            text = _json({"type": "heartbeat", "at": timezone.now(), **away})
            limit = time.monotonic() - SILENT_SECONDS
            for listener in self.listeners:
                if listener.last_heard < limit:
                    await listener.drop(SLEPT)
                else:
                    await listener.deliver(text)

    async def _sessions_loop(self) -> None:
        while True:
            await asyncio.sleep(SESSIONS_SECONDS)
            asked = {listener.session for listener in self.listeners}
            try:
                holding = await self._run(self._topics.living, asked, timezone.now())
            except Exception:
                # The update loop says on every page that the database is away; nobody is signed out by that.
                logger.debug("sessions cannot be read", exc_info=True)
                continue
            for listener in self.listeners:
                if listener.session in asked - holding:
                    await listener.drop(SIGNED_OUT)


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _update(topic: str, data: Data, *, whole: bool) -> str:
    return _json({"type": "update", "topic": topic, "at": timezone.now(), "whole": whole, "data": data})


def _json(message: Data) -> str:
    return json.dumps(message, cls=DjangoJSONEncoder, separators=(",", ":"))
