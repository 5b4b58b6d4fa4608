"""Checks of the services a connection needs: any async callable, with a timeout, side by side.

A check that returns is a pass, one that raises or runs out of time is a failure with its reason. What the application
marks itself needs no check.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency and how to find out whether it serves. `timeout_s` is this check's own budget in seconds."""

    name: str
    call: Callable[[], Awaitable[Any]]
    required: bool = True
    timeout_s: float = 2.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found; `error` is empty where it passed."""

    name: str
    ok: bool
    seconds: float
    error: str = ""


async def run_check(check: Check) -> CheckResult:
    """Run one check. Never raises for what the check does; cancelling it cancels the check."""
    started = time.perf_counter()
    error = ""
    try:
        async with asyncio.timeout(check.timeout_s):
            await check.call()
    except TimeoutError:
        error = f"no answer within {check.timeout_s:g} s"
    except Exception as failure:  # noqa: BLE001 - somebody else's callable; whatever it raises means "not ready"
        error = f"{type(failure).__name__}: {failure}"
    return CheckResult(check.name, not error, time.perf_counter() - started, error)


async def run_checks(checks: Iterable[Check], found: Callable[[CheckResult], None]) -> None:
    """Run all side by side and hand over each result as it comes."""

    async def one(check: Check) -> None:
        found(await run_check(check))

    async with asyncio.TaskGroup() as group:
        for check in checks:
            group.create_task(one(check))
