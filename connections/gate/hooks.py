"""Draining when the server is told to stop. ASGI tells middleware of no signals, so this is opt-in:

    app = drain_on_sigterm(ReadinessGate(app, ...))

Hand the result to the server in place of the gate, outermost. Nothing else calls it, and no lifespan is needed.
"""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType

from connections.gate.connection import Application, Scope
from connections.gate.inbound import Receive
from connections.gate.middleware import ReadinessGate
from connections.gate.outbound import Send

logger = logging.getLogger("readywire.gate")

GRACE_S = 2.0
"""Seconds that open connections get to finish answering: well under the 10 s that Cloud Run leaves a container."""


def drain_on_sigterm(gate: ReadinessGate, *, grace_s: float = GRACE_S) -> Application:
    """`gate` as an application that drains at the process's first SIGTERM, and only then lets the server have it.

    Open connections take no new messages and get at most `grace_s` seconds before they are closed 1012; then the
    signal is delivered again, to the handler that the server had installed. A second SIGTERM goes through at once.
    Unix only. The process that serves must be the one that is signalled: see docs/servers.md for Hypercorn.
    """
    return _DrainOnSigterm(gate, grace_s)


class _DrainOnSigterm:
    """Takes SIGTERM with the first connection: by then every server listens for it, and its loop runs for good (a
    lifespan may have a run of its own, between which and the next uvloop takes the wakeup descriptor back)."""

    def __init__(self, gate: ReadinessGate, grace_s: float) -> None:
        self._gate = gate
        self._grace_s = grace_s
        self._signal: _Signal | None = None
        self._tried = False
        self._draining: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._tried and scope["type"] != "lifespan":
            self._tried = True
            try:
                self._signal = _Signal(self._on_signal)
            except ValueError:  # what `signal` raises where handlers cannot be set
                logger.warning("drain_on_sigterm: not in the process's main thread, so call gate.drain() yourself")
        await self._gate(scope, receive, send)

    def _on_signal(self) -> None:
        if self._signal is not None:
            self._draining = asyncio.create_task(self._drain(self._signal))

    async def _drain(self, taken: "_Signal") -> None:
        try:
            await self._gate.drain(self._grace_s)
        finally:
            taken.deliver()


class _Signal:
    """SIGTERM, taken from whoever had it until `deliver`.

    Servers listen in two ways: with a handler of `signal.signal` (uvicorn, Daphne), or through the loop (Hypercorn,
    Granian), which reads the signal's number from the wakeup descriptor. So both are taken: the handler, and the
    descriptor, from which every other signal is passed on.
    """

    def __init__(self, taken: Callable[[], None]) -> None:
        """Call `taken` on the running loop at the first SIGTERM. Raises ValueError outside the main thread."""
        self._loop = asyncio.get_running_loop()
        self._taken = taken
        self._seen = self._delivered = False
        self._handler = signal.signal(signal.SIGTERM, self._on_sigterm)
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._wakeup = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._loop.add_reader(self._reader, self._pass_on)

    def deliver(self) -> None:
        """Put everything back as it was, and send the signal again."""
        if self._delivered:
            return
        self._delivered = True
        self._loop.remove_reader(self._reader)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, signal.SIG_DFL if self._handler is None else self._handler)
        self._reader.close()
        self._writer.close()
        os.kill(os.getpid(), signal.SIGTERM)

    def _on_sigterm(self, _number: int, _frame: FrameType | None) -> None:
        if self._seen:
            self._loop.call_soon_threadsafe(self.deliver)
        else:
            self._seen = True
            self._loop.call_soon_threadsafe(self._taken)

    def _pass_on(self) -> None:
        others = self._reader.recv(4096).replace(bytes([signal.SIGTERM]), b"")
        if others and self._wakeup >= 0:
            os.write(self._wakeup, others)
