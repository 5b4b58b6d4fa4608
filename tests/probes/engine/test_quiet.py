"""The clock of long-lived connections: the kernel's times, though the wall clock be stepped meanwhile."""

import struct
import time

from probes.engine.clock import SO_TIMESTAMPNS
from probes.engine.quiet import LongClock

S = 1_000_000_000


def stamped(wall_ns: int) -> list[tuple[int, int, bytes]]:
    """What the kernel hands over with a read."""
    return [(1, SO_TIMESTAMPNS, struct.pack("@qq", wall_ns // S, wall_ns % S))]


def test_a_receive_mark_is_the_kernels() -> None:
    clock = LongClock()
    seen = time.monotonic_ns()
    at = clock.received(stamped(time.time_ns() - 40_000_000), seen)
    assert abs(at - (seen - 40_000_000)) < 10_000_000


def test_a_mark_never_lies_after_the_read() -> None:
    clock = LongClock()
    seen = time.monotonic_ns()
    assert clock.received(stamped(time.time_ns() + 100_000_000), seen) == seen


def test_after_a_step_of_the_wall_clock_the_read_counts_and_the_next_mark_is_the_kernels_again() -> None:
    clock = LongClock()
    clock._offset += 3600 * S  # as if it had been read before the wall clock was set back an hour
    seen = time.monotonic_ns()
    assert clock.received(stamped(time.time_ns()), seen) == seen
    seen = time.monotonic_ns()
    at = clock.received(stamped(time.time_ns() - 40_000_000), seen)
    assert abs(at - (seen - 40_000_000)) < 10_000_000


def test_without_a_kernel_time_the_read_counts() -> None:
    assert LongClock().received([], 42) == 42
