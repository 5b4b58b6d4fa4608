"""The servers that `benchmarks.gate_overhead` compares, each a process of its own: APPLICATION KIND PORT.

Applications with nothing to set up; each answers every message with one event. `asgi` is the barest there can be: it
reads nothing and sends a constant. `starlette` parses the message and makes the event, as applications do. Kinds: bare;
`wrapped` in a middleware that does nothing at all, the least that any can cost; `gate`, as it comes; `unnumbered`, the
gate with `number_events=False`. uvicorn without access log and without its own pings, which a silent client would
not survive.
"""

import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from connections.gate import ReadinessGate

_ACCEPT = {"type": "websocket.accept"}
_EVENT = '{"type": "agent_thinking", "run_id": "r1", "text": "so much for that, and what would be next?"}'
_SEND = {"type": "websocket.send", "text": _EVENT}


async def barest(_scope: Any, receive: Any, send: Any) -> None:
    """Accept, and answer each message with one event."""
    await receive()
    await send(_ACCEPT)
    while (await receive())["type"] == "websocket.receive":
        await send(_SEND)


async def chat(websocket: WebSocket) -> None:
    """The same in Starlette."""
    await websocket.accept()
    try:
        while True:
            message = await websocket.receive_json()
            text = "so much for that, and what would be next?"
            await websocket.send_json({"type": "agent_thinking", "run_id": message["run_id"], "text": text})
    except WebSocketDisconnect:
        return


def wrapped(application: Any) -> Any:
    """A middleware that only passes on."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def receiving() -> Any:
            return await receive()

        async def sending(message: Any) -> None:
            await send(message)

        await application(scope, receiving, sending)

    return middleware


KINDS: dict[str, Callable[[Any], Any]] = {
    "bare": lambda application: application,
    "wrapped": wrapped,
    "gate": ReadinessGate,
    "unnumbered": lambda application: ReadinessGate(application, number_events=False),
}
APPLICATIONS: dict[str, Any] = {"asgi": barest, "starlette": Starlette(routes=[WebSocketRoute("/", chat)])}

if __name__ == "__main__":
    name, kind, port = sys.argv[1:]
    uvicorn.run(
        KINDS[kind](APPLICATIONS[name]),
        port=int(port),
        access_log=False,
        log_level="warning",
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        lifespan="off",
        backlog=4096,
    )
