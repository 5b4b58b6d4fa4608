"""The deputy reads where the loop is away: every message keeps its own time, and the loop still decides alone."""

import asyncio
import gc
import json
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from probes.engine.client import Prober
from probes.engine.clock import Sentinel
from probes.engine.guardrails import Policy
from probes.engine.outcome import Outcome
from probes.engine.reader import Inbox, Read, Reader
from probes.engine.script import CRITICAL_EVENTS, TargetSpec
from tests.support.chat_server import READY, run_of
from tests.support.waiting import await_until, wait_until

GAP_S = 0.2


def asleep(until: threading.Event) -> None:
    """A call that lets other threads run."""
    until.wait(10)


def busy(until: threading.Event) -> None:
    """Python code that never lets go of the interpreter by itself."""
    deadline = time.monotonic() + 10
    while not until.is_set() and time.monotonic() < deadline:
        pass


class Chat:
    """Answers slowly, while it keeps the prober's loop away."""

    def __init__(self, loop: asyncio.AbstractEventLoop, away: Callable[[threading.Event], None]) -> None:
        self._loop = loop
        self._away = away
        self._blocked, self._over = threading.Event(), threading.Event()
        self.sent_ns: list[int] = []

    def _block(self) -> None:
        self._blocked.set()
        self._away(self._over)

    def talk(self, connection: ServerConnection) -> None:
        connection.send(json.dumps(READY))
        for text in connection:
            message = json.loads(text)
            if message["type"] != "user_message":
                continue
            self._loop.call_soon_threadsafe(self._block)
            self._blocked.wait(5)
            for event in run_of(message["run_id"]):
                self.sent_ns.append(time.monotonic_ns())
                connection.send(json.dumps(event))
                time.sleep(GAP_S)
            self._over.set()

    @contextmanager
    def serve(self) -> Iterator[str]:
        with serve(self.talk, "127.0.0.1", 0, subprotocols=[Subprotocol("readywire.chat.v1")]) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
            finally:
                server.shutdown()
                thread.join()


async def probed(url: str) -> Outcome:
    async with Prober(policy=Policy(allow_private=True)) as prober:
        return await prober.probe(TargetSpec(1, "t", url, 20.0))


@pytest.mark.parametrize("away", [asleep, busy])
async def test_every_message_that_comes_while_the_loop_is_away_keeps_its_own_time(
    away: Callable[[threading.Event], None],
) -> None:
    """The kernel would merge them, and keep the last one's time for all."""
    chat = Chat(asyncio.get_running_loop(), away)
    with chat.serve() as url:
        outcome = await probed(url)
    assert outcome.ok, outcome
    assert outcome.clock == "kernel"
    assert outcome.lag_us > GAP_S * 1e6 * (len(CRITICAL_EVENTS) - 1), "the loop was away for all of them"
    marks = [outcome.events.marks[name] for name in CRITICAL_EVENTS]
    for mark, sent in zip(marks, chat.sent_ns, strict=True):
        after_first_us = (sent - chat.sent_ns[0]) / 1000
        assert abs(mark - marks[0] - after_first_us) < GAP_S * 1e6 / 2, (marks, chat.sent_ns)
    assert max(outcome.bounds.values(), default=0) < GAP_S * 1e6 / 2, "no mark is unknown by as much as a gap"


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    loop = asyncio.get_running_loop()
    sentinel = Sentinel(loop)
    sentinel.start()
    reader = Reader(loop, sentinel)
    reader.start()
    yield reader
    reader.stop()
    sentinel.stop()


class Taker:
    """Takes what an inbox delivers, and notes in which thread."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.inbox = Inbox(sock, self._take)
        self.data = bytearray()
        self.ended = False
        self.threads: set[int] = set()

    def _take(self) -> None:
        self.threads.add(threading.get_ident())
        while self.inbox.reads:
            read = self.inbox.reads.popleft()
            self.data += read.data
            self.ended = self.ended or not read.data
        self.inbox.waiting = 0


async def test_bytes_stay_whole_and_in_order_whoever_read_them(reader: Reader) -> None:
    """Some are read by the loop, some by its deputy; all are delivered in the loop's thread."""
    far, near = socket.socketpair()
    taker = Taker(near)
    sent = bytes(range(256)) * 40

    def send() -> None:
        for start in range(0, len(sent), 64):
            far.send(sent[start : start + 64])
            time.sleep(0.0005)
        far.close()

    reader.add(taker.inbox)
    sender = threading.Thread(target=send)
    sender.start()
    while not taker.ended:
        time.sleep(0.01)  # noqa: ASYNC251 - keeping the loop away is the point
        await asyncio.sleep(0.005)
    sender.join()
    reader.close(taker.inbox)
    assert bytes(taker.data) == sent
    assert taker.threads == {threading.get_ident()}


async def test_a_flood_while_the_loop_is_away_is_left_in_the_kernel(reader: Reader) -> None:
    """The deputy takes so much and no more, and the rest follows once the loop has taken that."""
    far, near = socket.socketpair()
    taker = Taker(near)
    flood = 4_000_000
    reader.add(taker.inbox)
    sender = threading.Thread(target=far.sendall, args=(b"x" * flood,))
    sender.start()
    wait_until(lambda: taker.inbox.paused, what="the deputy stopped reading")
    assert taker.inbox.waiting < 1_000_000
    await await_until(lambda: len(taker.data) == flood, what="all of it came")
    sender.join()
    reader.close(taker.inbox)
    far.close()


async def test_a_socket_that_was_closed_is_read_no_more_and_its_number_may_come_again(reader: Reader) -> None:
    far, near = socket.socketpair()
    closed = Taker(near)
    reader.add(closed.inbox)
    number = near.fileno()
    reader.close(closed.inbox)
    other, watched = socket.socketpair()
    kept = Taker(watched)
    assert number in (other.fileno(), watched.fileno())
    reader.add(kept.inbox)
    other.send(b"for the probe")
    await await_until(lambda: kept.data == b"for the probe", what="the other is read")
    assert not closed.data
    reader.close(kept.inbox)
    far.close()
    other.close()


async def test_a_socket_that_ended_is_looked_at_once_though_nobody_closes_it(reader: Reader) -> None:
    """Its end stays readable: looking on would take the processor."""
    far, near = socket.socketpair()
    taker = Taker(near)
    reader.add(taker.inbox)
    far.close()
    await await_until(lambda: taker.ended, what="its end was read")
    other, watched = socket.socketpair()
    kept = Taker(watched)
    reader.add(kept.inbox)
    other.send(b"later")
    await await_until(lambda: kept.data == b"later", what="others are read")
    assert taker.inbox.paused
    assert not taker.inbox.reads
    reader.close(kept.inbox)
    reader.close(taker.inbox)
    other.close()


async def test_the_last_reader_restores_the_processs_settings() -> None:
    """Two may run in one process, and end in any order."""
    before = sys.getswitchinterval(), gc.get_threshold()
    loop = asyncio.get_running_loop()
    first, second = Reader(loop, Sentinel(loop)), Reader(loop, Sentinel(loop))
    first.start()
    second.start()
    first.stop()
    assert sys.getswitchinterval() < before[0]
    second.stop()
    assert (sys.getswitchinterval(), gc.get_threshold()) == before


def test_a_kernel_time_before_the_notice_shows_that_the_notice_was_late() -> None:
    """Then only the last look at an empty queue bounds a message that shares its read."""
    read = Read(b"ab", [], seen=100, floor=90, certain=10)
    assert read.floor_of(95) == 90
    assert read.floor_of(80) == 10
