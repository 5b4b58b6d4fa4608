"""A chat in bare ASGI behind the readiness gate. Needs `pip install readywire` and one of these servers:

uvicorn bare_asgi:app
hypercorn --workers 0 bare_asgi:app
daphne bare_asgi:app
granian --interface asgi bare_asgi:app
"""

import asyncio
import json
import logging
from typing import Any

from connections.gate import ReadinessGate, readiness
from connections.gate.hooks import drain_on_sigterm

TOKENS = {"change-me": "alice"}


async def set_up(user: str) -> dict[str, list[str]]:
    """Stands for your session, database and model: whatever a conversation needs and takes time."""
    await asyncio.sleep(0.3)
    return {"history": [f"{user} joined"]}


async def chat(scope: Any, receive: Any, send: Any) -> None:
    """Accept, authenticate, set up, talk. What the client says meanwhile waits in the gate, in order."""
    if scope["type"] != "websocket":
        await nothing_here(scope, receive, send)
        return
    ready = readiness(scope)
    await receive()  # websocket.connect
    await send({"type": "websocket.accept", "subprotocol": "chat" if "chat" in scope["subprotocols"] else None})
    user = user_of(scope["subprotocols"])
    if user is None:
        await send({"type": "websocket.close", "code": 4401, "reason": "unknown token"})
        return
    ready.authenticated()
    session = await set_up(user)
    ready.service_ready("session")
    while (message := await receive())["type"] == "websocket.receive":
        session["history"].append(message.get("text") or "")
        answer = {"type": "answer", "to": message.get("text"), "turn": len(session["history"]) - 1}
        await send({"type": "websocket.send", "text": json.dumps(answer)})


def user_of(subprotocols: list[str]) -> str | None:
    """The owner of the first `bearer.TOKEN` that the client offers; None where nobody has it. Never echo a token."""
    token = next((each.removeprefix("bearer.") for each in subprotocols if each.startswith("bearer.")), "")
    return TOKENS.get(token)


async def nothing_here(scope: Any, receive: Any, send: Any) -> None:
    """What is no WebSocket: the server's lifespan, and plain HTTP."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": f"{message['type']}.complete"})
    else:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"chat is a WebSocket\n"})


logging.basicConfig(level=logging.INFO)  # one JSON record per connection, on the logger "readywire.gate"
app = drain_on_sigterm(ReadinessGate(chat, required=["session"], authenticates=True))
