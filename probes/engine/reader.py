"""Reads the sockets of all probes of a loop; where the loop is away, a deputy thread reads in its place.

The kernel stamps every segment as it arrives, but merges those that wait in a socket's queue and keeps the last one's
time. So a mark is true only if it is read before the next message comes: a loop that is away for 50 ms loses the times
of all but the last. Here every socket is in one epoll set. The loop sweeps it as soon as something is there; if it has
not for `CALM_S`, the deputy takes the reads with their times and leaves them to the loop. What they mean is decided
in the loop alone.
"""

import asyncio
import gc
import os
import select
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from probes.engine.clock import ANCILLARY_BYTES, Sentinel

READ_BYTES = 65_536
CALM_S = 0.001
"""How often the deputy looks whether the loop reads."""
AWAY_S = 0.00025
"""How often the deputy reads while the loop is away."""
TIRED_S = 0.03
_IDLE_LOOKS = 3
"""After so many looks in a row at which nothing was there, the deputy waits until something comes."""
_MOST_LOOKS = 400.0
_LOOKS_PER_NS = 1.5e-6
"""A loop that is overloaded is always away. Then the deputy retires, lest it take the loop's processor: it has so many
looks, and regains them at this rate while the loop reads. A block of 50 ms takes 200."""
_PROMPT_NS = 500_000
"""What came is noticed within this time, by the loop or its deputy, unless both were kept away."""
_STARVED_NS = 1_600_000
_LOOP_STARVED_NS = 2_200_000
_SWITCH_S = 0.0001
"""How long a busy thread may keep the interpreter while the deputy wants it (sys.setswitchinterval)."""
_COLLECT = (20_000, 50, 1_000)
"""A collection of garbage stops both threads, for as long as there are objects: the engine makes no cycles, so that
few are needed (gc.set_threshold)."""
_MOST_WAITING = 262_144
_LEAST_COUNTED = 1_024

Ancillary = list[tuple[int, int, bytes]]


@dataclass(slots=True)
class Read:
    """One read: its bytes (none: the end), and when it was read."""

    data: bytes
    ancillary: Ancillary
    seen: int
    floor: int
    """Before this instant none of it came, if it was noticed promptly."""
    certain: int
    """Before this instant none of it came: its queue was seen empty then."""
    error: OSError | None = None

    def floor_of(self, at: int) -> int:
        """The floor, given the kernel's time of its last byte: one before the notice shows that the notice was late."""
        return self.floor if self.floor <= at else self.certain


class Inbox:
    """The reads of one socket that the loop has not taken yet."""

    __slots__ = ("deliver", "drained", "ended", "paused", "reads", "sock", "waiting")

    def __init__(self, sock: socket.socket, deliver: Callable[[], None]) -> None:
        self.sock = sock
        self.deliver = deliver
        self.reads: deque[Read] = deque()
        self.drained = time.monotonic_ns()
        """An instant at which its queue was known to be empty."""
        self.waiting = 0
        """Bytes read and not taken, a small read counted as one of 1 KiB."""
        self.ended = False
        """Nothing more can be read."""
        self.paused = False
        """Out of the epoll set for the time being."""

    @property
    def full(self) -> bool:
        """Whether reading on would be of no use: it has ended, or too much waits for the loop."""
        return self.ended or self.waiting >= _MOST_WAITING

    def read(self, floor: int, certain: int) -> bool:
        """Read once; False where there is nothing to read."""
        before = time.monotonic_ns()
        try:
            data, ancillary, _, _ = self.sock.recvmsg(READ_BYTES, ANCILLARY_BYTES)
        except (BlockingIOError, InterruptedError):
            self.drained = before
            return False
        except OSError as error:
            self.ended = True
            self.reads.append(Read(b"", [], time.monotonic_ns(), before, before, error))
            return True
        certain = max(certain, self.drained)
        self.reads.append(Read(data, ancillary, time.monotonic_ns(), max(floor, certain), certain))
        self.waiting += max(len(data), _LEAST_COUNTED)
        self.ended = not data
        if len(data) < READ_BYTES:
            self.drained = before  # a short read emptied the queue: what comes next came after this
        return True


class Reads(Protocol):
    """Reads sockets into their inboxes, as a `Wire` needs it."""

    def add(self, inbox: Inbox) -> None: ...

    def close(self, inbox: Inbox) -> None: ...

    def read(self, inbox: Inbox) -> bool: ...


