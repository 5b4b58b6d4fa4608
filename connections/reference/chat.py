"""The origin's chat: accept, authenticate, set the services up in the background, and listen at once.

Listening before the services exist is the origin's mistake, kept on purpose and not dressed up: what a user says in
that window reaches a handler that has nothing to answer with. The handler raises, the broad `except` writes a line,
and the user hears nothing. Whether messages arrive in that window is the gate's decision.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from connections.gate import Readiness, readiness
from connections.reference.services import Services, set_up

logger = logging.getLogger("readywire.reference")

SUBPROTOCOL = "readywire.chat.v1"
_TOKEN = "bearer."  # noqa: S105 - the prefix of a subprotocol, not a token
MAX_TEXT = 16_384


class UnknownToken(Exception):  # noqa: N818 - named as the fact it states, like the gate's errors
    """The client offered a token that nobody was given."""


def subject_of(offered: list[str], tokens: Mapping[str, str]) -> str:
    """Whom the offered subprotocols name: the owner of a `bearer.TOKEN`, or "guest" where none is offered.

    `tokens` maps names to tokens. Raises UnknownToken. The token is never echoed: a response header is no place for it.
    """
    given = [each.removeprefix(_TOKEN) for each in offered if each.startswith(_TOKEN)]
    if not given:
        return "guest"
    for name, token in tokens.items():
        if any(secrets.compare_digest(token.encode(), each.encode()) for each in given):
            return name
    raise UnknownToken


class Conversation:
    """One user's connection."""

    def __init__(self, websocket: WebSocket, environment: str, subject: str, ready: Readiness) -> None:
        self.websocket = websocket
        self.environment = environment
        self.subject = subject
        self.ready = ready
        self.services: Services | None = None

    async def hold(self) -> None:
        """Listen from the first moment until the user leaves; the services are set up meanwhile."""
        setup = asyncio.create_task(self._set_up())
        try:
            while True:
                await self._handle(await self.websocket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            setup.cancel()
            with suppress(asyncio.CancelledError):
                await setup

    async def _set_up(self) -> None:
        made: dict[str, Any] = {}
        async for name, service in set_up(self.environment):
            made[name] = service
            if len(made) == len(Services.__dataclass_fields__):
                self.services = Services(**made)
            self.ready.service_ready(name)

    async def _handle(self, text: str) -> None:
        try:
            message = json.loads(text)
            if message["type"] == "user_message":
                await self._answer(str(message["run_id"]), str(message["text"])[:MAX_TEXT])
        except WebSocketDisconnect:
            raise
        except Exception as error:  # noqa: BLE001 - the origin's broad except: it hides what went wrong from the user
            logger.error("a message was not answered: %s: %s", type(error).__name__, error)

    async def _answer(self, run_id: str, text: str) -> None:
        # No check that the services exist: the origin had none.
        services: Any = self.services
        turn = services.database.remember(text)
        await self._emit("agent_started", run_id, agent_name="reference")
        await services.llm.think()
        await self._emit("agent_thinking", run_id, text=f"turn {turn}")
        await services.llm.think()
        tool = {"tool_name": "search", "call_id": secrets.token_hex(4)}
        if not services.auth.permits(self.subject, tool["tool_name"]):
            raise PermissionError(f"{self.subject} may not use {tool['tool_name']}")
        await self._emit("tool_executing", run_id, **tool)
        answer = services.redis.answers.get(text) or await services.llm.answer(text)
        await self._emit("tool_completed", run_id, **tool, results=1)
        await services.llm.think()
        await self._emit("agent_completed", run_id, final_response=answer)

    async def _emit(self, kind: str, run_id: str, **members: object) -> None:
        await self.websocket.send_text(json.dumps({"type": kind, "run_id": run_id, **members}))


async def chat(websocket: WebSocket) -> None:
    """The endpoint `/ws/chat`."""
    state = websocket.app.state
    ready = readiness(websocket.scope)
    offered = list(websocket.scope.get("subprotocols") or ())
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    try:
        subject = subject_of(offered, state.tokens)
    except UnknownToken:
        await websocket.close(4401, "unknown token")
        return
    ready.authenticated()
    await Conversation(websocket, state.environment, subject, ready).hold()
