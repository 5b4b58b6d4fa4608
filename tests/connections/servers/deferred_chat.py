"""Under deferred_accept, what the path asks for: /ws/ready sets up for 50 ms, /ws/never sets up for ever, /ws/token is
turned away with a code of its own."""

import asyncio
import logging

from connections.gate import ReadinessGate, readiness
from connections.gate.connection import Scope
from connections.gate.inbound import Receive
from connections.gate.outbound import Send

logging.basicConfig(level=logging.INFO, format="%(message)s")


async def chat(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "welcome"})
    if scope["path"] == "/ws/token":
        await send({"type": "websocket.close", "code": 4401})
        return
    readiness(scope).service_ready("redis")
    if scope["path"] == "/ws/ready":
        await asyncio.sleep(0.05)
        readiness(scope).service_ready("llm")
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


app = ReadinessGate(
    chat,
    required=["redis", "llm"],
    flags={
        "readiness-strategy": "deferred_accept",
        "readiness-parameters": {"deferred_accept": {"timeout_seconds": 0.5}},
    },
)
