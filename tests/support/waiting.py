"""Waiting for a condition with a deadline: the only synchronisation tests use."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], seconds: float = 5.0, what: str = "") -> T:
    """Return the first true value of `condition`; AssertionError naming `what` when `seconds` pass without one."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or condition}")
        time.sleep(0.02)


async def await_until(condition: Callable[[], T], seconds: float = 5.0, what: str = "") -> T:
    """The same for coroutines."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or condition}")
        await asyncio.sleep(0.01)
