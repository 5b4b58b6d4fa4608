"""From the application to the client: numbered, one message at a time."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from connections.gate.frames import Numbering

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

PRIVATE_CODES = 4000
"""Close codes from here on are for private use (RFC 6455, 7.4.2): 1012 becomes 4012."""


class Outbound:
    """Numbers events and sends. The lock makes the order of numbers the order on the wire, also where several tasks of
    the application send at once. Every method raises OSError where the server says that the client is gone."""

    __slots__ = ("_lock", "_number", "_send", "numbering", "sent", "undelivered")

    def __init__(self, send: Send, epoch: str, *, number: bool) -> None:
        self.numbering = Numbering(epoch)
        self.sent = 0
        self.undelivered = 0
        self._number = number
        self._send = send
        self._lock = asyncio.Lock()

    async def event(self, message: Message) -> None:
        """Send one message of the application."""
        async with self._lock:
            text = message.get("text")
            if self._number and text is not None and (numbered := self.numbering.number(text)) is not text:
                message = {**message, "text": numbered}
            await self._send(message)
            self.sent += 1

    async def frame(self, text: Callable[[int], str]) -> None:
        """Send one frame of the gate, made from the next sequence number."""
        async with self._lock:
            await self._send({"type": "websocket.send", "text": text(self.numbering.next_seq)})

    async def control(self, message: Message) -> None:
        """Send an accept, a close or a part of a refusal."""
        async with self._lock:
            await self._send(message)

    async def close(self, code: int, reason: str) -> None:
        """Close with `code`, or with its private counterpart where the server refuses to send that one: Daphne's
        protocol library allows applications 1000 and 3000 to 4999 only, and raises a bare Exception."""
        async with self._lock:
            try:
                await self._send({"type": "websocket.close", "code": code, "reason": reason})
            except (OSError, RuntimeError):
                raise
            except Exception:
                if code >= PRIVATE_CODES:
                    raise
                private = code % 1000 + PRIVATE_CODES
                await self._send({"type": "websocket.close", "code": private, "reason": reason})

    async def settled(self) -> None:
        """Return when nothing is on its way to the server any more. Granian closes without a code where the
        application returns before its close is through."""
        async with self._lock:
            return
