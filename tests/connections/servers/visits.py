"""What clients meet at an example that a real server runs: one visit, told as facts."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from dashboard.env import BASE_DIR
from tests.support.asgi_servers import Kind, Running, running

EXAMPLES = BASE_DIR / "examples"
EARLY = [f"message {number}" for number in range(20)]
RIGHT = "bearer.change-me"
WRONG = ("bearer.changeme", "bearer.", "bearer.bearer.change-me", "basic.change-me", "bearer.CHANGE-ME", "jwt")
"""Tokens of every wrong sort that can be said in a subprotocol; the empty one is an offer of none at all."""


@dataclass
class Visit:
    """What one server did with one example. `records` are the gate's, by how their connections ended."""

    headers: dict[str, str] = field(default_factory=dict)
    subprotocol: str | None = None
    frames: list[dict[str, Any]] = field(default_factory=list)
    refused_tokens: list[tuple[int | None, str]] = field(default_factory=list)
    drained_code: int | None = None
    newcomer_status: int | None = None
    exit_status: int = 0
    records: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    log: str = ""


def visit(kind: Kind, example: str) -> Visit:
    """Talk to `example` under `kind`, leave it early, try wrong tokens, and stop it while connected."""
    found = Visit()
    with running(kind, f"{example}:app", EXAMPLES) as server:
        asyncio.run(_talk(server, found))
        found.exit_status = server.wait()
        for record in server.records():
            found.records.setdefault(record["cause"], []).append(record)
        found.log = server.log
    return found


async def _talk(server: Running, found: Visit) -> None:
    async with connect(server.ws, subprotocols=offers("chat", RIGHT)) as client:
        for text in EARLY:
            await client.send(text)
        found.subprotocol = client.subprotocol
        assert client.response is not None
        found.headers = {name.lower(): value for name, value in client.response.headers.raw_items()}
        found.frames = [await _frame(client) for _ in range(1 + len(EARLY))]
    async with connect(server.ws, subprotocols=offers("chat", RIGHT)):
        pass  # leaves while its session is being set up
    for token in WRONG:
        async with connect(server.ws, subprotocols=offers("chat", token)) as client:
            found.refused_tokens.append(await closed(client))
    async with connect(server.ws, subprotocols=offers("chat", RIGHT)) as client:
        await client.send("hello")
        assert [(await _frame(client))["type"] for _ in range(2)] == ["connection_ready", "answer"]
        await asyncio.to_thread(_ended, server, 2 + len(WRONG))
        server.terminate()
        found.newcomer_status = await _refusal(server)
        found.drained_code, _ = await closed(client)


def _ended(server: Running, count: int) -> None:
    server.ended(count)


async def _refusal(server: Running) -> int | None:
    """The status that a newcomer gets once the drain has begun; None where the server no longer listens."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with connect(server.ws, subprotocols=offers("chat", RIGHT)):
                    pass
            except InvalidStatus as refusal:
                return refusal.response.status_code
            except OSError:
                return None


def offers(*names: str) -> list[Subprotocol]:
    return [Subprotocol(name) for name in names]


async def _frame(client: ClientConnection) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), 20))
    return frame


async def closed(client: ClientConnection, seconds: float = 20) -> tuple[int | None, str]:
    """Read on until the connection closes; the close frame's code and reason, or None where it had none at all."""
    async with asyncio.timeout(seconds):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (None, "")
