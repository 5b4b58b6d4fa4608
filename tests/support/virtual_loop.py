"""An event loop without clock or sockets: time moves when a test moves it, and everything runs in the order it was
asked for. The same steps therefore give the same run, however often: what a model check needs."""

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, cast

_MOST_TURNS = 10_000


class VirtualLoop:
    """What tasks, futures, timers and timeouts need of an event loop, and nothing else. `troubles` are the exceptions
    that nobody handled."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.troubles: list[BaseException | str] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._self = cast("asyncio.AbstractEventLoop", self)

    # --- what asyncio asks ----------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self._self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        return

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **_kwargs: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self._self)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def run_in_executor(self, _executor: None, work: Callable[[], Any]) -> asyncio.Future[Any]:
        """A thread that is done at once."""
        done = self.create_future()
        done.set_result(work())
        return done

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.troubles.append(context.get("exception") or str(context["message"]))

    # --- what a test asks -----------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Run until nothing more can happen without time passing."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self._self)
        try:
            for _ in range(_MOST_TURNS):
                if not self._ready:
                    return
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
            raise AssertionError("it never comes to rest")
        finally:
            asyncio._set_running_loop(before)

    @property
    def due(self) -> list[float]:
        """When timers are due, soonest first."""
        return sorted(when for when, _, timer in self._timers if not timer.cancelled())

    def pass_time(self) -> bool:
        """Let time pass until the next timer, and everything that follows; false where none is set."""
        while self._timers:
            when, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled():
                self.now = max(self.now, when)
                self._ready.append(timer)
                self.settle()
                return True
        return False

    def end(self) -> None:
        """Cancel what still runs."""
        for task in tuple(self.tasks):
            task.cancel()
        self.settle()
