"""The live socket of one page. It does no database work: the session is read at the handshake, topics by the hub."""

import asyncio
import json
import time
from contextlib import suppress
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.dispatch import receiver
from django.utils import timezone

from connections.signals import server_reported
from dashboard.database_thread import DatabaseThread
from dashboard.live.hub import Hub
from dashboard.live.presence import Person, presence, understood
from dashboard.live.topics import default_topics
from dashboard.live.wakeups import follow
from dashboard.models import User
from dashboard.permissions import RESPONDER, allows

MOST_TOPICS = 8
LONGEST_MESSAGE = 4_000
_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running loop, started at its first use."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        # One thread of its own: pages keep theirs, and topics are computed one after another.
        database = DatabaseThread("hub")
        follow_redis = partial(follow, url=settings.REDIS_URL)
        made = Hub(default_topics(), database.run, follow_redis, per_second=settings.LIVE_UPDATES_PER_SECOND)
        _hubs[loop] = made
    return _hubs[loop]


@receiver(server_reported)
def wake_hubs(*, news: bool = False, **_: Any) -> None:
    """The hubs of this process, from the thread that stored a report: pages tell at once who holds what. Other
    processes find it within two seconds."""
    for loop, one in list(_hubs.items()):
        if news:
            with suppress(RuntimeError):  # the loop has been closed
                loop.call_soon_threadsafe(one.wake)


class LiveConsumer(AsyncWebsocketConsumer):
    """JSON text frames. The page says `subscribe`, `seen` and `presence` (which target it shows, which act is open
    there); we say `hello`, `heartbeat`, `update` and `error`."""

    last_heard = 0.0
    session = ""

    async def connect(self) -> None:
        """Refuse the handshake (HTTP 403) for those who are not signed in."""
        user = self.scope.get("user")
        if user is None or not user.is_authenticated:
            await self.close()
            return
        self.last_heard = time.monotonic()
        self.session = self.scope["session"].session_key or ""
        await self.accept()
        await self.send(text_data=json.dumps({"type": "hello", "at": timezone.now().isoformat()}))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """A subscription replaces the one before. Anything that is not one is told so, and changes nothing."""
        self.last_heard = time.monotonic()
        message = _message(text_data)
        if message is None:
            await self._refuse("Send JSON text: an object with a type.")
        elif message.get("type") == "subscribe":
            await self._subscribe(message)
        elif message.get("type") == "presence":
            await self._be_present(message)
        elif message.get("type") != "seen":
            await self._refuse("type: this socket knows subscribe, seen and presence.")

    async def _subscribe(self, message: dict[str, Any]) -> None:
        topics = message.get("topics")
        if not isinstance(topics, list) or len(topics) > MOST_TOPICS or not all(_is_topic(topic) for topic in topics):
            await self._refuse(
                f"topics: a list of at most {MOST_TOPICS} of overview, health, fleet, target:SLUG, flags:ENV."
            )
            return
        await hub().subscribe(self, list(dict.fromkeys(topics)))

    async def _be_present(self, message: dict[str, Any]) -> None:
        """The name is the signed-in person's. Whether the target exists is not asked: that would need the database."""
        target, doing = message.get("target"), message.get("doing")
        if not understood(target, doing):
            await self._refuse("presence: target, a slug; doing, an act's name or empty.")
            return
        user = cast("User", self.scope["user"])  # loaded and signed in, or there would be no socket
        acting = str(doing) if allows(user, RESPONDER) else ""
        presence().say(self, str(target), Person(user.pk, user.name, acting))

    async def disconnect(self, code: int) -> None:
        if self.last_heard:
            hub().leave(self)
            presence().leave(self)

    async def deliver(self, text: str) -> None:
        await self.send(text_data=text)

    async def drop(self, code: int) -> None:
        await self.close(code=code)

    async def _refuse(self, reason: str) -> None:
        await self.send(text_data=json.dumps({"type": "error", "message": reason}))


def _is_topic(topic: object) -> bool:
    return isinstance(topic, str) and hub().known(topic)


def _message(text: str | None) -> dict[str, Any] | None:
    if text is None or len(text) > LONGEST_MESSAGE:
        return None
    try:
        message = json.loads(text)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
