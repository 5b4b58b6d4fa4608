"""Real WebSocket servers on port 0 that speak the reference chat, or say nothing at all."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from probes.engine.script import CRITICAL_EVENTS


async def honest(connection: ServerConnection) -> None:
    """Ready at once; answers every message with the five events in order."""
    await connection.send(json.dumps({"type": "connection_ready", "connection_id": "c", "epoch": 1, "next_seq": 1}))
    async for text in connection:
        run = json.loads(text).get("run_id")
        for n, event in enumerate(CRITICAL_EVENTS, 1):
            message = {"type": event, "run_id": run, "epoch": 1, "seq": n}
            if event.startswith("tool_"):
                message |= {"tool_name": "search", "call_id": "1"}
            if event == "agent_completed":
                message["last_seq"] = n
            await connection.send(json.dumps(message))


async def silent(connection: ServerConnection) -> None:
    """Accepts, and never says anything."""
    await connection.wait_closed()


async def _chosen(connection: ServerConnection) -> None:
    assert connection.request is not None
    await (silent if connection.request.path == "/silent" else honest)(connection)


@contextmanager
def chat_server() -> Iterator[str]:
    """The address of a server in a thread of its own: honest at every path but /silent."""
    started, stop = threading.Event(), threading.Event()
    ports: list[int] = []

    async def run() -> None:
        protocols = [Subprotocol("readywire.chat.v1")]
        async with serve(_chosen, "127.0.0.1", 0, subprotocols=protocols, compression=None) as server:
            ports.append(next(iter(server.sockets)).getsockname()[1])
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    try:
        assert started.wait(5)
        yield f"ws://127.0.0.1:{ports[0]}"
    finally:
        stop.set()
        thread.join(10)
