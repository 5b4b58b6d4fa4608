"""Reads and times sockets that are silent for most of their lives: nothing here ticks while nothing comes.

The reader of short probes keeps a deputy thread awake while a probe is in flight, to be right to a fraction of a
millisecond. A life is told in seconds: here the loop's own selector wakes for what comes, and for nothing else.
"""

import asyncio

from probes.engine.clock import KernelClock, wall_offset_ns
from probes.engine.reader import Inbox

_FAR_APART_NS = 1_000_000_000


class QuietReader:
    """Reads each socket when the loop says that it is readable."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def add(self, inbox: Inbox) -> None:
        """Read this socket from now on."""
        self._loop.add_reader(inbox.sock.fileno(), self._ready, inbox)

    def close(self, inbox: Inbox) -> None:
        """Read it no longer, and close its socket."""
        self._loop.remove_reader(inbox.sock.fileno())
        inbox.sock.close()

    def read(self, inbox: Inbox) -> bool:
        """Read this one socket once, now; False where there is nothing to read."""
        return inbox.read(0, 0)

    def _ready(self, inbox: Inbox) -> None:
        if inbox.read(0, 0):
            if inbox.ended:
                self._loop.remove_reader(inbox.sock.fileno())  # the end stays readable for ever
            inbox.deliver()


class LongClock(KernelClock):
    """The kernel's receive times for as long as a connection lives, though the wall clock be stepped meanwhile."""

    __slots__ = ()

    def received(self, ancillary: list[tuple[int, int, bytes]], seen: int) -> int:
        """As the base has it; `seen` where the two are a second apart, which only a stepped clock explains."""
        at = super().received(ancillary, seen)
        if abs(seen - at) < _FAR_APART_NS:
            return min(at, seen)
        self._offset = wall_offset_ns()
        return seen
