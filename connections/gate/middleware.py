"""`ReadinessGate`: pure ASGI middleware around any application, on any ASGI server.

    app = ReadinessGate(app, flags=FlagSource(...), required=("redis", "database"))
    app.add_middleware(ReadinessGate, flags=...)        # Starlette, FastAPI

Needs no lifespan (Daphne runs none), relies on no header (Daphne and Granian drop those of the accept; the ready frame
says the same), and takes no signals: the server's own shutdown calls `await gate.drain()`.
"""

import asyncio
import secrets
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any, Unpack

from connections.gate.connection import Application, Connection, Scope
from connections.gate.inbound import Lookout, Message, Receive
from connections.gate.lifecycle import Cause
from connections.gate.listeners import CheckListener, Listeners, RaceListener, RecordListener, StepListener, Unsubscribe
from connections.gate.options import Options, settings_of
from connections.gate.outbound import Send
from connections.gate.recording import notice_end, record_of
from connections.gate.registry import Registry
from connections.gate.selection import Flags, Selector, StaticFlags

_RETURN_S = 0.5
"""What applications have to return after a drain closed their connections; those that do are in the last report."""
_LIFESPAN_OVER = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed"})


class ReadinessGate:
    """Holds a client's messages until the application is ready for them, by the strategy that the flags choose.

    `flags`: a FlagSource, or a mapping of flag keys to values or definitions that never change, or None for the coded
    defaults. The other keyword arguments are those of `options.Options`, each documented there with its default.
    Raises InvalidSetting for an argument out of bounds.
    """

    def __init__(
        self, app: Application, *, flags: Flags | Mapping[str, Any] | None = None, **options: Unpack[Options]
    ) -> None:
        self.app = app
        self.flags: Flags = StaticFlags(flags) if flags is None or isinstance(flags, Mapping) else flags
        self._settings = settings_of(**options)
        self._selector = Selector()
        self._listeners = Listeners()
        self._settings.board.heard = self._listeners.checks.tell
        self._registry = Registry(keep_ended=self._settings.keep_ended)
        self._tasks: set[asyncio.Task[None]] = set()
        self._lookout: Lookout | None = None
        self._draining = False
        self._emptied = asyncio.Event()

    @property
    def registry(self) -> Registry:
        """Answers whether a connection is ready, and why not."""
        return self._registry

    @property
    def open_connections(self) -> int:
        """Connections whose application is still running."""
        return len(self._registry)

    def listen(self, listener: StepListener) -> Unsubscribe:
        """Call `listener(connection_id, step)` at each transition of each connection, once and in order, from now on.
        A listener that raises is logged, and harms nothing. Returns what ends the listening."""
        return self._listeners.to_steps(listener)

    def listen_to_records(self, listener: RecordListener) -> Unsubscribe:
        """Call `listener(record)` with the record of each connection that has ended."""
        return self._listeners.records.listen(listener)

    def listen_to_races(self, listener: RaceListener) -> Unsubscribe:
        """Call `listener(race)` with each race pattern, at the moment it is known."""
        return self._listeners.races.listen(listener)

    def listen_to_checks(self, listener: CheckListener) -> Unsubscribe:
        """Call `listener(result)` with the result of each run of a dependency check."""
        return self._listeners.checks.listen(listener)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._draining:
            self.flags.start()
        if scope["type"] != "websocket":
            await self.app(scope, receive, self._parting(send) if scope["type"] == "lifespan" else send)
            return
        connection = self._new_connection(scope, receive, send)
        self._registry.add(connection)
        try:
            if self._draining:
                await receive()
                await connection.ending.refuse(503, "the server is going away", Cause.DRAINED)
            else:
                await connection.run(self.app)
        finally:
            self._ended(connection)

    def _ended(self, connection: Connection) -> None:
        record = notice_end(connection, record_of(connection, time.time()))
        self._registry.remove(connection, record)
        if self._draining and not self._registry:
            self._emptied.set()
        self.flags.ended(record)
        self._listeners.ended(record)

    def _new_connection(self, scope: Scope, receive: Receive, send: Send) -> Connection:
        connection_id = secrets.token_hex(8)
        snapshot, subject = self.flags.snapshot(), self._settings.subject
        selection = self._selector.select(
            snapshot,
            lambda: {
                "targetingKey": connection_id if subject is None else subject(scope),
                "connectionId": connection_id,
                "environment": snapshot.environment,
                "path": str(scope.get("path", "")),
            },
        )
        self.flags.evaluated(selection.evaluations)
        return Connection(
            scope,
            receive,
            send,
            connection_id=connection_id,
            selection=selection,
            settings=self._settings,
            spawn=self._spawn,
            lookout=self._lookout_of(asyncio.get_running_loop()),
            observer=self._listeners,
        )

    async def drain(self, grace_s: float = 0.0) -> int:
        """Go away cleanly: refuse new connections with 503, close those in setup with 1012 at once and open ones after
        at most `grace_s` seconds, in which they take no new messages but may finish answering. Returns how many
        connections there were. Call it on the server's event loop, before the server closes its sockets."""
        self._draining = True
        connections = self._registry.live()
        if not connections:
            await self._stop_flags()
            return 0
        for connection in connections:
            connection.begin_drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._emptied.wait()
        for connection in connections:
            connection.finish_drain()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2.0)
        with suppress(TimeoutError):
            async with asyncio.timeout(_RETURN_S):
                await self._emptied.wait()
        if not self._registry:
            await self._stop_flags()
        return len(connections)

    def _lookout_of(self, loop: asyncio.AbstractEventLoop) -> Lookout:
        if self._lookout is None or self._lookout.loop is not loop:
            self._lookout = Lookout(loop)
        return self._lookout

    def _parting(self, send: Send) -> Send:
        """`send` of a lifespan: the flags tell their last counts and stop before the server hears that all is over."""

        async def parting(message: Message) -> None:
            if message["type"] in _LIFESPAN_OVER:
                await self._stop_flags()
            await send(message)

        return parting

    async def _stop_flags(self) -> None:
        await asyncio.to_thread(self.flags.stop)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
