"""The shell around one connection: moves messages and time between an ASGI server and an application. It decides
nothing: states come from `lifecycle`, verdicts from a strategy, order and room from the buffer, ends from `ending`.

From accept on at most one `receive()` is outstanding with the server, and one always is within a tick, so a disconnect
is seen at once whatever the application does. The application's own `receive()` is the single consumer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

from connections.gate.ending import DENIAL, SERVICE_RESTART, Ending
from connections.gate.errors import ClientGone, EndedBeforeReady, OutOfOrder
from connections.gate.inbound import Inbound, Lookout, Message, Receive
from connections.gate.lifecycle import Cause, Consequence, Lifecycle, Observer, State
from connections.gate.opening import Opening, Spawn
from connections.gate.outbound import Outbound, Send
from connections.gate.patterns import Pattern, RacePattern
from connections.gate.readiness import SCOPE_KEY, Readiness
from connections.gate.recording import race_of
from connections.gate.selection import Selection
from connections.gate.settings import Settings
from connections.gate.strategies import Verdict

_NEVER = float("inf")

Scope = MutableMapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[Any]]
"""`Any`: frameworks type the three arguments of ASGI differently, and none of them is wrong."""


class Watcher(Observer, Protocol):
    """Who hears what a connection does."""

    def raced(self, race: RacePattern) -> None:
        """A pattern of the race was seen. Never raises."""


class Connection:
    """One connection. Created when the server offers it, run once."""

    __slots__ = ("_accepting", "_application", "_evicted", "_loop", "_observer", "_scope", "_spawn", "_timer",
                 "_waiters", "connection_id", "ending", "inbound", "lifecycle", "opening", "outbound", "patterns",
                 "selection")  # fmt: skip

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
        observer: Watcher | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._scope: Scope = {**scope, SCOPE_KEY: Readiness(self)}
        self._spawn = spawn
        self._application: asyncio.Task[Any] | None = None
        self._accepting: Message | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: list[asyncio.Future[None]] | None = None
        self._observer = observer
        self.patterns: tuple[Pattern, ...] = ()
        self._evicted = False
        self.connection_id = connection_id
        self.selection = selection
        self.lifecycle = life = Lifecycle(
            self._loop.time(),
            deadlines=settings.deadlines_for(selection.strategy),
            name=connection_id,
            observer=observer,
        )
        self.inbound = Inbound(receive, self, settings, lookout)
        self.outbound = Outbound(send, connection_id[:8], self, settings.outgoing)
        self.opening = Opening(
            self, life, self.inbound, self.outbound, selection=selection, settings=settings, spawn=spawn
        )
        self.ending = Ending(self, life, self.inbound, self.outbound, scope=scope, grace_s=settings.grace_s)

    # --- the application's side -----------------------------------------------------------------------------------

    async def run(self, application: Application) -> None:
        """Run the application over this connection; returns or raises when it has, and the connection has ended."""
        self._application = asyncio.current_task()
        self.changed()
        try:
            try:
                await application(self._scope, self.inbound.receive, self.outbound.send)
            except Exception as error:
                if await self._application_raised(error):
                    raise
            else:
                await self._application_returned()
            await self.ending.settled()
        except asyncio.CancelledError:
            if not self._cancelled_by_us():
                await self.ending.cancelled()
                raise
        finally:
            self._wind_up()

    async def send(self, message: Message) -> None:
        """The application's `send`. To a client that has left it does nothing, until the grace is over."""
        kind = message["type"]
        if kind == "websocket.send" and self.ending.carries:
            try:
                await self.outbound.event(message)
            except OSError:
                self.unsent()
                self.lost()
        elif self.ending.left_at is not None:
            await self._send_to_nobody(kind)
        elif kind == "websocket.accept":
            await self._accept(message)
        elif kind == "websocket.close":
            if self._accepting is not None:  # its code and last words would reach no client that was never accepted
                await self.upgrade()
                self.outbound.release()
            await self.ending.close_for_application(message)
        elif kind == "websocket.send":
            raise self._out_of_order("websocket.send before websocket.accept: accept the connection first")
        elif kind.startswith(DENIAL) and self.lifecycle.state is not State.CONNECTING:
            raise self._out_of_order(f"{kind} after websocket.accept: send websocket.close instead")
        else:
            await self.ending.deny_for_application(message)

    def _out_of_order(self, what: str) -> OutOfOrder:
        self.notice(Pattern.OUT_OF_ORDER, what)
        return OutOfOrder(what)

    async def _send_to_nobody(self, kind: str) -> None:
        # Raising at once would make Starlette before 1.0 swallow the error and report "Need to call accept first" at
        # the next receive; doing nothing lets the application meet the disconnect where it expects one.
        if kind != "websocket.send":
            return
        self.unsent()
        await asyncio.sleep(0)  # an application that only ever sends must not hold the loop
        if self.ending.grace_over:
            raise ClientGone(f"the connection is over: {self.lifecycle.cause}")

    def unsent(self) -> None:
        """The application sent to a client that was gone."""
        self.outbound.undelivered += 1
        self.notice(Pattern.SEND_AFTER_GONE, "the application sent to a connection that was over")

    async def _accept(self, message: Message) -> None:
        now, defer = self._loop.time(), self.selection.strategy.defers_accept
        if self.lifecycle.state is not State.CONNECTING:
            self.notice(Pattern.OUT_OF_ORDER, "the application accepted twice")
        if defer:
            self.lifecycle.move(State.HANDSHAKE_VALIDATING, now, "the application accepted, and its client waits")
            self.outbound.hold()
        else:
            self.lifecycle.move(State.ACCEPTED, now, "the application accepted")
        self.ending.carries = True
        self._accepting = message
        if not defer:
            await self.upgrade()
        if not self.left:
            self.inbound.start()
            await self.opening.accepted()

    async def upgrade(self) -> None:
        """Put the application's accept on the wire, once."""
        accept, self._accepting = self._accepting, None
        if accept is None:
            return
        self.ending.upgraded = True
        try:
            await self.outbound.control({**accept, "headers": [*accept.get("headers", ()), *self._headers()]})
        except OSError:
            self.lost()

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [(b"readiness-strategy", self.strategy_name.encode())]
        if self.flags_revision is not None:
            headers.append((b"readiness-revision", str(self.flags_revision).encode()))
        return headers

    async def _application_raised(self, error: Exception) -> bool:
        """Close for an application that raised; true where the error is the server's to see."""
        ending = self.ending
        ending.error = type(error).__name__
        if ending.left:
            # What an application raises because its client left during setup, or was turned away, is no error.
            return ending.closed_by == "application" or self.opening.opened_at is not None
        if self.lifecycle.state is State.CONNECTING:
            ending.end(Cause.NEVER_ACCEPTED, "the application raised before accept", through=State.FAILED)
        else:
            await ending.close(1011, Cause.APPLICATION_ERROR, "internal error", through=State.FAILED)
        return True

    async def _application_returned(self) -> None:
        if self.lifecycle.state is State.CONNECTING:
            await self.ending.refuse(500, "the application returned before accept")
        else:
            await self.ending.close(1011, Cause.APPLICATION_RETURNED, "the application returned without closing")

    def _wind_up(self) -> None:
        self._application = None
        self.ending.torn_down()
        self.opening.end()
        self.outbound.end()
        self.inbound.stop()
        self.changed()

    # --- the server's side ----------------------------------------------------------------------------------------

    async def asked(self) -> None:
        await self.opening.asked()

    def stop_reading(self) -> None:
        """Ask the server for nothing more."""
        self.inbound.stop()

    def acknowledged(self, nonce: str) -> None:
        self.opening.acknowledged(nonce)

    def spoke(self) -> None:
        """The client's first message was read."""
        self.opening.spoke()

    def stalled(self) -> None:
        """The client reads nothing of what is sent to it."""
        self._spawn(self.ending.close(1013, Cause.SEND_STALLED, "the client stopped reading"))

    def overflowed(self) -> None:
        """More came in during setup than may be held."""
        self._spawn(self.ending.close(1013, Cause.OVERFLOW, "too many messages before ready"))

    def lost(self) -> None:
        """A send found the client gone before the disconnect was read."""
        self.disconnected({"type": "websocket.disconnect", "code": 1006, "reason": ""})

    def disconnected(self, message: Message) -> None:
        """The server says that the connection is over."""
        self.ending.disconnected(message, in_setup=self.opening.opened_at is None)

    def reject(self, why: str, code: int) -> None:
        """Close for the strategy: 1013, "try again later", or 4408 where the client did not do its part."""
        self._spawn(self.ending.close(code, Cause.NOT_READY, why))

    def begin_drain(self) -> None:
        """Take no new work: an open connection may finish what it has, one in setup is closed."""
        if self.lifecycle.state.open:
            self.lifecycle.move(State.DRAINING, self._loop.time(), "the server is going away")
            self.inbound.hold()
            self.changed()
        else:
            self.finish_drain()

    def finish_drain(self) -> None:
        """Close 1012; refuse with 503 where the upgrade is still waited for."""
        self._spawn(self.ending.close(SERVICE_RESTART, Cause.DRAINED, "the server is going away"))

    def held_early(self, count: int) -> None:
        """The gate opens, and so many messages had come before."""
        self.notice(Pattern.EARLY_MESSAGE_HELD, f"{count} held, the application gets them now")

    def notice(self, pattern: Pattern, why: str) -> None:
        """Tell of `pattern`, once per connection."""
        if pattern not in self.patterns:
            self.patterns = (*self.patterns, pattern)
            if self._observer is not None:
                self._observer.raced(race_of(self, pattern, why, time.time()))

    # --- what is known of it --------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        return str(self._scope.get("path", ""))

    @property
    def strategy_name(self) -> str:
        return self.selection.strategy.name

    @property
    def flags_revision(self) -> int | None:
        return self.selection.revision

    @property
    def clock(self) -> Callable[[], float]:
        """The time of its event loop, in seconds."""
        return self._loop.time

    @property
    def left(self) -> bool:
        return self.ending.left

    def verdict(self, now: float) -> Verdict:
        """What its strategy says at `now`; asking changes nothing."""
        if self.lifecycle.state is State.SERVICES_READY:
            return self.selection.strategy.confirm(self.opening.progress)
        return self.selection.strategy.decide(self.opening.progress, now)

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
        while self.opening.opened_at is None and not self.left and self.lifecycle.cause is None:
            await self._wait_change()
        if self.opening.opened_at is None:
            raise EndedBeforeReady(str(self.lifecycle.cause))

    async def wait_left(self) -> None:
        while not self.left:
            await self._wait_change()

    async def _wait_change(self) -> None:
        waiter = self._loop.create_future()
        self._waiters = [*(self._waiters or ()), waiter]
        await waiter

    # --- time -----------------------------------------------------------------------------------------------------

    def changed(self, until: float | None = None) -> None:
        """Wake whoever waits for a change, and set the one timer to the next instant at which anything is due."""
        if self._waiters:
            waiters, self._waiters = self._waiters, None
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
        if self._application is None:
            self._stop_timer()
            return
        at = min(self.lifecycle.due_at or _NEVER, until or _NEVER, self.ending.evict_at or _NEVER)
        # One that is early finds nothing due and is set again: most connections need but one in their whole setup.
        if at < _NEVER and (self._timer is None or at < self._timer.when()):
            self._stop_timer()
            self._timer = self._loop.call_at(at, self._on_time)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_time(self) -> None:
        self._timer = None
        now = self._loop.time()
        if self.ending.evict_at is not None and now >= self.ending.evict_at:
            self._evict()
        elif (due := self.lifecycle.due(now)) is not None:
            self._carry_out(due.consequence)
        else:
            self.changed()
            self.opening.reconsider()

    def _carry_out(self, consequence: Consequence) -> None:
        match consequence:
            case Consequence.REFUSE_503:
                self._spawn(self.ending.refuse(503, "the application did not accept in time"))
            case Consequence.CLOSE_4408:
                self._spawn(self.ending.close(4408, Cause.NOT_READY, "authentication took too long"))
            case Consequence.CLOSE_1011:
                self._spawn(self.ending.close(1011, Cause.NOT_READY, "setup took too long"))
            case Consequence.DECIDE:
                self.opening.decide_now()
            case Consequence.OPEN_UNCONFIRMED:
                self.opening.unconfirmed()
            case Consequence.CLOSE_1012:
                self.finish_drain()
            case Consequence.ABORT:
                self._evict()

    def _evict(self) -> None:
        self.ending.evict_at = None
        if self._application is not None and not self._evicted:
            self._evicted = True
            self._application.cancel("the connection is over and the grace has passed")

    def _cancelled_by_us(self) -> bool:
        return self._evicted and self._application is not None and self._application.uncancel() == 0
