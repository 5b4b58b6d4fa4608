"""The shell around one connection: moves messages and time between an ASGI server and an application. It decides
nothing: states come from `lifecycle`, verdicts from a strategy, order and room from the buffer.

From accept on exactly one `receive()` is outstanding with the server, so a disconnect is seen at once whatever the
application does. The application's own `receive()` is the single consumer of the buffer.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from connections.gate.errors import ClientGone, EndedBeforeReady
from connections.gate.inbound import Inbound, Lookout, Message, Receive
from connections.gate.lifecycle import Cause, Consequence, Lifecycle, State
from connections.gate.opening import Opening, Spawn
from connections.gate.outbound import Outbound, Send
from connections.gate.readiness import SCOPE_KEY, Readiness
from connections.gate.selection import Selection
from connections.gate.settings import Settings
from connections.gate.telemetry import ConnectionRecord, milliseconds

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_ENDING = frozenset({State.CLOSING, State.FAILED, State.CLOSED})
_DENIAL = "websocket.http.response"
_REFUSED_SEND = (OSError, RuntimeError)
"""What servers raise for a send after the connection is over: an OSError by the specification, a RuntimeError where
their own close came first."""

SERVICE_RESTART = 1012
"""What servers say for themselves when they stop (IANA WebSocket close code registry)."""


class Connection:
    """One connection. Created when the server offers it, run once."""

    __slots__ = ("_application", "_evict_at", "_evicted", "_inbound", "_left_at", "_loop",
                 "_outbound", "_scope", "_selection", "_settings", "_spawn", "_timer",
                 "_waiters", "_why", "close_code", "closed_by", "connection_id", "error", "lifecycle",
                 "opening")  # fmt: skip

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        connection_id: str,
        selection: Selection,
        settings: Settings,
        spawn: Spawn,
        lookout: Lookout,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope: Scope = {**scope, SCOPE_KEY: Readiness(self)}
        self._selection = selection
        self._settings = settings
        self._spawn = spawn
        self.connection_id = connection_id
        self.lifecycle = Lifecycle(
            self._loop.time(), deadlines=settings.deadlines, hold_limit_s=selection.strategy.hold_limit_s
        )
        self._inbound = Inbound(receive, self, settings.incoming, lookout)
        self._outbound = Outbound(send, connection_id[:8], self, settings.outgoing)
        self.opening = Opening(
            self, self.lifecycle, self._inbound, self._outbound, selection=selection, settings=settings, spawn=spawn
        )
        self.close_code: int | None = None
        self.closed_by = ""
        self.error = ""
        self._why = ""
        self._application: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._left_at: float | None = None
        self._evict_at: float | None = None
        self._evicted = False

    # --- the application's side -----------------------------------------------------------------------------------

    async def run(self, application: Application) -> None:
        """Run the application over this connection; returns or raises when it has, and the connection has ended."""
        self._application = asyncio.current_task()
        self.changed()
        try:
            try:
                await application(self._scope, self._inbound.receive, self.send)
            except Exception as error:
                if await self._application_raised(error):
                    raise
            else:
                await self._application_returned()
        except asyncio.CancelledError:
            if not self._cancelled_by_us():
                self._end(Cause.CANCELLED, "the server cancelled the application", through=State.FAILED)
                raise
        finally:
            self._wind_up()

    async def send(self, message: Message) -> None:
        """The application's `send`. To a client that has left it does nothing, until the grace is over."""
        kind = message["type"]
        if self._left_at is not None:
            await self._send_to_nobody(kind)
        elif kind == "websocket.send":
            try:
                await self._outbound.event(message)
            except OSError:
                self._outbound.undelivered += 1
                self.lost()
        elif kind == "websocket.accept":
            await self._accept(message)
        elif kind == "websocket.close":
            await self._close_for_application(message)
        else:
            await self._deny_for_application(message)

    async def _send_to_nobody(self, kind: str) -> None:
        # Raising at once would make Starlette before 1.0 swallow the error and report "Need to call accept first" at
        # the next receive; doing nothing lets the application meet the disconnect where it expects one.
        if kind != "websocket.send":
            return
        self._outbound.undelivered += 1
        await asyncio.sleep(0)  # an application that only ever sends must not hold the loop
        if self._left_at is not None and self._loop.time() - self._left_at > self._settings.grace_s:
            raise ClientGone(f"the connection is over: {self.lifecycle.cause}")

    async def _accept(self, message: Message) -> None:
        self.lifecycle.move(State.ACCEPTED, self._loop.time(), "the application accepted")
        try:
            await self._outbound.control({**message, "headers": [*message.get("headers", ()), *self._headers()]})
        except OSError:
            self.lost()
        if self._left_at is None:
            self._inbound.start()
            await self.opening.accepted()

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"readiness-strategy", self.strategy_name.encode())]
        if self.flags_revision is not None:
            headers.append((b"readiness-revision", str(self.flags_revision).encode()))
        return headers

    async def _close_for_application(self, message: Message) -> None:
        cause, why = Cause.SELF_CLOSED, "the application closed"
        if self.lifecycle.state is State.CONNECTING:
            cause, why = Cause.NEVER_ACCEPTED, "the application refused it"
        self.close_code, self.closed_by = message.get("code", 1000), "application"
        self._end(cause, why, through=State.CLOSING)
        with suppress(OSError):
            await self._outbound.control(message)
        self._end(cause, why)
        self._leave({"type": "websocket.disconnect", "code": self.close_code, "reason": message.get("reason") or ""})

    async def _deny_for_application(self, message: Message) -> None:
        await self._outbound.control(message)
        if message["type"] == f"{_DENIAL}.body" and not message.get("more_body", False):
            self.closed_by = "application"
            self._end(Cause.NEVER_ACCEPTED, "the application refused it")

    async def _application_raised(self, error: Exception) -> bool:
        """Close for an application that raised; true where the error is the server's to see."""
        self.error = type(error).__name__
        if self._left_at is not None:
            # What an application raises because its client left during setup, or was turned away, is no error.
            return self.closed_by == "application" or self.opening.opened_at is not None
        if self.lifecycle.state is State.CONNECTING:
            self._end(Cause.NEVER_ACCEPTED, "the application raised before accept", through=State.FAILED)
        else:
            await self.close(1011, Cause.APPLICATION_ERROR, "internal error", through=State.FAILED)
        return True

    async def _application_returned(self) -> None:
        if self.lifecycle.state is State.CONNECTING:
            await self.refuse(500, "the application returned before accept")
        else:
            await self.close(1011, Cause.APPLICATION_RETURNED, "the application returned without closing")

    # --- the server's side ----------------------------------------------------------------------------------------

    def asked(self) -> None:
        self.opening.asked()

    def acknowledged(self, nonce: str) -> None:
        self.opening.acknowledged(nonce)

    def spoke(self) -> None:
        """The client's first message was read."""
        self.opening.spoke()

    def stalled(self) -> None:
        """The client reads nothing of what is sent to it."""
        self._spawn(self.close(1013, Cause.SEND_STALLED, "the client stopped reading"))

    def overflowed(self) -> None:
        """More came in during setup than may be held."""
        self._spawn(self.close(1013, Cause.OVERFLOW, "too many messages before ready"))

    def lost(self) -> None:
        """A send found the client gone before the disconnect was read."""
        self.disconnected({"type": "websocket.disconnect", "code": 1006, "reason": ""})

    def disconnected(self, message: Message) -> None:
        """The connection is over for the client. First news wins."""
        if self._left_at is not None:
            return
        code = message.get("code", 1005)
        in_setup = self.opening.opened_at is None
        if self.lifecycle.cause is None:
            self.close_code, self.closed_by = code, "server" if code == SERVICE_RESTART else "client"
        if code == SERVICE_RESTART:
            self._end(Cause.DRAINED, "the server is shutting down")
        elif in_setup:
            self._end(Cause.CLIENT_GONE, "the client left before it was ready")
        else:
            self._end(Cause.CLIENT_CLOSED, "the client left")
        self._leave(message, hold=in_setup, evict=in_setup)

    # --- what the application sees --------------------------------------------------------------------------------

    @property
    def strategy_name(self) -> str:
        return self._selection.strategy.name

    @property
    def flags_revision(self) -> int | None:
        return self._selection.revision

    @property
    def left(self) -> bool:
        return self._left_at is not None

    def on_loop(self, mark: Callable[..., None], *arguments: Any) -> None:
        """Call `mark` on the connection's loop: now when this is it, soon when this is another thread."""
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            mark(*arguments)
        else:
            self._loop.call_soon_threadsafe(mark, *arguments)

    async def wait_open(self) -> None:
        while self.opening.opened_at is None and self._left_at is None and self.lifecycle.cause is None:
            await self._wait_change()
        if self.opening.opened_at is None:
            raise EndedBeforeReady(str(self.lifecycle.cause))

    async def wait_left(self) -> None:
        while self._left_at is None:
            await self._wait_change()

    async def _wait_change(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        await waiter

    # --- ends -----------------------------------------------------------------------------------------------------

    def reject(self, why: str) -> None:
        """Close 1013, "try again later"."""
        self._spawn(self.close(1013, Cause.NOT_READY, why))

    async def close(self, code: int, cause: Cause, why: str, *, through: State = State.CLOSING) -> None:
        """Close from the gate's side; does nothing where the connection already has a terminal reason."""
        if self.lifecycle.cause is not None:
            return
        self.close_code, self.closed_by = code, "gate"
        self._end(cause, why, through=through)
        reason = why.encode()[:120].decode(errors="ignore")  # a close frame holds 123 bytes of reason (RFC 6455, 5.5.1)
        self._leave({"type": "websocket.disconnect", "code": code, "reason": reason}, hold=True, evict=True)
        with suppress(*_REFUSED_SEND):
            await self._outbound.control({"type": "websocket.close", "code": code, "reason": reason})
        self._end(cause, why)

    async def refuse(self, status: int, why: str) -> None:
        """Refuse the upgrade with an HTTP status; with 403 where the server cannot say another."""
        if self.lifecycle.cause is not None:
            return
        self.closed_by = "gate"
        self._end(Cause.NEVER_ACCEPTED, why)
        self._leave({"type": "websocket.disconnect", "code": 1006, "reason": why}, hold=True, evict=True)
        with suppress(*_REFUSED_SEND):
            if _DENIAL in (self._scope.get("extensions") or {}):
                headers = [(b"content-type", b"text/plain"), (b"retry-after", b"1")]
                await self._outbound.control({"type": f"{_DENIAL}.start", "status": status, "headers": headers})
                await self._outbound.control({"type": f"{_DENIAL}.body", "body": why.encode()})
            else:
                await self._outbound.control({"type": "websocket.close", "code": 1013, "reason": why})

    def begin_drain(self) -> None:
        """Take no new work: an open connection may finish what it has, one in setup is closed."""
        if self.lifecycle.state.open:
            self.lifecycle.move(State.DRAINING, self._loop.time(), "the server is going away")
            self._inbound.hold()
            self.changed()
        elif self.lifecycle.state is State.CONNECTING:
            self._spawn(self.refuse(503, "the server is going away"))
        else:
            self.finish_drain()

    def finish_drain(self) -> None:
        """Close 1012."""
        self._spawn(self.close(SERVICE_RESTART, Cause.DRAINED, "the server is going away"))

    def _end(self, cause: Cause, why: str, *, through: State | None = None) -> None:
        if self.lifecycle.end(cause, self._loop.time(), why, through=through):
            self._why = why
        self.changed()

    def _leave(self, disconnect: Message, *, hold: bool = False, evict: bool = False) -> None:
        if self._left_at is None:
            self._left_at = self._loop.time()
        if hold:
            self._inbound.hold()
        if evict:
            self._evict_at = self._left_at + self._settings.grace_s
        self._inbound.end(disconnect)
        self.changed()

    def _cancelled_by_us(self) -> bool:
        return self._evicted and self._application is not None and self._application.uncancel() == 0

    def _evict(self) -> None:
        self._evict_at = None
        if self._application is not None and not self._evicted:
            self._evicted = True
            self._application.cancel("the connection is over and the grace has passed")

    def _wind_up(self) -> None:
        self._application = None
        self._end(Cause.CANCELLED, "the application was torn down")
        if self._left_at is None:
            self._left_at = self._loop.time()
        self.opening.end()
        self._outbound.end()
        self._inbound.stop()
        self.changed()

    # --- time -----------------------------------------------------------------------------------------------------

    def changed(self, until: float | None = None) -> None:
        """Wake whoever waits for a change, and set the one timer to the next instant at which anything is due."""
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [at for at in (self.lifecycle.due_at, until, self._evict_at) if at is not None]
        if times and self._application is not None:
            self._timer = self._loop.call_at(min(times), self._on_time)

    def _on_time(self) -> None:
        now = self._loop.time()
        if self._evict_at is not None and now >= self._evict_at:
            self._evict()
        elif (due := self.lifecycle.due(now)) is not None:
            self._carry_out(due.consequence)
        else:
            self.changed()
            self.opening.reconsider()

    def _carry_out(self, consequence: Consequence) -> None:
        match consequence:
            case Consequence.REFUSE_503:
                self._spawn(self.refuse(503, "the application did not accept in time"))
            case Consequence.CLOSE_4408:
                self._spawn(self.close(4408, Cause.NOT_READY, "authentication took too long"))
            case Consequence.CLOSE_1011:
                self._spawn(self.close(1011, Cause.NOT_READY, "setup took too long"))
            case Consequence.DECIDE:
                self.opening.decide_now()
            case Consequence.OPEN_UNCONFIRMED:
                self.opening.enable("connection_ready could not be confirmed in time")
            case Consequence.CLOSE_1012:
                self.finish_drain()
            case Consequence.ABORT:
                self._evict()

    def record(self) -> ConnectionRecord:
        """How it went; complete once `run` is over."""
        trail, opening = self.lifecycle.trail, self.opening
        reached = [step.state for step in trail if step.state not in _ENDING]
        spent = self.lifecycle.spent(self._loop.time())
        opened = opening.opened_at
        return ConnectionRecord(
            connection_id=self.connection_id,
            environment=self._selection.environment,
            path=str(self._scope.get("path", "")),
            strategy=self.strategy_name,
            flags_revision=self.flags_revision,
            cause=self.lifecycle.cause or Cause.CANCELLED,
            why=self._why,
            state_reached=reached[-1].value,
            close_code=self.close_code,
            closed_by=self.closed_by,
            duration_ms=milliseconds(trail[-1].at - trail[0].at),
            held_ms=None if opened is None else milliseconds(opened - opening.progress.accepted_at),
            states_ms={state.value: milliseconds(seconds) for state, seconds in spent.items()},
            confirmed=opening.confirmed,
            false_ready=opening.opened_too_early(),
            messages=self._inbound.counts,
            sent=self._outbound.sent,
            undelivered=self._outbound.undelivered,
            backpressure=self._inbound.backpressure,
            queued=self._outbound.counts,
            gaps=self._outbound.gaps,
            failures=opening.failures,
            problems=self._selection.problems,
            error=self.error,
        )
