"""Moves the bytes of one probe: non-blocking sockets, TLS in memory, the kernel's receive times. Decides nothing.

The loop only tells when a socket is readable; the reads are ours, because asyncio's streams hide the control messages
that carry the kernel's time.
"""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable

from probes.engine import classification
from probes.engine.classification import Phase
from probes.engine.clock import KernelClock
from probes.engine.reader import READ_BYTES, Inbox, Read, Reads
from probes.engine.session import Session
from probes.engine.tls import certificate_of

_LAST_READS = 16
_LINGER_BYTES = 1_048_576


class _Tls:
    """A TLS client session over memory buffers."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)
        self.host = host
        self.established = False


class Lingering:
    """Finished sockets that wait for their peer's EOF, each for the same time: the first to come is the first due."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self.seconds = seconds
        self._loop = loop
        self._waiting: dict[int, tuple[float, Callable[[], None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, fd: int, drop: Callable[[], None]) -> None:
        """Let this socket linger; `drop` closes it, and is called when its time is over."""
        due = self._loop.time() + self.seconds
        self._waiting[fd] = due, drop
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._due)

    def discard(self, fd: int) -> None:
        """It lingers no longer."""
        self._waiting.pop(fd, None)

    def stop(self) -> None:
        """Drop them all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for _due, drop in list(self._waiting.values()):
            drop()

    def _due(self) -> None:
        self._timer = None
        now = self._loop.time()
        for due, drop in list(self._waiting.values()):
            if due > now:
                self._timer = self._loop.call_at(due, self._due)
                return
            drop()


class Wire:
    """Drives one session over a connected socket until it is done or the deadline passes."""

    def __init__(
        self, sock: socket.socket, session: Session, *, clock: KernelClock, reader: Reads, deadline: float
    ) -> None:
        """`deadline` in seconds of the loop's clock (monotonic)."""
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._fd = sock.fileno()
        self._session = session
        self._clock = clock
        self._reader = reader
        self._inbox = Inbox(sock, self._deliver)
        self._deadline = deadline
        self._tls: _Tls | None = None
        self._unsent = b""
        self._writing = False
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._wake: asyncio.TimerHandle | None = None
        self._wake_at: int | None = None
        self._lingering: Lingering | None = None
        self._discarded = 0

    async def run(self, tls: ssl.SSLContext | None, host: str) -> None:
        """Converse until the session is done. Raises only what is our own fault. `release` or `drop` must follow."""
        self._reader.add(self._inbox)
        timer = self._loop.call_at(self._deadline, self._guarded, self._deadline_passed)
        try:
            self._guarded(self._begin, tls, host)
            self._arm()
            await self._finished
        finally:
            timer.cancel()
            if self._wake is not None:
                self._wake.cancel()
            if self._writing:
                self._loop.remove_writer(self._fd)

    def nudge(self) -> None:
        """Let the session act now: it was told something from outside."""
        self._guarded(self._tick)

    def release(self, lingering: Lingering) -> None:
        """Give the socket up: close it, or let it linger in the background for the peer's EOF."""
        if not self._session.polite or lingering.seconds <= 0:
            self.drop()
            return
        try:
            if self._tls is not None and self._tls.established:
                self._say_goodbye(self._tls)
            # Nothing more comes from us: the peer reads our close frame, then EOF, and closes.
            if "closed" not in self._session.marks:
                self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop()
            return
        lingering.add(self._sock.fileno(), self.drop)
        self._lingering = lingering
        self._inbox.deliver = self._discard
        if self._inbox.reads:
            self._discard()

    def _say_goodbye(self, tls: _Tls) -> None:
        """Send TLS's close_notify (RFC 8446 section 6.1): without it the peer waits for ours before it closes."""
        with contextlib.suppress(ssl.SSLError):  # the peer's own has not come yet: nobody waits for it
            tls.session.unwrap()
        if data := tls.outgoing.read():
            self._sock.send(data)

    def drop(self) -> None:
        """Close the socket now."""
        self._inbox.deliver = _ignore
        if self._lingering is not None:
            self._lingering.discard(self._fd)
            self._lingering = None
        self._reader.close(self._inbox)

    def _guarded(self, step: Callable[..., object], *args: object) -> None:
        """Run a callback; an error of ours ends the probe instead of vanishing in the loop's handler."""
        if self._finished.done():
            return
        try:
            step(*args)
        except Exception as error:  # noqa: BLE001 - handed over to the awaiting probe, which logs it
            self._finished.set_exception(error)
            return
        if self._session.done:
            self._finished.set_result(None)

    def _begin(self, context: ssl.SSLContext | None, host: str) -> None:
        if context is None:
            self._session.open()
            self._flush()
        else:
            self._tls = _Tls(context, host)
            self._shake_hands(0, 0)

    def _deliver(self) -> None:
        """Take what was read, in order."""
        reads = self._inbox.reads
        while reads and not self._finished.done():
            self._guarded(self._take, reads.popleft())
        if not reads:
            self._inbox.waiting = 0

    def _take(self, read: Read) -> None:
        if not read.data:
            self._ended(read.error)
            return
        at = self._clock.received(read.ancillary, read.seen)
        if self._tls is None:
            self._session.received(read.data, at, read.seen, read.floor_of(at))
        else:
            self._decrypt(self._tls, read.data, at, read.seen, read.floor_of(at))
        self._flush()
        if self._session.wake_at != self._wake_at:
            self._arm()

    def _arm(self) -> None:
        """Keep the timer where the session wants to be woken."""
        at = self._session.wake_at
        if self._wake is not None:
            self._wake.cancel()
        self._wake_at = at
        self._wake = None if at is None else self._loop.call_at(at / 1e9, self._guarded, self._tick)

    def _tick(self) -> None:
        # The loop's clock is coarser than ours: it may call a little early.
        self._session.tick(max(time.monotonic_ns(), self._wake_at or 0))
        self._flush()
        self._arm()

    def _deadline_passed(self) -> None:
        """Take what the kernel received in time but the loop has not read yet, then end."""
        reads = self._inbox.reads
        for _ in range(_LAST_READS):
            if not reads and not self._reader.read(self._inbox):
                break
            self._take(reads.popleft())
            if self._session.done:
                return
        now = max(time.monotonic_ns(), int(self._deadline * 1e9) + 1)
        if self._tls is not None and not self._tls.established:
            self._session.timed_out = True
            self._session.fail(classification.stage_timed_out(Phase.TLS, self._session.spec.deadline_s, self._tls.host))
        else:
            self._session.tick(now)
        self._flush()

    def _ended(self, error: OSError | None) -> None:
        now = time.monotonic_ns()
        if self._tls is not None and not self._tls.established:
            self._session.fail(classification.connection_lost(error, Phase.TLS))
        else:
            self._session.ended(error, now)
        self._flush()

    def _shake_hands(self, at: int, seen: int) -> None:
        tls = self._tls
        if tls is None:
            return
        try:
            tls.session.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert tells the server why
            self._session.fail(classification.tls_failed(error, tls.host))
            return
        tls.established = True
        self._session.mark("tls_done", at, seen)
        self._session.certificate = certificate_of(tls.session.getpeercert(binary_form=True) or b"")
        self._session.open()
        self._flush()

    def _decrypt(self, tls: _Tls, data: bytes, at: int, seen: int, floor: int) -> None:
        tls.incoming.write(data)
        if not tls.established:
            self._shake_hands(at, seen)
        plain = bytearray()
        while tls.established and not self._session.done:
            try:
                chunk = tls.session.read(READ_BYTES)
            except ssl.SSLWantReadError:
                break
            except (ssl.SSLZeroReturnError, ssl.SSLSyscallError):
                chunk = b""
            except ssl.SSLError as error:
                self._session.ended(error, seen)
                return
            if not chunk:
                if plain:
                    self._session.received(bytes(plain), at, seen, floor)
                self._session.ended(None, seen)
                return
            plain += chunk
        if plain:
            self._session.received(bytes(plain), at, seen, floor)

    def _flush(self) -> None:
        """Send what the session has to say; the mark of a send is read just before the call."""
        tls = self._tls
        if tls is None and not self._unsent and self._session.silent:
            return
        if tls is None or tls.established:
            data = self._session.outgoing(time.monotonic_ns())
            if tls is not None:
                if data:
                    tls.session.write(data)
                data = tls.outgoing.read()
        else:
            data = tls.outgoing.read()
        if self._unsent:
            data, self._unsent = self._unsent + data, b""
        if data:
            self._send(data)

    def _send(self, data: bytes) -> None:
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            return  # the peer is gone: the next read says how
        if sent < len(data):
            self._unsent = data[sent:]
            if not self._writing:
                self._loop.add_writer(self._fd, self._guarded, self._flush)
        elif self._writing:
            self._loop.remove_writer(self._fd)
        self._writing = sent < len(data)

    def _discard(self) -> None:
        """What still comes is of no interest but for its end."""
        reads = self._inbox.reads
        while reads:  # the deputy may add to them meanwhile
            read = reads.popleft()
            self._discarded += len(read.data)
            if not read.data or self._discarded >= _LINGER_BYTES:
                self.drop()
                return
        self._inbox.waiting = 0


def _ignore() -> None:
    """What an inbox without a probe does: no cycle of objects outlives a probe."""
