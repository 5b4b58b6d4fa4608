"""A chat in FastAPI behind the readiness gate. Needs `pip install readywire fastapi` and one of these servers:

uvicorn fastapi_chat:app
hypercorn --workers 0 fastapi_chat:app
daphne fastapi_chat:app
granian --interface asgi fastapi_chat:app
"""

import asyncio
import logging

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from connections.gate import ReadinessGate, readiness
from connections.gate.hooks import drain_on_sigterm

TOKENS = {"change-me": "alice"}
api = FastAPI()


async def set_up(user: str) -> dict[str, list[str]]:
    """Stands for your session, database and model: whatever a conversation needs and takes time."""
    await asyncio.sleep(0.3)
    return {"history": [f"{user} joined"]}


@api.websocket("/ws/chat")
async def chat(websocket: WebSocket) -> None:
    """Accept, authenticate, set up, talk. What the client says meanwhile waits in the gate, in order."""
    ready = readiness(websocket.scope)
    offered = websocket.scope["subprotocols"]
    await websocket.accept(subprotocol="chat" if "chat" in offered else None)
    user = user_of(offered)
    if user is None:
        await websocket.close(4401, "unknown token")
        return
    ready.authenticated()
    session = await set_up(user)
    ready.service_ready("session")
    try:
        async for text in websocket.iter_text():
            session["history"].append(text)
            await websocket.send_json({"type": "answer", "to": text, "turn": len(session["history"]) - 1})
    except WebSocketDisconnect:
        pass  # the client left while we answered; the gate's record says so


def user_of(subprotocols: list[str]) -> str | None:
    """The owner of the first `bearer.TOKEN` that the client offers; None where nobody has it. Never echo a token."""
    token = next((each.removeprefix("bearer.") for each in subprotocols if each.startswith("bearer.")), "")
    return TOKENS.get(token)


logging.basicConfig(level=logging.INFO)  # one JSON record per connection, on the logger "readywire.gate"
# Without the SIGTERM hook: api.add_middleware(ReadinessGate, required=["session"], authenticates=True)
app = drain_on_sigterm(ReadinessGate(api, required=["session"], authenticates=True))
