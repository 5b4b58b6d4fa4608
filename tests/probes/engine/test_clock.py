"""The kernel's receive times: a busy loop cannot lengthen a mark."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from probes.engine.client import Prober
from probes.engine.clock import SO_TIMESTAMPNS, KernelClock, Peaks, Sentinel, stamping, wall_offset_ns
from probes.engine.guardrails import Policy
from probes.engine.script import TargetSpec
from tests.support.chat_server import READY, run_of
from tests.support.waiting import await_until

BLOCK_S = 0.6


class Blocker:
    """Blocks the prober's loop while a server, in a thread of its own, answers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._blocked = threading.Event()
        self.answer_ns = 0
        """From the trigger's receipt to the first event's sending, on the server's clock."""

    def block(self) -> None:
        self._blocked.set()
        time.sleep(BLOCK_S)

    def talk(self, connection: ServerConnection) -> None:
        connection.send(json.dumps(READY))
        for text in connection:
            message = json.loads(text)
            if message["type"] != "user_message":
                continue
            received = time.monotonic_ns()
            self._loop.call_soon_threadsafe(self.block)
            self._blocked.wait(5)
            self.answer_ns = time.monotonic_ns() - received
            first, *rest = run_of(message["run_id"])
            connection.send(json.dumps(first))
            # The others come when the loop is free again: so the first has a read, and a time, of its own.
            time.sleep(2 * BLOCK_S)
            for event in rest:
                connection.send(json.dumps(event))


@contextmanager
def threaded(blocker: Blocker) -> Iterator[str]:
    with serve(blocker.talk, "127.0.0.1", 0, subprotocols=[Subprotocol("readywire.chat.v1")]) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join()


async def test_a_blocked_loop_does_not_lengthen_a_kernel_mark() -> None:
    """The loop slept while the answer came: this process read it 600 ms late, and the mark does not show it."""
    blocker = Blocker(asyncio.get_running_loop())
    with threaded(blocker) as url:
        async with Prober(policy=Policy(allow_private=True)) as prober:
            outcome = await prober.probe(TargetSpec(1, "t", url, 10.0))
    assert outcome.ok, outcome
    assert outcome.clock == "kernel"
    assert outcome.lag_us > BLOCK_S * 1e6 / 2
    measured = outcome.between("trigger_sent", "ready")
    assert measured is not None
    assert measured < blocker.answer_ns / 1000 + BLOCK_S * 1e6 / 2
    assert not outcome.flagged


def test_a_read_without_a_kernel_time_falls_back_to_this_processs_clock() -> None:
    """The outcome then says which clock it was."""
    clock = KernelClock()
    assert clock.trustworthy()
    assert clock.received([], 123) == 123
    assert not clock.trustworthy()


def test_a_kernel_time_is_mapped_to_the_monotonic_scale() -> None:
    """Wall time minus the offset of the two clocks."""
    clock = KernelClock()
    before = time.monotonic_ns()
    wall = before + wall_offset_ns()
    data = (wall // 10**9).to_bytes(8, "little") + (wall % 10**9).to_bytes(8, "little")
    assert abs(clock.received([(1, SO_TIMESTAMPNS, data)], 0) - before) < 1_000_000


def test_a_step_of_the_wall_clock_is_noticed() -> None:
    """More than 1 ms of drift within a probe: the kernel's marks are not kept."""
    clock = KernelClock()
    clock._offset += 2_000_000
    assert not clock.trustworthy()


async def test_the_kernel_stamps_reads_before_the_first_probe() -> None:
    """Switching it on takes the kernel a moment, which no probe should meet."""
    with socket.socket() as keeper:
        assert await stamping(keeper)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=60), st.integers(0, 3_000))
def test_the_longest_lateness_since_an_instant_is_found(steps: list[tuple[int, int]], since: int) -> None:
    peaks, noted, at = Peaks(), [], 0
    for wait, late in steps:
        at += wait
        peaks.note(at, late)
        noted.append((at, late))
    assert peaks.since(since) == max((late for instant, late in noted if instant >= since), default=0)


async def test_the_sentinel_sees_a_blocked_loop() -> None:
    """The longest lateness within the time asked for."""
    sentinel = Sentinel(asyncio.get_running_loop())
    started = time.monotonic_ns()
    sentinel.start()
    try:
        time.sleep(0.05)  # noqa: ASYNC251 - blocking the loop is the point
        await await_until(lambda: sentinel.worst_ns(started, time.monotonic_ns()) > 30_000_000, what="lag was seen")

        def recovered() -> bool:
            now = time.monotonic_ns()
            return sentinel.worst_ns(now, now) < 30_000_000

        await await_until(recovered, what="a later window shows no lag")
    finally:
        sentinel.stop()
