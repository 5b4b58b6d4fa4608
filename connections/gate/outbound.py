"""From the application to the client: numbered, in order, one message at a time.

A message goes straight through while its sender waits, so a client that reads slowly slows the application down as it
would without a gate. Messages wait in line only where they must:

- while another is on its way: in the order of the calls, each sender waiting for its own;
- events whose type was given a priority below CRITICAL: their sender does not wait for the client, so they are what a
  slow one costs. The line is bounded: what is evicted, refused or too old leaves a hole in the numbers, and a `gap`
  frame in its place says so;
- everything while `hold()` is on, until the line is full of what may not be dropped: then its senders wait.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from connections.gate import frames
from connections.gate.buffer import Buffer, Counts, Priority
from connections.gate.errors import InvalidParameters
from connections.gate.frames import Numbering

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_LOOKS = 4
"""Looks per stall time: no clock is read per message, so a stall is noticed at most a quarter late."""


_BUSY, _FREE, _CLEAR = 0, 1, 2
"""The wire: something is on its way, in line or held back; nothing is; nothing is, and nothing is to decide."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is the same for all connections of one gate. `priorities` by type of event; what is not named is CRITICAL.
    Only an event that the gate numbers, to a client that it may tell of gaps, can be dropped. `stall_s`: seconds
    without progress after which a client that does not read is given up; 0 is never."""

    number: bool = True
    announce: bool = True
    priorities: Mapping[str, Priority] = field(default_factory=lambda: MappingProxyType({}))
    max_count: int = 1000
    max_bytes: int = 1_048_576
    max_age_s: float = 300.0
    stall_s: float = 10.0

    @property
    def drops(self) -> bool:
        return bool(self.priorities) and self.number and self.announce


def droppable(priorities: Mapping[str, Priority]) -> Mapping[str, Priority]:
    """Check what an application says of its events. Raises InvalidParameters for the event that ends a run: without it
    a client could not tell a lost tail from a short run."""
    for kind, priority in priorities.items():
        where = f"event_priorities[{kind!r}]"
        if not isinstance(priority, Priority):
            raise InvalidParameters(where, f"{priority!r} is no priority", "give a member of connections.gate.Priority")
        if kind == frames.TERMINAL_EVENT and priority < Priority.CRITICAL:
            raise InvalidParameters(where, "this event ends a run and is never dropped", "leave it out")
    return MappingProxyType(dict(priorities))


class Owner(Protocol):
    """Whom the line tells what no sender can be told."""

    def unsent(self) -> None:
        """The client was gone when the application sent."""

    def lost(self) -> None:
        """The server says that the client is gone."""

    def stalled(self) -> None:
        """The client has not read for the whole stall time."""

    async def send(self, message: Message) -> None:
        """The application's `send` for everything that is no plain message of an open connection."""


class _Waiting:
    """A place in the line: a message, or the `make` of a frame of the gate. `seq` is 0 without a number of ours."""

    __slots__ = ("event", "make", "message", "seq", "waiter")

    def __init__(
        self, message: Message | None = None, seq: int = 0, *, make: Callable[[int], str] | None = None
    ) -> None:
        self.message = message
        self.make = make
        self.seq = seq
        self.event = False
        self.waiter: asyncio.Future[None] | None = None


