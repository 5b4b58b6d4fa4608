"""A thread with an event loop of its own: whatever a flag server does, no connection's loop ever waits for it."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial


class Background:
    """Runs `work` on a daemon thread named `name`, once per process. `work` is given an event that asks it to end."""

    def __init__(self, name: str, work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        self._name = name
        self._work = work
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process = 0
        self._stop_asked = threading.Event()
        self._wake: Callable[[], object] | None = None

    @property
    def started(self) -> bool:
        """Started in this process: a server that forks after loading the application has no thread in the child."""
        return self._process == os.getpid()

    def start(self) -> None:
        """Start the thread; further calls do nothing."""
        with self._lock:
            if self.started:
                return
            self._process = os.getpid()
            self._stop_asked.clear()
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Ask `work` to end, and wait for that at most `timeout_s` seconds."""
        self._stop_asked.set()
        if self._wake is not None:
            with suppress(RuntimeError):  # its loop may have closed already
                self._wake()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self._process = 0

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        stopping = asyncio.Event()
        self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, stopping.set)
        if self._stop_asked.is_set():
            stopping.set()
        await self._work(stopping)
