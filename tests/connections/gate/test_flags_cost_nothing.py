"""What a flag server does to a connection: nothing, whatever state it is in. Counted, not timed: a connection takes the
very same steps of the event loop, and asks nothing of the network."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVarTuple, Unpack

import pytest

from connections.gate import FlagSource, OfrepSource, ReadinessGate, StaticFlags
from connections.gate.connection import Scope
from connections.gate.inbound import Message
from connections.gate.selection import Flags
from connections.gate.source import Source
from tests.connections.gate.applications import ACCEPT, plain
from tests.support.flag_server import FlagServer, flag_server
from tests.support.flag_sources import following, holds
from tests.support.waiting import wait_until

Ts = TypeVarTuple("Ts")
NOWHERE = "http://127.0.0.1:9"
KEY = "rws_0123456789012345678901234567890123456789012"
CONNECTIONS = 20


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts the steps and the timers that it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        self.steps += 1
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self.steps += 1
        return super().call_at(when, callback, *args, context=context)


async def talking(scope: Any, receive: Any, send: Any) -> None:
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def connection(gate: ReadinessGate) -> None:
    """A client that says one thing once it is told that it may, hears the answer, and leaves."""
    messages: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hello"},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    script = iter(messages)
    turns = asyncio.Semaphore(2)
    sent: list[str] = []

    async def receive() -> Message:
        await turns.acquire()
        return next(script)

    async def send(message: Message) -> None:
        sent.append(message["type"])
        if message.get("text") == "hello":
            turns.release()

    scope: Scope = {"type": "websocket", "path": "/ws", "headers": [], "subprotocols": []}
    await gate(scope, receive, send)
    assert sent.count("websocket.send") == 2


def steps(flags: Flags) -> int:
    """Steps that a connection takes, with everything started and warm. The gate's tick, which all connections share, is
    rounded away."""
    loop = CountingLoop()
    try:
        gate = ReadinessGate(plain(talking), flags=flags, number_events=False)
        loop.run_until_complete(connection(gate))
        before = loop.steps
        for _ in range(CONNECTIONS):
            loop.run_until_complete(connection(gate))
        return round((loop.steps - before) / CONNECTIONS)
    finally:
        loop.close()


class Hung:
    """Takes connections and never says a word; counts them."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                self.taken.append(self._listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self._listener.close()
        for each in self.taken:
            each.close()


@contextmanager
def hung() -> Iterator[Hung]:
    server = Hung()
    try:
        yield server
    finally:
        server.close()


def flag_source(url: str) -> Source:
    return FlagSource(url, KEY, "chat-1", timeout_s=60)


def ofrep_source(url: str) -> Source:
    return OfrepSource(url, KEY, "chat-1", timeout_s=60)


@pytest.mark.parametrize("make", [flag_source, ofrep_source])
def test_a_hung_flag_server_adds_no_step_to_a_connection(make: Callable[[str], Source]) -> None:
    """And is asked for nothing more, however many connections there are."""
    with hung() as server:
        source = make(server.url)
        source.start()
        wait_until(lambda: server.taken)
        asked = len(server.taken)
        try:
            assert steps(source) == steps(StaticFlags())
            assert len(server.taken) == asked
        finally:
            source.stop()


@pytest.mark.parametrize("make", [flag_source, ofrep_source])
def test_a_dead_flag_server_adds_no_step_to_a_connection(make: Callable[[str], Source]) -> None:
    source = make(NOWHERE)
    source.start()
    try:
        assert steps(source) == steps(StaticFlags())
    finally:
        source.stop()


def test_a_flag_server_that_answers_adds_no_step_either() -> None:
    flags = FlagServer()
    with flag_server(flags) as served, following(served.http) as source:
        wait_until(holds(source, 1))
        assert steps(source) == steps(StaticFlags())


def test_a_source_that_hangs_on_its_last_report_does_not_hold_up_the_end_for_long() -> None:
    """`stop()` is bounded: the thread is a daemon, and is left behind."""
    flags = FlagServer()
    with flag_server(flags) as served, following(served.http) as source:
        wait_until(lambda: flags.reports)
        flags.hang = True
        stopping = threading.Thread(target=source.stop)
        stopping.start()
        stopping.join(10)
        assert not stopping.is_alive()
