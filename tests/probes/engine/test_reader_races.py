"""The deputy reads at the worst instant: just when the loop has found nothing more, or is looking through the reads."""

import asyncio
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator

import pytest

from probes.engine.clock import KernelClock, Sentinel
from probes.engine.guardrails import Limits
from probes.engine.reader import Read, Reader
from probes.engine.script import TargetSpec
from probes.engine.session import Session
from probes.engine.transport import Lingering, Wire


def read(data: bytes) -> Read:
    now = time.monotonic_ns()
    return Read(data, [], now, now, now)


class Meanwhile(deque[Read]):
    """Reads to which the deputy adds one, the moment the loop sees that there are none or goes through them."""

    def __init__(self, reads: list[Read], late: Read) -> None:
        super().__init__(reads)
        self.late = [late]

    def _add(self) -> None:
        if self.late:
            self.append(self.late.pop())

    def __bool__(self) -> bool:
        there = len(self) > 0
        if not there:
            self._add()
        return there

    def __iter__(self) -> Iterator[Read]:
        for each in super().__iter__():
            self._add()
            yield each


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A wire over a socket pair, not yet running."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    loop = asyncio.get_running_loop()
    reader = Reader(loop, Sentinel(loop))
    session = Session(TargetSpec(1, "t", "ws://server.example/", 5.0), nonce="0" * 16, limits=Limits())
    session.begin(time.monotonic_ns())
    session.open()
    yield Wire(ours, session, clock=KernelClock(), reader=reader, deadline=session.deadline / 1e9)
    ours.close()
    theirs.close()


async def test_what_the_deputy_reads_while_the_loop_finishes_is_not_lost(wire: Wire) -> None:
    """It stays for the next time: thrown away, a message would be missing, and the target would be charged with it."""
    late = read(b"later")
    wire._inbox.reads = Meanwhile([read(b"HTTP/1.1 101 S")], late)
    wire._deliver()
    assert list(wire._inbox.reads) == [late]


async def test_what_comes_while_a_finished_socket_is_emptied_breaks_nothing(wire: Wire) -> None:
    """Every socket after it waits for its turn in the same callback."""
    wire._lingering = Lingering(asyncio.get_running_loop(), 1.0)
    wire._inbox.reads = Meanwhile([read(b"chatter"), read(b"more")], read(b"later"))
    wire._discard()
    assert wire._discarded >= len(b"chattermore")
