"""One gated connection in a world of its own: a client, a server, an application, time. Each does its next step only
when told, so a model check can try every order of the steps against the real gate."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from connections.gate import ReadinessGate, StaticFlags, readiness
from connections.gate.inbound import Message
from connections.gate.lifecycle import TRANSITIONS, Cause, State, Step
from connections.gate.selection import Snapshot
from connections.gate.telemetry import ConnectionRecord
from tests.support.virtual_loop import VirtualLoop

ONCE = frozenset(
    {"connect", "accept", "ready", "authenticate", "fail", "vanish", "disconnect", "drain", "flip", "raise", "ack"}
)
_MOST_TIMERS = 50
MARKS = frozenset({"ready", "authenticate", "fail"})
BEFORE_CONNECT = frozenset({"connect", "flip", "drain"})

_OPEN = frozenset({"websocket.send", "websocket.close"})
_MAY_FOLLOW = {
    "": frozenset({"websocket.accept", "websocket.http.response.start"}),
    "websocket.accept": _OPEN,
    "websocket.send": _OPEN,
    "websocket.close": frozenset[str](),
    "websocket.http.response.start": frozenset({"websocket.http.response.body"}),
    "websocket.http.response.body": frozenset[str](),
}
"""What a server takes, by what came last (ASGI WebSocket specification, with the extension for denials)."""


@dataclass(frozen=True)
class Plan:
    """What may happen, and how often what may happen more than once."""

    name: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    """The flags that `flip` puts in force."""
    actions: tuple[str, ...]
    ends: frozenset[Cause]
    """The terminal reasons that its orders lead to: all of them must be met, and no other."""
    most: Mapping[str, int] = field(default_factory=lambda: {"message": 2, "consume": 2, "timeout": 3})
    authenticates: bool = False
    optional: tuple[str, ...] = ()


class _Flags(StaticFlags):
    def __init__(self, plan: Plan) -> None:
        super().__init__(plan.before)
        self._later = StaticFlags(plan.after)
        self.flipped = False

    def snapshot(self) -> Snapshot:
        return self._later.snapshot() if self.flipped else super().snapshot()


class World:
    """`do` performs one action and everything that follows from it without time passing."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = VirtualLoop()
        self.flags = _Flags(plan)
        self.done: dict[str, int] = {}
        self.heard: list[str] = []
        self.heard_early: list[str] = []
        self.heard_late: list[str] = []
        self.said = self.answers = 0
        self.steps: list[Step] = []
        self.records: list[ConnectionRecord] = []
        self.wire: list[str] = []
        self.nonce = ""
        self.permits: float = 0
        self.bug = False
        self.gone = self.vanished = False
        self.scope: Any = None
        self._from_client: asyncio.Queue[Message] = asyncio.Queue()
        self._waiting: list[asyncio.Future[None]] = []
        self.gate = ReadinessGate(
            self._application,
            flags=self.flags,
            required=["llm"],
            optional=plan.optional,
            authenticates=plan.authenticates,
        )
        self.gate.listen(lambda _name, step: self.steps.append(step))
        self.gate.listen_to_records(self._record)
        self.running: asyncio.Task[None] | None = None

    # --- the actions ----------------------------------------------------------------------------------------------

    def possible(self) -> Iterable[str]:
        """The actions that make sense now."""
        for action in self.plan.actions:
            done = self.done.get(action, 0)
            if (action in ONCE and done) or done >= self.plan.most.get(action, 1):
                continue
            if "connect" not in self.done and action not in BEFORE_CONNECT:
                continue
            if action == "message" and (self.gone or self.vanished or "websocket.accept" not in self.wire):
                continue
            if action == "ack" and (self.gone or self.vanished or not self.nonce):
                continue
            if action in MARKS and self.scope is None:
                continue
            if action == "timeout" and not self.loop.due:
                continue
            yield action

    def do(self, action: str) -> None:
        self.done[action] = self.done.get(action, 0) + 1
        getattr(self, f"_{action}")()
        self.loop.settle()

    def _connect(self) -> None:
        scope: dict[str, Any] = {"type": "websocket", "path": "/ws", "extensions": {"websocket.http.response": {}}}
        self._from_client.put_nowait({"type": "websocket.connect"})
        self.running = self.loop.create_task(self.gate(scope, self._from_client.get, self._to_client))

    def _accept(self) -> None:
        self._wake()

    def _message(self) -> None:
        self.said += 1
        self._from_client.put_nowait({"type": "websocket.receive", "text": str(self.said)})

    def _ack(self) -> None:
        text = f'{{"type": "ready_ack", "nonce": "{self.nonce}"}}'
        self._from_client.put_nowait({"type": "websocket.receive", "text": text})

    def _disconnect(self) -> None:
        self.gone = True
        self._from_client.put_nowait({"type": "websocket.disconnect", "code": 1001})

    def _vanish(self) -> None:
        """The client is gone, and the server knows it at the next send only."""
        self.vanished = True

    def _ready(self) -> None:
        self.loop.call_soon(readiness(self.scope).service_ready, "llm")

    def _authenticate(self) -> None:
        self.loop.call_soon(readiness(self.scope).authenticated)

    def _fail(self) -> None:
        self.loop.call_soon(readiness(self.scope).service_failed, "llm")

    def _consume(self) -> None:
        self.permits += 1
        self._wake()

    def _raise(self) -> None:
        self.bug = True
        self._wake()

    def _drain(self) -> None:
        self.loop.create_task(self.gate.drain(1.0))

    def _flip(self) -> None:
        self.flags.flipped = True

    def _timeout(self) -> None:
        self.loop.pass_time()

    # --- the server and the application ---------------------------------------------------------------------------

    async def _to_client(self, message: Message) -> None:
        if self.gone or self.vanished:
            raise OSError("the client has gone")
        if message["type"] not in _MAY_FOLLOW[self.wire[-1] if self.wire else ""]:
            self.loop.troubles.append(f"{message['type']} after {self.wire}")
        self.wire.append(message["type"])
        text = message.get("text", "")
        self.answers += text.startswith(("welcome", "answer"))
        if '"connection_ready"' in text:
            self.nonce = text.partition('"nonce":"')[2].partition('"')[0]

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        await receive()
        while "accept" not in self.done:
            await self._told()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "welcome"})
        while True:
            while not self.permits:
                await self._told()
            self.permits -= 1
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            self.heard.append(message["text"])
            if not any(step.state.open for step in self.steps):
                self.heard_early.append(message["text"])
            if self.state is State.DRAINING:
                self.heard_late.append(message["text"])
            await send({"type": "websocket.send", "text": f"answer {message['text']}"})

    async def _told(self) -> None:
        if not self.bug:
            waiter = self.loop.create_future()
            self._waiting.append(waiter)
            await waiter
        if self.bug:
            raise LookupError("a bug of the application")

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                self.loop.call_soon(lambda waiter=waiter: waiter.done() or waiter.set_result(None))
        self._waiting.clear()

    def _record(self, record: ConnectionRecord) -> None:
        self.records.append(record)

    def run_out(self) -> None:
        """Nothing happens any more but time, and an application that takes what it gets."""
        self.done["accept"] = 1
        self.permits = float("inf")
        self._wake()
        self.loop.settle()
        for _ in range(_MOST_TIMERS):
            if not self.loop.pass_time():
                return
        raise AssertionError("time passes for ever")

    # --- what can be seen -----------------------------------------------------------------------------------------

    @property
    def state(self) -> State | None:
        return self.steps[-1].state if self.steps else None

    @property
    def cause(self) -> Cause | None:
        live = self.gate.registry.live()
        if live:
            return live[0].lifecycle.cause
        return self.records[-1].cause if self.records else None

    @property
    def fingerprint(self) -> tuple[Any, ...]:
        """Equal for worlds that will behave alike."""
        live = self.gate.registry.live()
        inner: tuple[Any, ...] = ()
        if live:
            connection = live[0]
            counts, progress = connection.inbound.counts, connection.opening.progress
            inner = (
                counts.held,
                connection.opening.opened_at is None,
                connection.opening.missing,
                connection.ending.left,
                connection.ending.upgraded,
                progress.asked,
                progress.authenticated,
                tuple(sorted(progress.services.items())),
                progress.client_spoke,
                connection.opening.confirmed,
                connection.flags_revision,
                connection.strategy_name,
            )
        due = tuple(round(when - self.loop.now, 3) for when in self.loop.due)
        done = tuple(sorted(self.done.items()))
        return (self.state, self.cause, len(self.heard), self.permits, self.bug, due, done, inner)

    def faults(self) -> list[str]:
        """What must never be, in words."""
        found = [f"unhandled: {trouble!r}" for trouble in self.loop.troubles if not isinstance(trouble, LookupError)]
        if self.running is not None and self.running.done() and not self.running.cancelled():
            error = self.running.exception()
            if error is not None and not isinstance(error, LookupError):
                found.append(f"the gate raised {error!r}")
        if self.heard_early:
            found.append(f"delivered before ready: {self.heard_early}")
        if self.heard_late:
            found.append(f"new work while draining: {self.heard_late}")
        if self.heard != [str(number + 1) for number in range(len(self.heard))]:
            found.append(f"order: {self.heard}")
        states = [step.state for step in self.steps]
        found += [f"{a} -> {b}" for a, b in pairwise(states) if b not in TRANSITIONS[a]]
        if [step.at for step in self.steps] != sorted(step.at for step in self.steps):
            found.append("time went back")
        for connection in self.gate.registry.live():
            found += self._faults_of(connection)
        return found + self._faults_of_records()

    def _faults_of(self, connection: Any) -> list[str]:
        found = [f"asked for an illegal transition: {refusal}" for refusal in connection.lifecycle.refusals]
        counts, state = connection.inbound.counts, connection.lifecycle.state
        if counts.accepted != counts.delivered + counts.evicted + counts.expired + counts.held:
            found.append(f"lost a message: {counts}")
        waits = not state.open and state is not State.CLOSED
        if waits and (not self.loop.due or connection.lifecycle.due_at < self.loop.now):
            found.append(f"{state} has no deadline set")
        if (state in (State.CLOSED, State.CLOSING, State.FAILED)) != (connection.lifecycle.cause is not None):
            found.append(f"{state} with cause {connection.lifecycle.cause}")
        return found

    def _faults_of_records(self) -> list[str]:
        if not self.running or not self.running.done():
            return ["a record of a connection that runs"] if self.records else []
        if len(self.records) != 1:
            return [f"{len(self.records)} records of one connection"]
        if [step.state for step in self.steps].count(State.CLOSED) != 1:
            return ["not closed exactly once"]
        return []
