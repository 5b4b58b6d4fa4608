"""The origin's chat: accept, authenticate, set the services up in the background, and listen at once.

Listening before the services exist is the origin's mistake, kept on purpose and not dressed up: what a user says in
that window reaches a handler that has nothing to answer with. The handler raises, the broad `except` writes a line,
and the user hears nothing. Whether messages arrive in that window is the gate's decision.
"""

import asyncio
import json
import logging
import math
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from connections.gate import Readiness, readiness
from connections.reference.practice import Practice
from connections.reference.running import Running
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

    def __init__(self, websocket: WebSocket, subject: str, ready: Readiness, lot: float) -> None:
        self.websocket = websocket
        self.environment: str = websocket.app.state.environment
        self.practice: Practice = websocket.app.state.practice
        self.subject = subject
        self.ready = ready
        self.lot = lot
        self.services: Services | None = None
        self._recovery: asyncio.Task[None] | None = None

    async def hold(self) -> None:
        """Listen from the first moment until the user leaves; the services are set up meanwhile."""
        setup = asyncio.create_task(self._set_up())
        try:
            while True:
                await self._handle(await self.websocket.receive_text())
        except WebSocketDisconnect:
            pass
        finally:
            for task in (setup, self._recovery):
                if task is not None:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    async def _set_up(self) -> None:
        if slow := self.practice.met("slow_setup", self.lot):
            await self.practice.hold_up(slow, slow.seconds())
        made: dict[str, Any] = {}
        async for name, service in set_up(self.environment):
            if (down := self._down()) and down.parameters["service"] == name:
                await self._fail_until_over(down)
            made[name] = service
            if len(made) == len(Services.__dataclass_fields__):
                self.services = Services(**made)
            self.ready.service_ready(name)

    def _down(self) -> Running | None:
        return self.practice.met("dependency_down", self.lot)

    async def _fail_until_over(self, down: Running) -> None:
        name = str(down.parameters["service"])
        self.ready.service_failed(name, "it refuses connections")
        await self.practice.hold_up(down, math.inf)
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
        if down := self._down():
            if self._recovery is None or self._recovery.done():
                self._recovery = asyncio.create_task(self._fail_until_over(down))
            raise ConnectionRefusedError(f"{down.parameters['service']} refuses connections")
        turn = services.database.remember(text)
        await self._emit("agent_started", run_id, agent_name="reference")
        if self.practice.met("close_1011", self.lot):
            await self.websocket.close(1011, "Internal error")
            raise WebSocketDisconnect(1011)
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
    practice: Practice = websocket.app.state.practice
    ready, lot = readiness(websocket.scope), practice.draw()
    offered = list(websocket.scope.get("subprotocols") or ())
    if slow := practice.met("slow_accept", lot):
        await practice.hold_up(slow, slow.seconds())
    await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    try:
        subject = subject_of(offered, websocket.app.state.tokens)
    except UnknownToken:
        await websocket.close(4401, "unknown token")
        return
    ready.authenticated()
    await Conversation(websocket, subject, ready, lot).hold()
