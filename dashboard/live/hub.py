"""One hub per web process: it alone reads the database, computes each topic once, and hands it to all who listen.

Woken by Redis pub/sub and, whatever happens to Redis, by looking at the database every two seconds. A topic is
computed at most `per_second` times a second, and only where its pulse moved; a page that falls behind is dropped and
reconnects.
"""

import asyncio
import json
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Hashable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from dashboard.live.topics import Data, changes

logger = logging.getLogger(__name__)
POLL_SECONDS = 2.0
WHOLE_SECONDS = 5.0
"""Whatever its pulse says, a topic is computed as often as this: time passes, and what nothing confirms turns stale."""
HEARTBEAT_SECONDS = 1.0
SILENT_SECONDS = 45.0
"""A page answers each heartbeat; one that was silent for so long is asleep, and its buffer must not grow."""
SESSIONS_SECONDS = 2.0
"""How often it is looked whether the sessions of open pages still hold."""
MOST_SHARE = 0.15
"""Computing takes at most this share of a core over time: with very many targets, updates come less often."""
MOST_SAVED = 0.3
"""Seconds of processor time that quiet moments save up for a busy one."""
REFRESH_SECONDS = {"health": 0.0, "fleet": 1.0}
"""By topic, where they tell more than the database knows, and so what moves no pulse: in place of WHOLE_SECONDS."""
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

    def pulses(self, topics: Collection[str]) -> Mapping[str, Hashable]: ...

    def living(self, sessions: Collection[str], now: datetime) -> set[str]: ...

    def rest(self) -> None: ...


RunInThread = Callable[..., Awaitable[Any]]
Wakeups = Callable[["Hub"], Coroutine[Any, Any, None]]
"""Runs as long as somebody listens, and calls `wake`."""


class _Found(NamedTuple):
    """What the database thread made of a topic."""

    data: Data | None
    told: str | None
    """The JSON of what pages do not know yet; None where nothing changed."""


