"""From the client to the application: one pump, one buffer, one consumer."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from connections.gate import frames
from connections.gate.buffer import Buffer, Counts, Priority

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
PriorityOf = Callable[[Message], Priority]


def never_drop(_message: Message) -> Priority:
    """The default priority of a client's message: a person's words are never dropped silently."""
    return Priority.CRITICAL


class Owner(Protocol):
    """Whom the pump tells what it saw."""

    def acknowledged(self, nonce: str) -> None: ...
    def spoke(self) -> None: ...
    def disconnected(self, message: Message) -> None: ...
    def overflowed(self) -> None: ...


class Inbound:
    """Reads ahead of the application, so that a disconnect is seen at once; hands over in order, once opened.

    While held, a full buffer overflows; while open, it pauses the reading instead, so that a slow application slows
    its client down as it would without a gate.
    """

    __slots__ = ("_buffer", "_disconnect", "_owner", "_priority_of", "_receive", "_room", "_waiter", "backpressure")

    def __init__(self, receive: Receive, buffer: Buffer[Message], owner: Owner, priority_of: PriorityOf) -> None:
        self.backpressure = 0
        self._receive = receive
        self._buffer = buffer
        self._owner = owner
        self._priority_of = priority_of
        self._disconnect: Message | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    @property
    def counts(self) -> Counts:
        return self._buffer.counts

    def open(self) -> None:
        """Enable the consumer."""
        self._buffer.open()
        self._wake()

    def hold(self) -> None:
        """Disable the consumer: nothing more is handed over."""
        self._buffer.hold()

    def end(self, disconnect: Message) -> None:
        """No more will come: the consumer gets `disconnect`, after what is held where it is enabled."""
        if self._disconnect is None:
            self._disconnect = disconnect
        self._wake()
        _resolve(self._room)

    async def next(self) -> Message:
        """The consumer: the application's `receive()`. A cancelled wait loses nothing: the head stays held."""
        while True:
            if self._buffer.is_open and self._buffer:
                message = self._buffer.take()
                _resolve(self._room)
                return message
            if self._disconnect is not None:
                return self._disconnect
            if self._waiter is not None:
                raise RuntimeError("receive() is already awaited: a connection has one consumer")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    async def pump(self) -> None:
        """Read from the server until it says that the connection is over."""
        clock = asyncio.get_running_loop().time
        spoke = False
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                self._owner.disconnected(message)
                return
            text = message.get("text")
            if text is not None and (nonce := frames.ready_ack(text)) is not None:
                self._owner.acknowledged(nonce)
                continue
            if not spoke:
                spoke = True
                self._owner.spoke()
            size = frames.size_of(message)
            while self._buffer.is_open and not self._buffer.fits(size) and self._disconnect is None:
                await self._wait_room()
            admission = self._buffer.offer(message, size=size, priority=self._priority_of(message), now=clock())
            if admission.overflow:
                self._owner.overflowed()
            elif self._buffer.is_open:
                self._wake()

    async def _wait_room(self) -> None:
        self.backpressure += 1
        self._room = asyncio.get_running_loop().create_future()
        try:
            await self._room
        finally:
            self._room = None

    def _wake(self) -> None:
        _resolve(self._waiter)


def _resolve(future: "asyncio.Future[None] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)
