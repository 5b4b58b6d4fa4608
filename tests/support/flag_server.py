"""A real flag server in miniature: conditional GET, event stream, reports; and every way of misbehaving."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.support.asgi import Served, serving

KEY = "rws_0123456789012345678901234567890123456789012"


def variants(*names: str, serve: str) -> dict[str, Any]:
    """A definition whose variants are named as their values."""
    return {"state": "ENABLED", "variants": {name: name for name in names}, "defaultVariant": serve}


def strategy(name: str) -> dict[str, Any]:
    """A flag set that serves the strategy `name`."""
    return {"readiness-strategy": variants("immediate", "fixed_delay", "dependency_gate", "unheard_of", serve=name)}


class FlagServer:
    """What it holds and how it behaves; set attributes from any thread."""

    def __init__(self) -> None:
        self.environment = "staging"
        self.revision = 1
        self.flags: dict[str, Any] = strategy("dependency_gate")
        self.status = 200
        """Answer everything with this status."""
        self.garbage: str | None = None
        """Answer definitions with this text."""
        self.hang = False
        """Take requests and never answer."""
        self.carries = False
        """Events carry the definitions for those who ask for them."""
        self.told_late = 0
        """Events tell of this older revision, as those that an answer has overtaken; 0: of the current one."""
        self.silent_stream = False
        """Open the event stream and send nothing on it."""
        self.reports: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str | None]] = []
        """(path, If-None-Match or Last-Event-ID) of each request."""
        self.streams = 0
        self._drop = 0
        self._lock = threading.Lock()
        self.app = Starlette(
            routes=[
                Route("/api/v1/definitions", self._definitions),
                Route("/api/v1/definitions/stream", self._stream),
                Route("/api/v1/servers/report", self._report, methods=["POST"]),
            ]
        )

    @property
    def etag(self) -> str:
        return f'"{self.revision}-0123456789abcdef"'

    def change(self, flags: dict[str, Any]) -> int:
        """Serve `flags` as a new revision; returns its number."""
        with self._lock:
            self.flags = flags
            self.revision += 1
            return self.revision

    def drop_streams(self) -> None:
        """End every event stream that is open now."""
        self._drop += 1

    def counted(self, strategy_name: str) -> dict[str, int]:
        """Connections under one strategy, by cause, as last reported."""
        counts: dict[str, int] = self.reports[-1]["connections"].get(strategy_name, {}) if self.reports else {}
        return counts

    def reported(self, count: int) -> bool:
        """So many reports have arrived."""
        return len(self.reports) >= count

    async def _turned_away(self, request: Request, header: str) -> Response | None:
        self.requests.append((request.url.path, request.headers.get(header)))
        while self.hang:  # noqa: ASYNC110 - set from another thread, where an asyncio.Event could not be
            await asyncio.sleep(0.02)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return Response(status_code=401)
        return None if self.status == 200 else Response(status_code=self.status)

    async def _definitions(self, request: Request) -> Response:
        if (refusal := await self._turned_away(request, "if-none-match")) is not None:
            return refusal
        if self.garbage is not None:
            return Response(self.garbage, media_type="application/json")
        with self._lock:
            body = {"environment": self.environment, "revision": self.revision, "flags": self.flags}
            etag = self.etag
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"ETag": etag})
        return Response(json.dumps(body), media_type="application/json", headers={"ETag": etag})

    async def _stream(self, request: Request) -> Response:
        if (refusal := await self._turned_away(request, "last-event-id")) is not None:
            return refusal
        carries = self.carries and request.query_params.get("with") == "definitions"
        events = self._events(request.headers.get("last-event-id"), carries)
        return StreamingResponse(events, media_type="text/event-stream")

    async def _events(self, last_event_id: str | None, carries: bool) -> AsyncIterator[str]:
        drop, told = self._drop, last_event_id
        self.streams += 1
        try:
            yield ": connected\n\n"
            while self._drop == drop:
                if told != str(self.revision) and not self.silent_stream:
                    told = str(self.revision)
                    data = {"type": "refetchEvaluation", "etag": self.etag, "revision": self.revision}
                    if carries:
                        data |= {"environment": self.environment, "flags": self.flags}
                    if self.told_late:
                        data |= {"etag": '"of long ago"', "revision": self.told_late}
                    yield f"id: {told}\nevent: message\ndata: {json.dumps(data)}\n\n"
                await asyncio.sleep(0.005)
        finally:
            self.streams -= 1

    async def _report(self, request: Request) -> Response:
        if (refusal := await self._turned_away(request, "if-none-match")) is not None:
            return refusal
        self.reports.append(await request.json())
        return Response(status_code=204)


@contextmanager
def flag_server(server: FlagServer, *, port: int = 0) -> Iterator[Served]:
    """Serve `server` for the block."""
    with serving(server.app, port=port) as served:
        try:
            yield served
        finally:
            server.hang = False
            server.drop_streams()
