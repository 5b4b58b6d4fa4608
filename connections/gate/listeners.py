"""Who else wants to hear: of transitions, of records, of dependency checks. A listener that raises is logged, and harms
neither the connection nor the other listeners."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from connections.gate.dependencies import CheckResult
from connections.gate.lifecycle import Step
from connections.gate.telemetry import ConnectionRecord

logger = logging.getLogger("readywire.gate")

StepListener = Callable[[str, Step], object]
RecordListener = Callable[[ConnectionRecord], object]
CheckListener = Callable[[CheckResult], object]
Unsubscribe = Callable[[], None]


class Listeners:
    """The listeners of one gate. All are called on the connection's event loop, and must return soon."""

    __slots__ = ("_checks", "_pending", "_records", "_steps", "_telling")

    def __init__(self) -> None:
        self._steps: tuple[StepListener, ...] = ()
        self._records: tuple[RecordListener, ...] = ()
        self._checks: tuple[CheckListener, ...] = ()
        self._pending: deque[tuple[str, Step]] = deque()
        self._telling = False

    @property
    def hears(self) -> bool:
        """Somebody listens to transitions."""
        return bool(self._steps)

    def to_steps(self, listener: StepListener) -> Unsubscribe:
        """Call `listener(connection_id, step)` at each transition from now on; returns what ends that."""
        self._steps = (*self._steps, listener)

        def stop() -> None:
            self._steps = _without(self._steps, listener)

        return stop

    def to_records(self, listener: RecordListener) -> Unsubscribe:
        """Call `listener(record)` when a connection has ended."""
        self._records = (*self._records, listener)

        def stop() -> None:
            self._records = _without(self._records, listener)

        return stop

    def to_checks(self, listener: CheckListener) -> Unsubscribe:
        """Call `listener(result)` when a dependency check has run."""
        self._checks = (*self._checks, listener)

        def stop() -> None:
            self._checks = _without(self._checks, listener)

        return stop

    def moved(self, name: str, step: Step) -> None:
        """Tell of one transition. One that a listener itself causes is told after those before it, to everybody."""
        self._pending.append((name, step))
        if self._telling:
            return
        self._telling = True
        try:
            while self._pending:
                told = self._pending.popleft()
                for listener in self._steps:
                    _call(listener, *told)
        finally:
            self._telling = False

    def recorded(self, record: ConnectionRecord) -> None:
        """Tell of one record."""
        for listener in self._records:
            _call(listener, record)

    def checked(self, result: CheckResult) -> None:
        """Tell of one dependency check that has run."""
        for listener in self._checks:
            _call(listener, result)


def _call(listener: Callable[..., object], *arguments: Any) -> None:
    try:
        listener(*arguments)
    except Exception:
        logger.exception("a listener of the gate raised; connections are not affected")


def _without(listeners: tuple[Any, ...], gone: Callable[..., object]) -> tuple[Any, ...]:
    at = next((place for place, listener in enumerate(listeners) if listener is gone), None)
    return listeners if at is None else (*listeners[:at], *listeners[at + 1 :])
