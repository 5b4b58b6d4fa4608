"""A real chat service on port 0 that speaks the contract's wire, and can be told to misbehave."""

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from probes.engine.script import CRITICAL_EVENTS

READY: dict[str, Any] = {
    "type": "connection_ready", "connection_id": "c1", "epoch": "e1", "next_seq": 1, "mode": "normal",
    "strategy": "dependency_gate", "flags_revision": 7, "phases_ms": {}, "nonce": "n1",
}  # fmt: skip

Events = Sequence[dict[str, Any]]


def run_of(run_id: str, names: Sequence[str] = CRITICAL_EVENTS, epoch: str = "e1") -> list[dict[str, Any]]:
    """The events of one run, numbered from 1, the last naming the last number."""
    events: list[dict[str, Any]] = [
        {"type": name, "run_id": run_id, "epoch": epoch, "seq": seq} for seq, name in enumerate(names, 1)
    ]
    events[-1]["last_seq"] = len(names)
    return events


@dataclass
class ChatServer:
    """What the service does, and what it saw."""

    answer: Callable[[str], Events] = run_of
    """The events it sends for a run id."""
    greeting: dict[str, Any] | None = field(default_factory=lambda: dict(READY))
    """Its first frame; None: it says nothing."""
    close: tuple[int, str] | None = None
    """Closes so after it answered, or after the greeting where `answer` gives nothing to close after."""
    close_before_answer: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    subprotocols: list[str] = field(default_factory=lambda: ["readywire.chat.v1"])
    received: list[dict[str, Any]] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    requests: list[Headers] = field(default_factory=list)
    close_codes: list[int | None] = field(default_factory=list)
    """The close code that each finished connection received from its client."""
    url: str = ""

    async def _talk(self, connection: ServerConnection) -> None:
        try:
            await self._converse(connection)
        except ConnectionClosed:
            pass
        finally:
            await connection.wait_closed()
            self.close_codes.append(connection.protocol.close_rcvd.code if connection.protocol.close_rcvd else None)

    async def _converse(self, connection: ServerConnection) -> None:
        if self.greeting is not None:
            await connection.send(json.dumps(self.greeting))
        if self.close is not None and self.close_before_answer:
            await connection.close(*self.close)
        async for text in connection:
            message = json.loads(text)
            self.received.append(message)
            if message["type"] != "user_message":
                continue
            for event in self.answer(message["run_id"]):
                await connection.send(json.dumps(event))
            if self.close is not None:
                await connection.close(*self.close)

    def _note_request(self, _connection: ServerConnection, request: Request) -> None:
        self.requests.append(request.headers)
        for value in request.headers.get_all("Sec-WebSocket-Protocol"):
            self.offered += [name.strip() for name in value.split(",")]

    def _add_headers(self, _connection: ServerConnection, _request: Request, response: Response) -> None:
        for name, value in self.headers.items():
            response.headers[name] = value

    @asynccontextmanager
    async def run(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["ChatServer"]:
        """Serve on a free port of 127.0.0.1."""
        async with serve(
            self._talk,
            "127.0.0.1",
            0,
            ssl=tls,
            subprotocols=[Subprotocol(name) for name in self.subprotocols],
            process_request=self._note_request,
            process_response=self._add_headers,
            compression=None,
        ) as server:
            self.url = f"{'wss' if tls else 'ws'}://{'localhost' if tls else '127.0.0.1'}:{port_of(server)}/ws/chat"
            yield self


def port_of(server: Server) -> int:
    """The port a server listens on."""
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port


@contextmanager
def serving(server: ChatServer, tls: ssl.SSLContext | None = None) -> Iterator[ChatServer]:
    """The service in a thread of its own, for tests whose other end runs a loop itself, or is another process."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with server.run(tls):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    try:
        assert ready.wait(5)
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