class Outbound:
    """Numbers events and sends. Every method raises OSError where the server says that the client is gone."""

    __slots__ = ("_drops", "_held", "_left", "_line", "_loop", "_numbers", "_on_wire", "_owner", "_plain", "_same",
                 "_seen", "_send", "_settings", "_watch", "_wire", "_writer", "gaps", "numbering", "sent",
                 "undelivered")  # fmt: skip

    def __init__(self, send: Send, epoch: str, owner: Owner, settings: Outgoing) -> None:
        self.numbering = Numbering(epoch)
        self.sent = 0
        self.undelivered = 0
        self.gaps = 0
        self._send = send
        self._owner = owner
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._drops = settings.drops
        self._numbers = settings.number
        self._plain = not settings.drops
        self._wire = _FREE
        self._held = False
        self._left = False
        self._line: Buffer[_Waiting] | None = None
        self._on_wire = 0
        self._writer: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._seen, self._same = -1, 0

    @property
    def counts(self) -> Counts:
        """What had to wait in line: accepted = delivered + evicted + expired + held."""
        return Counts() if self._line is None else self._line.counts

    @property
    def next_seq(self) -> int:
        """The number that the next event on the wire will carry."""
        return 1 + (self.numbering.last if self._quiet else self._on_wire)

    # --- what is sent ---------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """The application's `send`: a message goes straight through where the wire is free and nothing is to decide."""
        if self._wire != _CLEAR or message["type"] != "websocket.send":
            await self._owner.send(message)
            return
        text = message.get("text")
        if text is not None and self._numbers and (numbered := self.numbering.number(text)) is not text:
            message = {**message, "text": numbered}  # a copy: an application may send one message to many clients
        self._wire = _BUSY
        try:
            await self._send(message)
            self.sent += 1
        except OSError:
            self._owner.unsent()
            self._owner.lost()
        finally:
            if self._plain:
                self._wire = _CLEAR
            else:
                self._finished()

    async def event(self, message: Message) -> None:
        """Send one message of the application."""
        priority = self._priority(message)
        if self._wire == _BUSY or priority < Priority.CRITICAL:
            await self._event_in_line(message, priority)
        else:
            await self._at_once(self._numbered(message))
            self.sent += 1

    async def frame(self, text: Callable[[int], str]) -> None:
        """Send one frame of the gate, made from the next sequence number; ahead of what is held back."""
        if self._wire or self._held:
            await self._at_once({"type": "websocket.send", "text": text(self.next_seq)})
        else:
            await self._in_line(self._start_line(), _Waiting(make=text))

    async def control(self, message: Message) -> None:
        """Send an accept, a close or a part of a refusal; ahead of what is held back, else in its turn."""
        if self._wire or self._held:
            await self._at_once(message)
        else:
            await self._in_line(self._start_line(), _Waiting(message))

    def hold(self) -> None:
        """Keep the application's messages back: the accept is not on the wire yet. Call it before anything is sent."""
        self._start_line()
        self._held = True
        self._wire = _BUSY

    def release(self) -> None:
        """Send what was kept back, in order."""
        if self._held:
            self._held = False
            self._finished()

    def leave(self) -> None:
        """The connection is over for the client: the owner decides what becomes of what the application still sends."""
        self._left, self._plain = True, False
        if self._wire == _CLEAR:
            self._wire = _FREE

    def end(self) -> None:
        """The connection is over: nothing is watched any more. What is in line still tries to go."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.leave()

    # --- the line -------------------------------------------------------------------------------------------------

    @property
    def _quiet(self) -> bool:
        """Nothing is in line, and the client was told of every hole."""
        return self._writer is None and not self._held and not self._line

    def _numbered(self, message: Message) -> Message:
        text = message.get("text")
        if text is None or not self._numbers or (numbered := self.numbering.number(text)) is text:
            return message
        return {**message, "text": numbered}

    async def _at_once(self, message: Message) -> None:
        if not self._held and self._watch is None:
            self._look_later()
        self._wire = _BUSY
        try:
            await self._send(message)
        finally:
            self._finished()

    async def _event_in_line(self, message: Message, priority: Priority) -> None:
        line, before = self._start_line(), self.numbering.last
        waiting = _Waiting(self._numbered(message))
        waiting.seq = self.numbering.last if self.numbering.last > before else 0
        waiting.event = True
        size, now = frames.size_of(message), self._loop.time()
        line.expire(now)
        if priority < Priority.CRITICAL or (self._held and line.has_room(size, priority)):
            line.offer(waiting, size=size, priority=priority, now=now)
            self._arrived()
            await asyncio.sleep(0)  # a sender that never waits must not hold the loop
        else:
            await self._in_line(line, waiting, size)

    async def _in_line(self, line: Buffer[_Waiting], waiting: _Waiting, size: int = 0) -> None:
        """Wait for its turn. A sender that is cancelled meanwhile takes its message back."""
        waiting.waiter = self._loop.create_future()
        line.admit(waiting, size=size, now=self._loop.time())
        self._arrived()
        await waiting.waiter

    def _priority(self, message: Message) -> Priority:
        kind = self.numbering.event_type(message.get("text") or "") if self._drops else None
        return Priority.CRITICAL if kind is None else self._settings.priorities.get(kind, Priority.CRITICAL)

    def _start_line(self) -> Buffer[_Waiting]:
        if self._line is None:
            limits = self._settings
            self._line = Buffer(max_count=limits.max_count, max_bytes=limits.max_bytes, max_age_s=limits.max_age_s)
            self._line.open()
        self._plain = False
        if self._quiet:
            self._on_wire = self.numbering.last
        return self._line

    def _arrived(self) -> None:
        """Something is in line; whoever is on the way now goes on with it afterwards."""
        if self._wire:
            self._wire = _BUSY
            self._finished()

    def _finished(self) -> None:
        """The wire is free: for the line, where there is one."""
        if self._held or self._writer is not None:
            return
        if self._line:
            self._writer = self._loop.create_task(self._write())
            if self._watch is None:
                self._look_later()
        else:
            self._plain = not (self._drops or self._left)
            self._wire = _CLEAR if self._plain else _FREE

    async def _write(self) -> None:
        """Send what is in line until nothing is, and tell of each hole in its place."""
        try:
            while not self._held:
                if self._line:
                    await self._write_head(self._line)
                elif self._on_wire < self.numbering.last:
                    await self._say_gap(self.numbering.last)
                else:
                    break
        except Exception as error:  # noqa: BLE001 (the server's: whatever it raises, nothing more can be sent)
            self._writer, self._wire = None, _FREE
            self._fail(error)
        else:
            self._writer = None
            self._finished()

    async def _write_head(self, line: Buffer[_Waiting]) -> None:
        line.expire(self._loop.time())
        if not line:
            return
        waiting = line.begin()
        try:
            if waiting.waiter is not None and waiting.waiter.done():
                line.withdraw()
                return
            if waiting.seq > self._on_wire + 1:
                await self._say_gap(waiting.seq - 1)
            await self._send(self._message(waiting))
        except Exception as error:  # noqa: BLE001 (the server's: its sender shall see whatever it is)
            self._not_sent(line, waiting, error)
            return
        line.done()
        self._on_wire = max(self._on_wire, waiting.seq)
        self.sent += waiting.event
        if waiting.waiter is not None and not waiting.waiter.done():
            waiting.waiter.set_result(None)

    def _message(self, waiting: _Waiting) -> Message:
        if waiting.message is not None:
            return waiting.message
        return {"type": "websocket.send", "text": waiting.make(self._on_wire + 1) if waiting.make else ""}

    async def _say_gap(self, last: int) -> None:
        if self._settings.announce:
            text = frames.gap(epoch=self.numbering.epoch, first=self._on_wire + 1, last=last)
            await self._send({"type": "websocket.send", "text": text})
            self.gaps += 1
        self._on_wire = last

    def _not_sent(self, line: Buffer[_Waiting], waiting: _Waiting, error: Exception) -> None:
        """The head stays where nobody can be told, or the client is gone; else its sender is told, and it alone."""
        sender = waiting.waiter
        if sender is None or isinstance(error, OSError):
            line.restore()
            raise error
        line.withdraw()
        if not sender.done():
            sender.set_exception(error)

    def _fail(self, error: Exception) -> None:
        for waiting in self._line or ():
            if waiting.waiter is not None and not waiting.waiter.done():
                waiting.waiter.set_exception(error)
        self._owner.lost()

    # --- the stall ------------------------------------------------------------------------------------------------

    def _look_later(self) -> None:
        if self._settings.stall_s > 0:
            self._watch = self._loop.call_later(self._settings.stall_s / _LOOKS, self._look)

    def _look(self) -> None:
        """Something was sent lately: look whether the wire still moves, and stop looking where all is quiet."""
        self._watch = None
        if self._wire or self._held:
            self._seen, self._same = -1, 0
            self._wire = min(self._wire, _FREE)  # whoever sends next looks again
            return
        progress = self.sent + self.gaps
        self._same = self._same + 1 if progress == self._seen else 0
        self._seen = progress
        if self._same < _LOOKS:
            self._look_later()
        else:
            self._owner.stalled()
