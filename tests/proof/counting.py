"""An application that takes a second to set up, and then says of each connection what reached it and in which order."""

import asyncio
import json
import logging
import sys

from connections.gate import ReadinessGate, readiness
from connections.gate.connection import Scope
from connections.gate.inbound import Receive
from connections.gate.outbound import Send

SETUP_S = 1.0
FRAMES = 200


async def counting(scope: Scope, receive: Receive, send: Send) -> None:
    """Listens from accept on, as the origin did: what comes before the setup is done is `early`."""
    if scope["type"] != "websocket":
        raise NotImplementedError(scope["type"])
    await receive()
    await send({"type": "websocket.accept"})
    done = asyncio.Event()
    setup = asyncio.create_task(_set_up(scope, done))
    heard: list[int] = []
    early = 0
    while (message := await receive())["type"] == "websocket.receive":
        heard.append(int(message["text"]))
        early += not done.is_set()
        if len(heard) == FRAMES:
            report = {"complete": sorted(heard) == list(range(FRAMES)), "in_order": heard == sorted(heard)}
            await send({"type": "websocket.send", "text": json.dumps({"type": "heard", "early": early, **report})})
    await setup


async def _set_up(scope: Scope, done: asyncio.Event) -> None:
    await asyncio.sleep(SETUP_S)
    done.set()
    readiness(scope).service_ready("session")


logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
app = ReadinessGate(counting, required=["session"])
opens_at_once = ReadinessGate(counting, required=["session"], flags={"readiness-strategy": "immediate"})
