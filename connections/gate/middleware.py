"""`ReadinessGate`: pure ASGI middleware around any application, on any ASGI server.

    app = ReadinessGate(app, flags=FlagSource(...), required=("redis", "database"))
    app.add_middleware(ReadinessGate, flags=...)        # Starlette, FastAPI

Needs no lifespan (Daphne runs none), relies on no header (Daphne and Granian drop those of the accept; the ready frame
says the same), and takes no signals: the server's own shutdown calls `await gate.drain()`.
"""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from typing import Any

from connections.gate.buffer import Priority
from connections.gate.connection import Application, Connection, Scope
from connections.gate.dependencies import Check
from connections.gate.inbound import Incoming, Lookout, PriorityOf, Receive, never_drop
from connections.gate.lifecycle import DEADLINES, Deadline, State
from connections.gate.outbound import Outgoing, Send, droppable
from connections.gate.selection import Flags, Selector, StaticFlags
from connections.gate.settings import Settings
from connections.gate.strategies import Requirements
from connections.gate.telemetry import emit


class ReadinessGate:
    """Holds a client's messages until the application is ready for them, by the strategy that the flags choose.

    `flags`: a FlagSource, or a mapping of flag keys to values or definitions that never change, or None for the coded
    defaults. `required` and `optional` name services that the application marks with `service_ready`. `checks` run at
    each accept. `authenticates`: the application promises to call `authenticated()`, and is held to 3 s. `subject`
    names whom a percentage sticks to; without it each connection is its own subject. `announce=False` sends no frames
    of the gate, `number_events=False` leaves the application's events as they are. `deadlines` replaces single entries
    of `lifecycle.DEADLINES`. `event_priorities` names types of events that may be dropped where a client reads too
    slowly; `send_stall_s` is how long it may read nothing (0: forever). `max_held`, `max_held_bytes` and `max_held_s`
    bound what is held in each direction. Times are seconds.
    """

    def __init__(
        self,
        app: Application,
        *,
        flags: Flags | Mapping[str, Any] | None = None,
        required: Iterable[str] = (),
        optional: Iterable[str] = (),
        checks: Iterable[Check] = (),
        authenticates: bool = False,
        subject: Callable[[Mapping[str, Any]], str] | None = None,
        priority_of: PriorityOf = never_drop,
        announce: bool = True,
        number_events: bool = True,
        max_held: int = 1000,
        max_held_bytes: int = 1_048_576,
        max_held_s: float = 300.0,
        event_priorities: Mapping[str, Priority] | None = None,
        send_stall_s: float = 10.0,
        grace_s: float = 5.0,
        deadlines: Mapping[State, Deadline] | None = None,
    ) -> None:
        self.app = app
        self.flags: Flags = StaticFlags(flags) if flags is None or isinstance(flags, Mapping) else flags
        checks = tuple(checks)
        self._subject = subject
        self._selector = Selector()
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lookout: Lookout | None = None
        self._draining = False
        self._emptied = asyncio.Event()
        self._settings = Settings(
            requirements=Requirements(
                required=frozenset(required),
                optional=frozenset(optional) - frozenset(required),
                required_checks=frozenset(check.name for check in checks if check.required),
                optional_checks=frozenset(check.name for check in checks if not check.required),
                authenticates=authenticates,
            ),
            checks=checks,
            deadlines={**DEADLINES, **(deadlines or {})},
            grace_s=grace_s,
            incoming=Incoming(max_held, max_held_bytes, max_held_s, priority_of),
            announce=announce,
            outgoing=Outgoing(
                number=number_events,
                announce=announce,
                priorities=droppable(event_priorities or {}),
                max_count=max_held,
                max_bytes=max_held_bytes,
                max_age_s=max_held_s,
                stall_s=send_stall_s,
            ),
        )

    @property
    def open_connections(self) -> int:
        """Connections whose application is still running."""
        return len(self._connections)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.flags.start()
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        connection = self._new_connection(scope, receive, send)
        if self._draining:
            await receive()
            await connection.refuse(503, "the server is going away")
            return
        self._connections.add(connection)
        try:
            await connection.run(self.app)
        finally:
            self._connections.discard(connection)
            if self._draining and not self._connections:
                self._emptied.set()
            record = connection.record()
            self.flags.ended(record.strategy, record.cause)
            emit(record)

    def _new_connection(self, scope: Scope, receive: Receive, send: Send) -> Connection:
        connection_id = secrets.token_hex(8)
        snapshot = self.flags.snapshot()
        selection = self._selector.select(
            snapshot,
            lambda: {
                "targetingKey": connection_id if self._subject is None else self._subject(scope),
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
        )

    async def drain(self, grace_s: float = 0.0) -> int:
        """Go away cleanly: refuse new connections with 503, close those in setup with 1012 at once and open ones after
        at most `grace_s` seconds, in which they take no new messages but may finish answering. Returns how many
        connections there were. Call it on the server's event loop, before the server closes its sockets."""
        self._draining = True
        if not self._connections:
            return 0
        connections = list(self._connections)
        for connection in connections:
            connection.begin_drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await self._emptied.wait()
        for connection in connections:
            connection.finish_drain()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2.0)
        return len(connections)

    def _lookout_of(self, loop: asyncio.AbstractEventLoop) -> Lookout:
        if self._lookout is None or self._lookout.loop is not loop:
            self._lookout = Lookout(loop)
        return self._lookout

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