class Hub:
    """Lives on one event loop. `wake` may be called from that loop only."""

    def __init__(self, topics: TopicSource, run: RunInThread, wakeups: Wakeups, *, per_second: float) -> None:
        self._topics = topics
        self._run = run
        self._wakeups = wakeups
        self._gap = 1 / per_second
        self._listeners: dict[str, dict[Listener, bool]] = {}
        """By topic; True once it was told the whole: only then do updates mean anything to it."""
        self._shown: dict[str, Data] = {}
        self._whole: dict[str, str] = {}
        self._pulses: dict[str, Hashable] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._resting: asyncio.Future[Any] | None = None
        self._extra: Data = {}
        self._computed_at: dict[str, float] = {}
        self._allowance = MOST_SAVED
        self._allowed_at = time.monotonic()
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
            self._listeners.setdefault(topic, {})[listener] = False
        self._start()
        for topic in names:
            # One at a time, and none during an update: what a page is told next builds on what it is told here.
            async with self._turns[topic]:
                if topic not in self._shown:
                    await self._compute_first(topic)
                if topic in self._shown and listener in self._listeners.get(topic, ()):
                    self._listeners[topic][listener] = True
                    await listener.deliver(_update(topic, self._whole_of(topic), whole=True))

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
            self._listeners[topic].pop(listener, None)
            if not self._listeners[topic]:
                del self._listeners[topic]
                for kept in (self._shown, self._whole, self._pulses, self._computed_at):
                    kept.pop(topic, None)
                if not self._turns[topic].locked():
                    del self._turns[topic]

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
        while True:
            await _wait(self._woken, POLL_SECONDS)
            self._woken.clear()
            started = time.monotonic()
            try:
                await self._publish()
                self._failing_since = None
            except Exception:
                # The database may be away for a while: pages say so, the loop goes on.
                if self._failing_since is None:
                    self._failing_since = timezone.now()
                    logger.exception("live updates cannot read the database; trying again every %s s", POLL_SECONDS)
            await asyncio.sleep(max(0.0, started + self._gap - time.monotonic(), self._overdrawn()))

    def _overdrawn(self) -> float:
        """Seconds until as much processor time is allowed as was spent; 0 where there is some left."""
        now = time.monotonic()
        self._allowance = min(MOST_SAVED, self._allowance + (now - self._allowed_at) * MOST_SHARE)
        self._allowed_at = now
        return max(0.0, -self._allowance / MOST_SHARE)

    async def _publish(self) -> None:
        pulses: Mapping[str, Hashable] = await self._timed(self._topics.pulses, list(self._listeners))
        # What most pages show comes first.
        for topic in sorted(pulses, key=lambda topic: -len(self._listeners.get(topic, ()))):
            age = time.monotonic() - self._computed_at.get(topic, 0.0)
            if age >= REFRESH_SECONDS.get(topic, WHOLE_SECONDS) or self._pulses.get(topic) != pulses[topic]:
                await self._tell(topic, pulses[topic])

    async def _tell(self, topic: str, pulse: Hashable) -> None:
        async with self._turns[topic]:
            whole = topic not in self._shown
            told = await self._compute(topic)
            if topic in self._listeners:
                self._pulses[topic] = pulse
                if told is not None:
                    await self._broadcast(topic, told, whole=whole)

    async def _compute_first(self, topic: str) -> None:
        """Its pulse is read before: what is written in between is found by the next look."""
        pulses = {} if topic in REFRESH_SECONDS else await self._timed(self._topics.pulses, [topic])
        await self._compute(topic)
        if topic in self._listeners:
            self._pulses.update(pulses)

    async def _compute(self, topic: str) -> str | None:
        """Keep what the topic says now; the update of it for those who know what was kept before."""
        before = self._shown.get(topic)
        self._computed_at[topic] = time.monotonic()
        found: _Found = await self._timed(self._work, topic, before)
        if topic not in self._listeners:
            self._computed_at.pop(topic, None)
            return None
        if found.data is None:
            return None
        self._shown[topic] = found.data
        if found.told is None:
            return None
        self._whole.pop(topic, None)
        return _update(topic, found.told, whole=before is None)

    def _work(self, topic: str, before: Data | None) -> _Found:
        """In the database thread, and so is the encoding: the event loop has fifty pages to serve."""
        data = self._topics.compute(topic, timezone.now())
        if data is None:
            return _Found(None, None)
        if topic == "health":
            data = {**data, **self._extra}
        told = changes(before, data) if topic == "overview" else data
        return _Found(data, _json(told) if data != before else None)

    def _whole_of(self, topic: str) -> str:
        """Encoded once for all pages that come between two changes: after a restart they come all at once."""
        if topic not in self._whole:
            self._whole[topic] = _json(self._shown[topic])
        return self._whole[topic]

    async def _timed(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The result of `work` in the thread; its processor time counts as spent, waiting for the database does not."""

        def measured() -> tuple[Any, float]:
            began = time.thread_time()
            return work(*arguments), time.thread_time() - began

        found, spent = await self._run(measured)
        self._allowance -= spent
        return found

    async def _broadcast(self, topic: str, text: str, *, whole: bool) -> None:
        for listener, knows in list(self._listeners.get(topic, {}).items()):
            if (knows or whole) and listener in self._listeners.get(topic, {}):
                self._listeners[topic][listener] = True
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
    # Not `wait_for`: in Python 3.11 it can lose a cancellation that comes as the event is set.
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _update(topic: str, data: str, *, whole: bool) -> str:
    """The message around data that is JSON already."""
    message = _json({"type": "update", "topic": topic, "at": timezone.now(), "whole": whole})
    return f'{message[:-1]},"data":{data}}}'


def _json(message: Data) -> str:
    return json.dumps(message, cls=DjangoJSONEncoder, separators=(",", ":"))
