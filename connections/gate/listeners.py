"""Who else wants to hear: of transitions, races, records and dependency checks. A listener that raises is logged, and
harms neither the connection nor the other listeners."""

import logging
from collections import deque
from collections.abc import Callable
from typing import Generic, ParamSpec

from connections.gate.dependencies import CheckResult
from connections.gate.lifecycle import Step
from connections.gate.patterns import RacePattern
from connections.gate.telemetry import ConnectionRecord, emit

logger = logging.getLogger("readywire.gate")

StepListener = Callable[[str, Step], object]
RaceListener = Callable[[RacePattern], object]
RecordListener = Callable[[ConnectionRecord], object]
CheckListener = Callable[[CheckResult], object]
Unsubscribe = Callable[[], None]

P = ParamSpec("P")


class Topic(Generic[P]):
    """What is told to everybody who listens, in order: what a listener itself causes is told after what caused it."""

    __slots__ = ("_listeners", "_pending", "_telling")

    def __init__(self) -> None:
        self._listeners: tuple[Callable[P, object], ...] = ()
        self._pending: deque[Callable[[Callable[P, object]], object]] = deque()
        self._telling = False

    def __bool__(self) -> bool:
        """Somebody listens."""
        return bool(self._listeners)

    def listen(self, listener: Callable[P, object]) -> Unsubscribe:
        """Call `listener` with all that is told from now on; returns what ends that."""
        self._listeners = (*self._listeners, listener)

        def stop() -> None:
            self._listeners = tuple(each for each in self._listeners if each is not listener)

        return stop

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Tell everybody, once. Never raises."""
        if not self._listeners:
            return
        self._pending.append(lambda listener: listener(*args, **kwargs))
        if self._telling:
            return
        self._telling = True
        try:
            while self._pending:
                call = self._pending.popleft()
                for listener in self._listeners:
                    _heard(call, listener)
        finally:
            self._telling = False


def _heard(call: Callable[[Callable[P, object]], object], listener: Callable[P, object]) -> None:
    try:
        call(listener)
    except Exception:
        logger.exception("a listener of the gate raised; connections are not affected")


class Listeners:
    """The listeners of one gate. All are called on the connection's event loop, and must return soon."""

    __slots__ = ("checks", "hears", "races", "records", "steps")

    def __init__(self) -> None:
        self.hears = False
        """Somebody listens to transitions: a plain attribute, for it is read at each of them."""
        self.steps: Topic[[str, Step]] = Topic()
        self.races: Topic[[RacePattern]] = Topic()
        self.records: Topic[[ConnectionRecord]] = Topic()
        self.checks: Topic[[CheckResult]] = Topic()

    def to_steps(self, listener: StepListener) -> Unsubscribe:
        """Tell `listener` of each transition from now on; returns what ends that."""
        stop_listening = self.steps.listen(listener)
        self.hears = True

        def stop() -> None:
            stop_listening()
            self.hears = bool(self.steps)

        return stop

    def moved(self, name: str, step: Step) -> None:
        """Tell of one transition."""
        self.steps.tell(name, step)

    def raced(self, race: RacePattern) -> None:
        """Log one pattern, and tell of it."""
        emit(race)
        self.races.tell(race)

    def ended(self, record: ConnectionRecord) -> None:
        """Log one connection's end, and tell of it."""
        emit(record)
        self.records.tell(record)
