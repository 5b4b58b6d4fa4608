"""Somebody else's OFREP server: fast-feature (PyPI), behind a door that counts requests, misbehaves, and announces
event streams, which fast-feature itself does not have."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from fast_feature.core import Flag
from fast_feature.ofrep import OfrepRouter
from fast_feature.storage.inmemory import InMemoryFlagRepository
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from tests.support.asgi import Served, serving

KEY = "elsewhere-key"
BULK = "/ofrep/v1/evaluate/flags"


class Elsewhere:
    """What it holds and how it behaves; set attributes from any thread."""

    def __init__(self) -> None:
        self.status = 200
        """Answer every evaluation with this status."""
        self.retry_after = ""
        self.announced: list[Any] | None = None
        """Announce these event streams."""
        self.refuse_stream = 0
        """Answer event streams with this status."""
        self.drop_etag = False
        self.asked: list[dict[str, Any]] = []
        """Each evaluation asked for: its context, key, ETag and query."""
        self.answered: list[int] = []
        """The status of each."""
        self.streams: list[str | None] = []
        """The Authorization header of each event stream asked for."""
        self.open_streams = 0
        self._events: list[str] = []
        self._drop = 0
        self._repository = InMemoryFlagRepository()
        self.app = FastAPI()
        self.app.include_router(OfrepRouter.build(self._repository))
        self.app.add_api_route("/events", self._stream, methods=["GET"])
        self.app.middleware("http")(self._door)

    def serve(self, key: str, variant: str, variants: dict[str, Any], targeting: dict[str, Any] | None = None) -> None:
        """Serve a flag from now on."""
        flag = Flag(key, variants, variant, targeting=targeting)
        # The test may be a coroutine itself; the repository's are done without waiting for anything.
        putting = threading.Thread(target=asyncio.run, args=(self._put(flag),))
        putting.start()
        putting.join()

    def strategy(self, name: str) -> None:
        """Serve this readiness strategy to everybody."""
        names = ("immediate", "fixed_delay", "dependency_gate")
        self.serve("readiness-strategy", name, {each: each for each in names})

    def announce(self, *entries: Any) -> None:
        """Announce these event streams; without any, its own."""
        self.announced = list(entries) or [{"type": "sse", "endpoint": {"requestUri": "/events?token=t"}}]

    def tell(self, **event: Any) -> None:
        """Send an event on every open stream."""
        self._events.append(json.dumps(event))

    def refetch(self) -> None:
        """Tell every open stream that flags changed."""
        self.tell(type="refetchEvaluation", etag='"from-the-stream"', lastModified=1771622898)

    def drop_streams(self) -> None:
        """End every event stream that is open now."""
        self._drop += 1

    async def _put(self, flag: Flag) -> None:
        known = await self._repository.get(flag.key)
        await (self._repository.update(flag) if known else self._repository.create(flag))

    async def _door(self, request: Request, call_next: Any) -> Response:
        if request.url.path != BULK:
            return await call_next(request)  # type: ignore[no-any-return]  # as Starlette's middleware types it
        body = await request.json()
        self.asked.append(
            {
                "context": body.get("context"),
                "key": request.headers.get("authorization") or request.headers.get("x-api-key"),
                "etag": request.headers.get("if-none-match"),
                "query": dict(request.query_params),
            }
        )
        if self.status != 200:
            self.answered.append(self.status)
            return Response(status_code=self.status, headers={"Retry-After": self.retry_after})
        answer = await call_next(request)
        self.answered.append(answer.status_code)
        return await self._dressed(answer)

    async def _dressed(self, answer: Any) -> Response:
        """fast-feature's own answer, with the event streams that are announced."""
        content = b"".join([chunk async for chunk in answer.body_iterator])
        if self.announced is not None and content:
            content = json.dumps({**json.loads(content), "eventStreams": self.announced}).encode()
        etag = answer.headers.get("etag", "")
        headers = {} if self.drop_etag else {"ETag": etag}
        return Response(content, answer.status_code, headers, media_type="application/json")

    async def _stream(self, request: Request) -> Response:
        self.streams.append(request.headers.get("authorization"))
        if self.refuse_stream:
            return Response(status_code=self.refuse_stream)
        return StreamingResponse(self._lines(), media_type="text/event-stream")

    async def _lines(self) -> AsyncIterator[str]:
        sent, drop = len(self._events), self._drop
        self.open_streams += 1
        try:
            yield ": connected\n\n"
            while self._drop == drop:
                for event in self._events[sent:]:
                    yield f"event: message\ndata: {event}\n\n"
                sent = len(self._events)
                await asyncio.sleep(0.005)
        finally:
            self.open_streams -= 1


@contextmanager
def elsewhere(server: Elsewhere, *, port: int = 0) -> Iterator[Served]:
    """Serve it for the block."""
    with serving(server.app, port=port) as served:
        try:
            yield served
        finally:
            server.drop_streams()
