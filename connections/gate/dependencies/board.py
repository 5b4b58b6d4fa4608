"""The answers of a gate's checks, shared by its connections: each check runs once at a time, its answer is valid for
its `ttl_s`, and while one fails and somebody is connected, one watcher asks it again until it recovers.

A connection hears every answer that it waited for, and from then on every change from pass to fail and back.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from weakref import WeakKeyDictionary

from connections.gate.dependencies.check import Check, CheckResult, run_check

logger = logging.getLogger("readywire.gate")

WATCH_EVERY_S = 0.5
"""How long after a failed answer the watcher asks again; up to a quarter less, so that servers do not ask in step."""

Found = Callable[[CheckResult], None]


class LoopBoard:
    """The answers as seen from one event loop, which it does not keep alive."""

    __slots__ = ("_checks", "_listeners", "_results", "_running", "_waiting", "_watcher", "heard")

    def __init__(self, checks: tuple[Check, ...], heard: Found | None = None) -> None:
        """`heard` is told of every run; it must not raise."""
        self._checks = {check.name: check for check in checks}
        self._results: dict[str, CheckResult] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, list[Found]] = {}
        self._listeners: set[Found] = set()
        self._watcher: asyncio.Task[None] | None = None
        self.heard = heard

    def join(self, found: Found) -> list[CheckResult]:
        """Take part until `leave`. Returns the answers that are still valid; the others come through `found`."""
        self._listeners.add(found)
        now = asyncio.get_running_loop().time()
        valid = []
        for name, check in self._checks.items():
            known = self._results.get(name)
            if known is not None and now - known.at < check.ttl_s:
                valid.append(known)
            else:
                self._waiting.setdefault(name, []).append(found)
                self._run(check)
        self._watch()
        return valid

    def leave(self, found: Found) -> None:
        """Hear no more. A run that others wait for goes on; the watcher ends with the last one."""
        self._listeners.discard(found)
        if not self._listeners and self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def _run(self, check: Check, *, attempts: int | None = None) -> "asyncio.Task[None]":
        running = self._running.get(check.name)
        if running is None:
            running = self._running[check.name] = asyncio.create_task(self._answer(check, attempts))
        return running

    async def _answer(self, check: Check, attempts: int | None) -> None:
        try:
            result = await run_check(check, attempts=attempts)
        finally:
            del self._running[check.name]
        if self.heard is not None:
            self.heard(result)
        before = self._results.get(check.name)
        self._results[check.name] = result
        waiting = self._waiting.pop(check.name, [])
        changed = before is not None and before.ok != result.ok
        self._tell(result, self._listeners if changed else self._listeners.intersection(waiting))
        self._watch()

    def _tell(self, result: CheckResult, listeners: Iterable[Found]) -> None:
        for found in tuple(listeners):
            try:
                found(result)
            except Exception:
                logger.exception("a connection could not take the answer of check %s", result.name)

    def _watch(self) -> None:
        if self._watcher is None and self._listeners and self._failing():
            self._watcher = asyncio.create_task(self._ask_until_well())

    async def _ask_until_well(self) -> None:
        try:
            while failing := self._failing():
                await asyncio.sleep(WATCH_EVERY_S * random.uniform(0.75, 1.0))  # noqa: S311 - jitter, not a secret
                await asyncio.gather(*(self._run(check, attempts=1) for check in failing), return_exceptions=True)
        finally:
            if self._watcher is asyncio.current_task():
                self._watcher = None

    def _failing(self) -> list[Check]:
        return [self._checks[name] for name, result in self._results.items() if not result.ok]


class Board:
    """A gate's checks. Each event loop has its own answers: a task of one cannot be awaited from another."""

    __slots__ = ("_by_loop", "checks", "heard")

    def __init__(self, checks: Iterable[Check] = ()) -> None:
        self.checks = tuple(checks)
        self.heard: Found | None = None
        """Who is told of every run, in every loop."""
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopBoard] = WeakKeyDictionary()

    def here(self) -> LoopBoard:
        """The answers as seen from the running event loop."""
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is None:
            found = self._by_loop[loop] = LoopBoard(self.checks, self.heard)
        return found
