"""The servers that `benchmarks.gate_overhead` compares, each a process of its own: bare|gate PORT.

One ASGI application with nothing to set up, bare or behind a ReadinessGate as it comes: it answers every message with
one event. uvicorn without access log and without its own pings, which a silent client would not survive.
"""

import sys
from typing import Any

import uvicorn

from connections.gate import ReadinessGate

ANSWER = '{"type": "agent_thinking", "run_id": "r1", "text": "so much for that, and what would be next?"}'
_ACCEPT = {"type": "websocket.accept"}
_SEND = {"type": "websocket.send", "text": ANSWER}


async def answering(_scope: Any, receive: Any, send: Any) -> None:
    """Accept, and answer each message with one event."""
    await receive()
    await send(_ACCEPT)
    while (await receive())["type"] == "websocket.receive":
        await send(_SEND)


if __name__ == "__main__":
    kind, port = sys.argv[1:]
    uvicorn.run(
        ReadinessGate(answering) if kind == "gate" else answering,
        port=int(port),
        access_log=False,
        log_level="warning",
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        backlog=4096,
    )
