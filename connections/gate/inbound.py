"""From the client to the application: one reader at a time, one buffer, one consumer.

Somebody always reads, or a disconnect would be seen late: the application itself while it waits for a message of an
open connection, so that messages pass straight through; else a task that reads ahead into the buffer. It begins at
accept, and again where an application has been away from `receive()` for a tick.
"""

import asyncio
from asyncio import CancelledError, current_task
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from typing import Any, Protocol

from connections.gate import frames
from connections.gate.buffer import Buffer, Counts, Priority

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
PriorityOf = Callable[[Message], Priority]

TICK_S = 0.005
"""How long an application may be away, busy with a message, before somebody else watches for the disconnect."""

_OFF, _READY, _WAITING = 0, 1, 2
"""Whether messages pass straight through: no; yes, as soon as the application asks; it is waiting for one."""


def never_drop(_message: Message) -> Priority:
    """The default priority of a client's message: a person's words are never dropped silently."""
    return Priority.CRITICAL


class Limits(Protocol):
    """What is the same for all connections of one gate: see `Options`."""

    @property
    def max_held(self) -> int: ...
    @property
    def max_held_bytes(self) -> int: ...
    @property
    def max_held_s(self) -> float: ...
    @property
    def priority_of(self) -> PriorityOf: ...


class Owner(Protocol):
    """Whom the reader tells what it saw."""

    async def asked(self) -> None:
        """The application asks for a message."""

    def spoke(self) -> None:
        """The client's first message was read."""

    def acknowledged(self, nonce: str) -> None:
        """The client answered connection_ready."""

    def disconnected(self, message: Message) -> None:
        """The server says that the connection is over."""

    def lost(self) -> None:
        """The server says so by an OSError."""

    def overflowed(self) -> None:
        """More came in while held than may be held."""


