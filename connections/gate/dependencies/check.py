"""One check: any async callable, within a budget, its transient failures tried again.

A check that returns is a pass, one that raises or runs out of time is a failure with its reason. What the application
marks itself needs no check.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

_MISTAKES = (TypeError, AttributeError, NameError, ImportError, NotImplementedError)
"""What a wrong program raises: trying again does not help."""

_LONGEST_ERROR = 200


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency and how to find out whether it serves. Times are seconds.

    `timeout_s` is the budget of a whole run, tries included. A failure is tried again, up to `attempts` times in all:
    first after about `retry_first_s`, each time about twice as long, while the budget lasts. An answer is valid for
    `ttl_s`: connections that come within it share it.
    """

    name: str
    call: Callable[[], Awaitable[Any]]
    required: bool = True
    timeout_s: float = 2.0
    ttl_s: float = 1.0
    attempts: int = 5
    retry_first_s: float = 0.05

    def pause_s(self, tries: int) -> float:
        """How long to wait after so many failed tries: exponential, with jitter so that servers do not try in step."""
        longest: float = self.retry_first_s * 2 ** (tries - 1)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one run found; `error` is empty where it passed. `at` is the event loop's time of the answer."""

    name: str
    ok: bool
    seconds: float
    error: str = ""
    tries: int = 1
    at: float = 0.0


async def run_check(check: Check, *, attempts: int | None = None) -> CheckResult:
    """Run one check, with at most `attempts` tries (None: the check's own). Never raises for what the check does;
    cancelling it cancels the check."""
    clock = asyncio.get_running_loop().time
    began, tries, error = clock(), 0, ""
    most = check.attempts if attempts is None else attempts
    try:
        async with asyncio.timeout(check.timeout_s):
            while True:
                tries += 1
                failure = await _try(check)
                if failure is None:
                    error = ""
                    break
                error = _told(failure)
                pause = check.pause_s(tries)
                out_of_time = clock() + pause - began >= check.timeout_s
                if isinstance(failure, _MISTAKES) or tries >= most or out_of_time:
                    break
                await asyncio.sleep(pause)
    except TimeoutError:
        error = f"no answer within {check.timeout_s:g} s" + (f", after {error}" if error else "")
    return CheckResult(check.name, not error, clock() - began, error, tries, clock())


async def _try(check: Check) -> Exception | None:
    try:
        await check.call()
    except Exception as failure:  # noqa: BLE001 - somebody else's callable; whatever it raises means "not ready"
        return failure
    return None


def _told(failure: Exception) -> str:
    return f"{type(failure).__name__}: {failure}"[:_LONGEST_ERROR]
