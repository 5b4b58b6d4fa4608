"""The product's OFREP interface in this process: flags and keys as a test sets them, and faults on the way.

Real: the ASGI application of programs' requests, its watcher, HTTP over a socket. In place of the database, the watcher
reads this object.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import override_settings

from connections.flags import keys
from connections.flags.keys import Holder
from connections.flags.versions import FlagSet
from dashboard import revisions
from dashboard.api import events
from dashboard.api.short_way import short_way
from dashboard.snapshots import Snapshot
from tests.support.asgi import serving

BULK = "/ofrep/v1/evaluate/flags"
STREAM = "/ofrep/v1/events"


@dataclass
class Asked:
    """One request and what it was answered."""

    path: str
    at: float
    credential: str
    last_event_id: str | None
    if_none_match: str | None
    status: int = 0


class World:
    """What is served, and how it misbehaves. Set from any thread."""

    def __init__(self, flags: dict[str, Any]) -> None:
        self.flags = flags
        self.revision = 1
        self.url = ""
        self.asked: list[Asked] = []
        self.failing: dict[str, int] = {}
        """So many of a key's next bulk requests are answered 500."""
        self._made = 0
        self._keys: dict[str, Holder] = {}
        self._open: dict[asyncio.Task[None], asyncio.AbstractEventLoop] = {}
        self._app = short_way(_nothing)

    def key(self) -> str:
        """A new key."""
        self._made += 1
        key = f"{keys.START}{self._made:043}"
        self._keys[keys.key_hash(key)] = Holder(self._made, "staging", "client", keys.key_hash(key))
        return key

    def holder(self, key: str) -> Holder | None:
        """In place of `keys.verify`."""
        return self._keys.get(keys.key_hash(key))

    def revoke(self, key: str) -> None:
        del self._keys[keys.key_hash(key)]
        revisions.wake_all()

    def serve(self, **flags: Any) -> None:
        """Serve other definitions for these flags, as a new revision."""
        self.flags = {**self.flags, **flags}
        self.revision += 1
        revisions.wake_all()

    def drop_streams(self) -> None:
        """Close every event stream that is open now."""
        for task, loop in list(self._open.items()):
            loop.call_soon_threadsafe(task.cancel)

    def requests(self, path: str, key: str) -> list[Asked]:
        """Those of one key, or of its event stream's credential."""
        holder = self._keys.get(keys.key_hash(key))
        token = keys.stream_token(holder) if holder else ""
        return [one for one in self.asked if one.path == path and one.credential in (key, token)]

    def read(self, held: dict[str, Snapshot]) -> Any:
        """In place of `dashboard.revisions._read`."""
        flags = FlagSet("staging", self.revision, self.revision, self.flags)
        fresh = (
            [Snapshot(flags, 1_700_000_000)]
            if "staging" not in held or held["staging"].revision != self.revision
            else []
        )
        return revisions._Reading(dict(self._keys), fresh)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        asked = _asked(scope)
        self.asked.append(asked)

        async def sending(message: Any) -> None:
            asked.status = message.get("status", asked.status)
            await send(message)

        if asked.path == BULK and self.failing.get(asked.credential):
            self.failing[asked.credential] -= 1
            await _answer(sending, 500)
            return
        task = asyncio.ensure_future(self._app(scope, receive, sending))
        if asked.path == STREAM:
            self._open[task] = asyncio.get_running_loop()
            task.add_done_callback(lambda done: self._open.pop(done, None))
        # A stream that is dropped returns half-way: uvicorn then closes the connection.
        await asyncio.wait([task])


def _asked(scope: Any) -> Asked:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    token = scope["query_string"].decode().removeprefix("token=")
    return Asked(
        path=scope["path"],
        at=time.monotonic(),
        credential=headers.get("authorization", "").removeprefix("Bearer ") or token,
        last_event_id=headers.get("last-event-id"),
        if_none_match=headers.get("if-none-match"),
    )


async def _answer(send: Any, status: int) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    await _answer(send, 404)


@contextmanager
def ofrep_world(flags: dict[str, Any]) -> Iterator[World]:
    """A world at `world.url`. Event streams ask clients to come back after 50 ms, and repeat events every 300 ms."""
    world = World(flags)
    with pytest.MonkeyPatch.context() as patch, override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        patch.setattr(revisions, "_read", world.read)
        patch.setattr(keys, "verify", world.holder)
        patch.setattr(keys, "note_use", lambda *_: None)
        patch.setattr(events, "REPEAT_SECONDS", 0.3)
        patch.setattr(events, "_OPENING", b"retry: 50\n\n")
        with serving(world) as served:
            world.url = served.http
            yield world
            world.drop_streams()