class Lookout:
    """Those of one event loop whose messages pass straight through. Ticks only while any of them does."""

    __slots__ = ("_active", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._active: list[Inbound] = []

    def add(self, inbound: "Inbound") -> None:
        """Look at `inbound` at the next tick."""
        if not self._active:
            self.loop.call_later(TICK_S, self._tick)
        self._active.append(inbound)

    def _tick(self) -> None:
        active, self._active = self._active, []
        for inbound in active:
            inbound.looked_at()


class Inbound:
    """Sees a disconnect at once; hands over in order, once opened.

    While held, a full buffer overflows; while open, it pauses the reading instead, so that a slow application slows
    its client down as it would without a gate.
    """

    __slots__ = ("_asked", "_buffer", "_cancelling", "_disconnect", "_flows", "_limits", "_lookout", "_loop", "_open",
                 "_over", "_owner", "_passed", "_passed_then", "_reader", "_receive", "_room", "_spoken", "_straight",
                 "_task", "_waiter", "_watched", "backpressure")  # fmt: skip

    def __init__(self, receive: Receive, owner: Owner, limits: Limits, lookout: Lookout) -> None:
        self.backpressure = 0
        self._receive = receive
        self._owner = owner
        self._limits = limits
        self._lookout = lookout
        self._loop = asyncio.get_running_loop()
        self._buffer: Buffer[Message] | None = None
        self._disconnect: Message | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelling: int | None = None
        self._straight = _OFF
        self._passed = self._passed_then = 0
        self._asked = self._flows = self._open = self._over = self._spoken = self._watched = False

    @property
    def counts(self) -> Counts:
        """The client's messages, those that passed straight through included."""
        held = Counts() if self._buffer is None else self._buffer.counts
        return replace(held, accepted=held.accepted + self._passed, delivered=held.delivered + self._passed)

    @property
    def delivered(self) -> bool:
        """Any message has reached the application."""
        return self._passed > 0 or self.counts.delivered > 0

    def start(self) -> None:
        """The accept is on the wire: somebody has to read from now on."""
        self._loop.call_soon(self.read_ahead)

    def open(self) -> None:
        """Enable the consumer."""
        self._open = True
        self._flows = self._disconnect is None
        self._wake()

    def hold(self) -> None:
        """Disable the consumer: nothing more is handed over."""
        self._open = False
        self._stem()

    def end(self, disconnect: Message) -> None:
        """No more will come: the consumer gets `disconnect`, after what is held where it is enabled."""
        if self._disconnect is None:
            self._disconnect = disconnect
        self._stem()
        self._wake()
        self._call_back()
        _resolve(self._room)

    def _stem(self) -> None:
        self._flows = False
        if self._straight == _READY:
            self._straight = _OFF

    def stop(self) -> None:
        """The application is over."""
        self._over = True
        if self._reader is not None:
            self._reader.cancel()
        if self._straight != _WAITING:
            self._task = None

    # --- the consumer ---------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """The application's `receive()`: the connect, then messages in order once open, then the disconnect."""
        if self._straight != _READY:
            return await self._next()
        self._straight = _WAITING
        self._task = current_task(self._loop)
        try:
            message = await self._receive()
        except OSError:
            message = self._gone()
        except CancelledError:
            return self._called_back()
        finally:
            self._straight = _READY if self._flows else _OFF
            if not self._watched:
                self._watch()
        if self._straight and message["type"] == "websocket.receive":
            text = message.get("text")
            if text is None or '"ready_ack"' not in text:
                self._passed += 1
                return message
        return message if self._passes(message) else await self._next()

    async def _next(self) -> Message:
        if not self._asked:
            self._asked = True
            return await self._receive()
        await self._owner.asked()
        while True:
            if self._open and self._buffer and (held := self._take(self._buffer)) is not None:
                return held
            if self._disconnect is not None:
                return self._disconnect
            if self._waiter is not None or self._straight == _WAITING:
                raise RuntimeError("receive() is already awaited: a connection has one consumer")
            if not self._open or self._reader is not None:
                await self._wait()
            elif self._passes(message := await self._pass_straight()):
                return message

    async def _pass_straight(self) -> Message:
        """Wait for the server as the application would without a gate."""
        self._straight = _WAITING
        self._task = current_task(self._loop)
        try:
            return await self._receive()
        except OSError:
            return self._gone()
        except CancelledError:
            return self._called_back()
        finally:
            self._straight = _READY if self._flows and self._spoken else _OFF
            self._watch()

    def _passes(self, message: Message) -> bool:
        """Whether a message that came straight is for the application now; else it is heard, or held."""
        if self._for_the_gate(message):
            return False
        if not self._open or self._buffer:
            self._hold(message)
            return False
        self._passed += 1
        self._speak()
        return True

    def _call_back(self) -> None:
        """End the application's wait for the server: it shall hear of the end now, whenever the server tells of it."""
        task = self._task
        if self._straight == _WAITING and self._cancelling is None and task is not None:
            self._cancelling = task.cancelling()
            task.cancel("the connection is over")

    def _called_back(self) -> Message:
        """Inside the handler of a cancelled wait: go on where the gate cancelled it, and nobody else."""
        task, before, self._cancelling = self._task, self._cancelling, None
        if task is None or before is None or task.uncancel() > before or self._disconnect is None:
            raise
        return self._disconnect

    def _gone(self) -> Message:
        self._straight = _OFF
        self._owner.lost()
        return {"type": "websocket.disconnect", "code": 1006}

    def _watch(self) -> None:
        """The application may be away at the next tick."""
        if not self._watched and not self._over:
            self._watched = True
            self._lookout.add(self)

    def looked_at(self) -> None:
        """A tick: read ahead for an application that is away, and look again where messages pass."""
        self._watched = False
        if self._straight != _WAITING:
            self.read_ahead()
        elif self._passed != self._passed_then:
            self._passed_then = self._passed
            self._watch()

    async def _wait(self) -> None:
        """Until something changes. A cancelled wait loses nothing: the head stays held."""
        self.read_ahead()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _take(self, buffer: Buffer[Message]) -> Message | None:
        buffer.expire(self._loop.time())
        message = buffer.take() if buffer else None
        _resolve(self._room)
        if self._reader is None and not buffer and self._flows:
            self._straight = _READY
        return message

    # --- the reader -----------------------------------------------------------------------------------------------

    def read_ahead(self) -> None:
        """Read into the buffer, unless somebody reads already."""
        if self._reader is None and self._straight != _WAITING and not self._over:
            self._straight = _OFF
            self._reader = self._loop.create_task(self._read())

    async def _read(self) -> None:
        try:
            while not self._over:
                message = await self._receive()
                if self._for_the_gate(message):
                    continue
                while self._open and not self._fits(message) and self._disconnect is None:
                    await self._wait_room()
                self._hold(message)
                if self._open and self._waiter is not None:
                    self._wake()
                    self._watch()
                    return
        except OSError:
            self._over = True
            self._owner.lost()
        finally:
            self._reader = None

    def _for_the_gate(self, message: Message) -> bool:
        """Hear what is not for the application."""
        if message["type"] != "websocket.receive":
            self._over = True
            self._owner.disconnected(message)
            return True
        text = message.get("text")
        if text is not None and (nonce := frames.ready_ack(text)) is not None:
            self._owner.acknowledged(nonce)
            return True
        return False

    def _hold(self, message: Message) -> None:
        limits, now = self._limits, self._loop.time()
        if self._buffer is None:
            self._buffer = Buffer(
                max_count=limits.max_held, max_bytes=limits.max_held_bytes, max_age_s=limits.max_held_s
            )
            self._buffer.open()
        self._buffer.expire(now)
        size, priority = frames.size_of(message), limits.priority_of(message)
        overflow = self._buffer.offer(message, size=size, priority=priority, now=now).overflow
        self._speak()
        if overflow:
            self._owner.overflowed()

    def _speak(self) -> None:
        if not self._spoken:
            self._spoken = True
            if self._flows and self._reader is None and not self._buffer:
                self._straight = _READY
            self._owner.spoke()

    def _fits(self, message: Message) -> bool:
        return self._buffer is None or self._buffer.fits(frames.size_of(message))

    async def _wait_room(self) -> None:
        self.backpressure += 1
        self._room = self._loop.create_future()
        try:
            await self._room
        finally:
            self._room = None

    def _wake(self) -> None:
        _resolve(self._waiter)


def _resolve(future: "asyncio.Future[None] | None") -> None:
    if future is not None and not future.done():
        future.set_result(None)
