"""The two clocks of a probe: the kernel's receive time (wall) mapped to the monotonic scale, and its loop's lag.

A busy event loop cannot lengthen a mark that the kernel took. Where wall and monotonic time drift apart by more than
1 ms within a probe, the clock was stepped, and the monotonic marks are kept.
"""

import asyncio
import socket
import struct
import time
from collections import deque

# <asm-generic/socket.h>; Python's socket module does not name it. With the 64-bit `struct timespec` of 64-bit Linux.
SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
ANCILLARY_BYTES = 64

_DRIFT_NS = 1_000_000
_GOOD_READING_NS = 20_000
_READINGS = 4
_STAMPING_S = 0.25


def wall_offset_ns() -> int:
    """Wall minus monotonic time, read as tightly as a few attempts allow (error below 20 µs where not preempted)."""
    best, narrowest = 0, 1 << 62
    for _ in range(_READINGS):
        before = time.monotonic_ns()
        wall = time.time_ns()
        width = time.monotonic_ns() - before
        if width < narrowest:
            best, narrowest = wall - before - width // 2, width
        if width < _GOOD_READING_NS:
            break
    return best


class KernelClock:
    """Maps the kernel's receive times of one probe to the monotonic scale."""

    __slots__ = ("_offset", "complete")

    def __init__(self) -> None:
        self._offset = wall_offset_ns()
        self.complete = True
        """False once a read came without a kernel time."""

    def received(self, ancillary: list[tuple[int, int, bytes]], seen: int) -> int:
        """The kernel's time of a read in monotonic ns; `seen` where it gave none."""
        for _level, kind, data in ancillary:
            if kind == SO_TIMESTAMPNS and len(data) == _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                return int(seconds * 1_000_000_000 + nanoseconds - self._offset)
        self.complete = False
        return seen

    def trustworthy(self) -> bool:
        """Every read had a kernel time, and the wall clock was not stepped meanwhile."""
        return self.complete and abs(wall_offset_ns() - self._offset) <= _DRIFT_NS


async def stamping(keeper: socket.socket) -> bool:
    """Switch the kernel's receive times on for as long as `keeper` is open; False where the kernel has none.

    The kernel stamps every packet while any socket asks for it, and takes a moment to begin: reads before that have no
    time. So this waits until a read of our own has one.
    """
    try:
        keeper.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as far:
            far.settimeout(_STAMPING_S)
            far.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            far.connect(listener.getsockname())
            near, _ = listener.accept()
            with near:
                return await _stamped(near, far)
    except OSError:
        return False


async def _stamped(near: socket.socket, far: socket.socket) -> bool:
    deadline = time.monotonic() + _STAMPING_S
    while time.monotonic() < deadline:
        near.send(b".")
        if far.recvmsg(1, ANCILLARY_BYTES)[1]:
            return True
        await asyncio.sleep(0.001)
    return False


class Peaks:
    """Which lateness was the longest since an instant. Keeps only what no later one reached, so that it stays short."""

    _KEPT_NS = 600_000_000_000

    def __init__(self) -> None:
        self._peaks: deque[tuple[int, int]] = deque()

    def note(self, at: int, late: int) -> None:
        """Take a lateness; instants (ns) ascend. What is older than ten minutes is forgotten."""
        peaks = self._peaks
        while peaks and peaks[-1][1] <= late:
            peaks.pop()
        while peaks and peaks[0][0] < at - self._KEPT_NS:
            peaks.popleft()
        peaks.append((at, late))

    def since(self, at: int) -> int:
        """The longest at this instant or later; 0 where there was none."""
        return next((late for instant, late in self._peaks if instant >= at), 0)


class Sentinel:
    """Measures how late the event loop runs its callbacks. A block shorter than the period may go unseen."""

    PERIOD_S = 0.002
    _WORTH_KEEPING_NS = 500_000
    _READY_NS = 500_000

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None
        self._due_ns = 0
        self._late = Peaks()

    def start(self) -> None:
        """Begin to measure; does nothing where it already does."""
        if self._handle is None:
            self._arm()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def overdue_ns(self, now: int) -> int:
        """How long the loop has been away, as far as one can tell at `now` (monotonic ns)."""
        return max(0, now - self._due_ns) + self._READY_NS

    def worst_ns(self, since: int, now: int) -> int:
        """The longest lateness between two instants (monotonic ns)."""
        return max(0, now - self._due_ns, self._late.since(since))

    def _arm(self) -> None:
        self._due_ns = time.monotonic_ns() + int(self.PERIOD_S * 1e9)
        self._handle = self._loop.call_later(self.PERIOD_S, self._tick)

    def _tick(self) -> None:
        now = time.monotonic_ns()
        late = now - self._due_ns
        if late > self._WORTH_KEEPING_NS:
            self._late.note(now, late)
        self._arm()
