"""Applications behind a gate, and clients in front of it, for the tests of the gate."""

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from connections.gate import readiness
from connections.gate.connection import Application, Scope
from connections.gate.inbound import Receive
from connections.gate.lifecycle import DEADLINES, Deadline, State
from connections.gate.outbound import Send
from tests.support.waiting import await_until

ACCEPT = {"type": "websocket.accept"}


def soon(state: State, seconds: float = 0.1) -> dict[State, Deadline]:
    """The deadline of `state`, shortened."""
    return {state: Deadline(seconds, DEADLINES[state].consequence)}


class Chat:
    """An ASGI application whose setup goes on until `set_up` is set, beside a message loop that runs from accept on."""

    def __init__(self, *services: str) -> None:
        self.services = services
        self.heard: list[str] = []
        self.heard_early: list[str] = []
        self.is_set_up = False
        self.gone = 0
        self.running = 0
        self._go = threading.Event()

    def set_up(self) -> None:
        """Let the setup finish, from any thread."""
        self._go.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        self.running += 1
        setup = asyncio.create_task(self._setup(scope))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                (self.heard if self.is_set_up else self.heard_early).append(message["text"])
                await send({"type": "websocket.send", "text": json.dumps({"type": "echo", "text": message["text"]})})
            self.gone += 1
        finally:
            self.running -= 1
            setup.cancel()

    async def _setup(self, scope: Scope) -> None:
        await await_until(self._go.is_set)
        self.is_set_up = True
        for service in self.services:
            readiness(scope).service_ready(service)


def plain(conversation: Callable[[Scope, Receive, Send], Any]) -> Application:
    """An application that takes the connect and then does as told."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await conversation(scope, receive, send)

    return application


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts and echoes until the client leaves; knows nothing of any gate."""
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def next_json(client: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), 5))
    return message


async def closed(client: ClientConnection) -> int | None:
    """Read on until the connection closes; returns its code."""
    async with asyncio.timeout(5):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else None
