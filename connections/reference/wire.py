"""Faults below the application: an ASGI layer outside of the gate, between it and the server.

Here events already carry their numbers, so what is lost or swapped shows as it would where a proxy or a network did
it: the gate and the application believe that all went out well.
"""

import json
from typing import Any

from connections.gate.connection import Application, Scope
from connections.gate.inbound import Receive
from connections.gate.outbound import Message, Send
from connections.reference.practice import Practice

_EVENT_FAULTS = ("events_lost", "events_swapped", "events_late", "events_twice")


class FaultyWire:
    """ASGI middleware around a ReadinessGate. Without a fault it passes everything on as it is."""

    def __init__(self, app: Application, practice: Practice) -> None:
        self.app = app
        self.practice = practice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        lot = self.practice.draw()
        if refusal := self.practice.met("refuse_upgrades", lot):
            await receive()
            await _refuse(send, int(refusal.parameters["status"]))
            return
        await self.app(scope, receive, _Wire(self.practice, send, lot).send)


async def _refuse(send: Send, status: int) -> None:
    headers = [(b"content-type", b"text/plain"), (b"retry-after", b"1")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"Refused on purpose: a fault is being practised.\n"})


class _Wire:
    """The way out of one connection."""

    __slots__ = ("_held", "_lot", "_practice", "_send")

    def __init__(self, practice: Practice, send: Send, lot: float) -> None:
        self._practice = practice
        self._send = send
        self._lot = lot
        self._held: Message | None = None
        """An event that waits to be overtaken by the next."""

    async def send(self, message: Message) -> None:
        """What the gate sends."""
        if message["type"] != "websocket.send" or not (self._practice.faults.any or self._held):
            await self._send(message)
        elif self._practice.met("silence", self._lot) is None:
            await self._event(message)

    async def _event(self, message: Message) -> None:
        name = _event_name(message)
        asked = {each: met for each in _EVENT_FAULTS if (met := self._practice.met(each, self._lot)) is not None}
        due = {each for each, met in asked.items() if met.parameters["event"] == name}
        if "events_lost" in due:
            return
        if "events_swapped" in due and self._held is None:
            self._held = message
            return
        if "events_late" in due:
            await self._practice.hold_up(asked["events_late"], asked["events_late"].seconds())
        await self._send(message)
        if "events_twice" in due:
            await self._send(dict(message))
        if self._held is not None and name:
            held, self._held = self._held, None
            await self._send(held)


def _event_name(message: Message) -> str:
    """The `type` of a numbered event; "" for everything else, the gate's own frames included."""
    text = message.get("text")
    try:
        event: Any = json.loads(text) if text else None
    except ValueError:
        return ""
    return str(event.get("type", "")) if isinstance(event, dict) and "seq" in event else ""