class _Attentive:
    """Settings of the whole process while at least one reader runs; restored by the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._switch_s = 0.0
        self._collect = (0, 0, 0)

    def begin(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._switch_s, self._collect = sys.getswitchinterval(), gc.get_threshold()
                sys.setswitchinterval(min(_SWITCH_S, self._switch_s))
                if self._collect[0]:
                    gc.set_threshold(*_COLLECT)

    def end(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                sys.setswitchinterval(self._switch_s)
                gc.set_threshold(*self._collect)


_attentive = _Attentive()


class Reader:
    """One per prober. `start` and `stop` with its first and last probe; everything but the deputy runs in the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sentinel: Sentinel) -> None:
        self._loop = loop
        self._sentinel = sentinel
        self._inboxes: dict[int, Inbox] = {}
        self._lock = threading.Lock()
        self._epoll: select.epoll | None = None
        self._deputy: threading.Thread | None = None
        self._sweeps = 0
        self._polled = self._alive = 0
        self._full: list[Inbox] = []
        self._called = False
        self._waiting = False
        self._bell = -1

    def start(self) -> None:
        """Begin to read; does nothing where it already does."""
        if self._epoll is not None:
            return
        self._epoll = select.epoll()
        self._bell = os.eventfd(0)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._polled = self._alive = time.monotonic_ns()
        _attentive.begin()
        self._loop.add_reader(self._epoll.fileno(), self._sweep)
        self._deputy = threading.Thread(target=self._watch, args=(self._epoll,), name="deputy reader", daemon=True)
        self._deputy.start()

    def stop(self) -> None:
        """Let the deputy go and close the epoll set; sockets are their owners'."""
        epoll, deputy = self._epoll, self._deputy
        if epoll is None or deputy is None:
            return
        self._epoll = None
        self._loop.remove_reader(epoll.fileno())
        os.eventfd_write(self._bell, 1)
        deputy.join()
        epoll.close()
        os.close(self._bell)
        _attentive.end()

    def add(self, inbox: Inbox) -> None:
        """Read this socket from now on. Raises RuntimeError where nothing was started."""
        if self._epoll is None:
            raise RuntimeError("the reader is not started")
        with self._lock:
            self._inboxes[inbox.sock.fileno()] = inbox
            self._epoll.register(inbox.sock.fileno(), select.EPOLLIN)

    def close(self, inbox: Inbox) -> None:
        """Read it no longer, and close its socket: that takes it out of the epoll set too."""
        with self._lock:
            self._inboxes.pop(inbox.sock.fileno(), None)
            inbox.sock.close()

    def read(self, inbox: Inbox) -> bool:
        """Read this one socket once, now; False where there is nothing to read."""
        with self._lock:
            return inbox.read(0, 0)

    # The loop. -------------------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Read whatever is there, then let each session take its part: none waits for another's arithmetic."""
        if self._epoll is None:
            return
        with self._lock:
            self._sweeps += 1
            touched = self._read_ready(self._epoll)
        self._deliver(touched)

    def _take_over(self) -> None:
        """The loop is back: take what the deputy read."""
        with self._lock:
            self._called = False
            self._sweeps += 1
            waiting, self._full = self._full, []
        self._deliver(waiting)

    def _deliver(self, inboxes: list[Inbox]) -> None:
        for inbox in inboxes:
            inbox.deliver()
            if inbox.paused or inbox.full:
                with self._lock:
                    self._settle(inbox)

    # Both, under the lock. -------------------------------------------------------------------------------------------

    def _read_ready(self, epoll: select.epoll) -> list[Inbox]:
        """Read each ready socket once."""
        now = time.monotonic_ns()
        ready = epoll.poll(0)
        certain = self._polled
        floor = max(certain, now - _PROMPT_NS) if self._prompt(now) else certain
        self._polled = now
        touched = []
        for fd, _ in ready:
            inbox = self._inboxes.get(fd)
            if inbox is not None and inbox.read(floor, certain):
                touched.append(inbox)
        return touched

    def _settle(self, inbox: Inbox) -> None:
        """Look away from what has ended, or was read and not taken; look again once it was: the kernel keeps the rest.

        Asked after the reads were delivered, for most sockets that end are closed by then.
        """
        fd = inbox.sock.fileno()
        if self._epoll is None or self._inboxes.get(fd) is not inbox or inbox.paused == inbox.full:
            return
        inbox.paused = inbox.full
        if inbox.paused:
            self._epoll.unregister(fd)
        else:
            self._epoll.register(fd, select.EPOLLIN)

    def _prompt(self, now: int) -> bool:
        """Whether the loop or its deputy would have noticed an arrival at once: not both were kept away."""
        if self._waiting:
            return self._sentinel.overdue_ns(now) < _LOOP_STARVED_NS
        return now - self._alive < _STARVED_NS

    # The deputy. -----------------------------------------------------------------------------------------------------

    def _watch(self, epoll: select.epoll) -> None:
        strength, idle = _MOST_LOOKS, 0
        while self._epoll is epoll:
            if strength < 1:
                time.sleep(TIRED_S)
            began, sweeps = time.monotonic_ns(), self._sweeps
            time.sleep(AWAY_S if self._called else CALM_S)
            called, away = self._called, self._called or self._sweeps == sweeps
            found = away and self._stand_in(epoll)
            if found or called:
                strength -= 1
            else:
                idle = idle + 1 if away else 0
                if idle >= _IDLE_LOOKS:
                    self._await_arrival(epoll)
                    idle = 0
                strength = min(_MOST_LOOKS, strength + (time.monotonic_ns() - began) * _LOOKS_PER_NS)
            self._alive = time.monotonic_ns()

    def _await_arrival(self, epoll: select.epoll) -> None:
        self._waiting = True
        epoll.poll()
        self._waiting = False

    def _stand_in(self, epoll: select.epoll) -> bool:
        """Read in the loop's place; False where nothing was there."""
        with self._lock:
            if self._epoll is not epoll:
                return True
            touched = self._read_ready(epoll)
            for inbox in touched:
                self._settle(inbox)
            self._full += touched
            call = bool(touched) and not self._called
            self._called = self._called or call
        if call:
            self._loop.call_soon_threadsafe(self._take_over)
        return bool(touched)
