"""A chat in Django Channels behind the readiness gate. Needs `pip install readywire channels` and one of these servers:

uvicorn channels_chat:app
hypercorn --workers 0 channels_chat:app
daphne channels_chat:app
granian --interface asgi channels_chat:app
"""

import asyncio
import logging
from typing import Any

import django
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.core.asgi import get_asgi_application

from connections.gate import ReadinessGate, readiness
from connections.gate.hooks import drain_on_sigterm

settings.configure(ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)  # your project has settings of its own
django.setup()
TOKENS = {"change-me": "alice"}


async def set_up(user: str) -> dict[str, list[str]]:
    """Stands for your session, database and model: whatever a conversation needs and takes time."""
    await asyncio.sleep(0.3)
    return {"history": [f"{user} joined"]}


class Chat(AsyncJsonWebsocketConsumer):
    """Accept, authenticate, set up, talk. What the client says meanwhile waits in the gate, in order."""

    async def connect(self) -> None:
        ready = readiness(self.scope)
        offered = list(self.scope["subprotocols"])
        await self.accept("chat" if "chat" in offered else None)
        user = user_of(offered)
        if user is None:
            await self.close(4401, "unknown token")
            return
        ready.authenticated()
        self.session = await set_up(user)
        ready.service_ready("session")

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_: Any) -> None:
        self.session["history"].append(text_data or "")
        await self.send_json({"type": "answer", "to": text_data, "turn": len(self.session["history"]) - 1})


def user_of(subprotocols: list[str]) -> str | None:
    """The owner of the first `bearer.TOKEN` that the client offers; None where nobody has it. Never echo a token."""
    token = next((each.removeprefix("bearer.") for each in subprotocols if each.startswith("bearer.")), "")
    return TOKENS.get(token)


router = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": Chat.as_asgi()})
logging.basicConfig(level=logging.INFO)  # one JSON record per connection, on the logger "readywire.gate"
app = drain_on_sigterm(ReadinessGate(router, required=["session"], authenticates=True))
