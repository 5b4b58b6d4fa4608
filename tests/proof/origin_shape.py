"""A Starlette chat of the origin's shape: accept, set up for a while, greet, and listen; every failure is logged by a
broad `except`. Nothing in it knows of a gate. Runs on the origin's versions and on today's.

Served as `origin_shape:bare` and `origin_shape:gated`.
"""

import asyncio
import json
import logging
import sys
from collections import Counter

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

logger = logging.getLogger("origin")
COUNTS: Counter[str] = Counter()
ERRORS: Counter[str] = Counter()


async def emit(websocket: WebSocket, event: dict[str, object]) -> None:
    """Best effort, as the origin's."""
    try:
        await websocket.send_text(json.dumps(event))
        COUNTS["served"] += 1
    except Exception:  # noqa: BLE001 - the origin's own shape
        COUNTS["swallowed"] += 1


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    await asyncio.sleep(float(websocket.query_params["setup"]))
    await emit(websocket, {"type": "system_message", "event": "connection_established"})
    try:
        while True:
            await websocket.receive_text()
            await emit(websocket, {"type": "agent_completed"})
    except WebSocketDisconnect:
        COUNTS["left"] += 1
    except Exception as error:  # noqa: BLE001 - the origin's own shape
        ERRORS[str(error)] += 1
        logger.error("WebSocket error: %s", error)


async def counts(_request: Request) -> JSONResponse:
    return JSONResponse({"counts": COUNTS, "errors": ERRORS})


bare = Starlette(routes=[Route("/counts", counts), WebSocketRoute("/ws", chat)])


def __getattr__(name: str) -> object:
    """The gate is imported only where it is asked for."""
    if name != "gated":
        raise AttributeError(name)
    from connections.gate import ReadinessGate

    return ReadinessGate(bare)


logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
