"""The gate as frameworks install middleware, inside one process."""

import asyncio
from typing import Any

from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from websockets.asyncio.client import connect

from connections.gate import ReadinessGate, readiness
from tests.connections.gate.applications import next_json
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    await asyncio.sleep(0.05)
    readiness(websocket.scope).service_ready("session")
    async for text in websocket.iter_text():
        await websocket.send_json({"type": "answer", "to": text})


async def conversation(app: Any) -> list[str]:
    """What a client hears that speaks at once."""
    with serving(app) as server:
        async with connect(f"{server.ws}/ws") as client:
            await client.send("early")
            return [(await next_json(client))["type"] for _ in range(2)]


async def test_fastapi_adds_it_as_middleware(ended: Records) -> None:
    api = FastAPI()
    api.websocket("/ws")(chat)
    api.add_middleware(ReadinessGate, required=["session"])
    assert await conversation(api) == ["connection_ready", "answer"]
    assert ended()[0]["held_ms"] >= 50


async def test_starlette_takes_it_in_its_list_of_middleware(ended: Records) -> None:
    middleware = [Middleware(ReadinessGate, required=["session"])]
    app = Starlette(routes=[WebSocketRoute("/ws", chat)], middleware=middleware)
    assert await conversation(app) == ["connection_ready", "answer"]
    assert ended()[0]["cause"] == "client_closed"


async def test_it_may_be_wrapped_around_an_application_that_has_other_middleware(ended: Records) -> None:
    """Whatever stands between keeps the scope, and so the application finds its readiness."""

    class Plain:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(dict(scope), receive, send)

    api = FastAPI()
    api.websocket("/ws")(chat)
    api.add_middleware(Plain)
    assert await conversation(ReadinessGate(api, required=["session"])) == ["connection_ready", "answer"]
    assert ended()[0]["false_ready"] is False
