"""Which faults are on, and until when. Pure: time is an argument, in seconds of any one monotonic clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connections.reference.faults import SECONDS, AlreadyOn, UnknownFault, fault_named, number_within


@dataclass(frozen=True, slots=True)
class Running:
    """One fault that was started. Two starts of the same fault are two of these, never equal."""

    name: str
    parameters: Mapping[str, float | str]
    since: float
    until: float
    by: str = ""
    """Who started it, as told; "" where nobody said."""

    def seconds(self, name: str = "seconds") -> float:
        """A numeric parameter."""
        return float(self.parameters[name])

    def meets(self, unit: float) -> bool:
        """Whether a connection whose lot is `unit`, a number in [0, 1), meets it."""
        return unit * 100 < self.seconds("percent")


class Faults:
    """The faults of one service. Any number of different ones may be on at once."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: dict[str, Running] = {}

    @property
    def any(self) -> bool:
        """False where certainly none is on; True may include some that have just expired."""
        return bool(self._running)

    def start(self, name: object, parameters: Mapping[str, Any], *, lasts_s: Any, now: float, by: str = "") -> Running:
        """Switch a fault on for `lasts_s` seconds. Raises FaultError, UnknownFault, or AlreadyOn."""
        fault = fault_named(name)
        lasts_s = number_within("lasts_s", lasts_s, SECONDS)
        checked = fault.checked(parameters)
        if running := self.running(fault.name, now):
            left = f"for another {running.until - now:.0f} s"
            raise AlreadyOn("name", f"{fault.name} is on {left}", "end it first: DELETE /control/faults/" + fault.name)
        running = self._running[fault.name] = Running(fault.name, checked, now, now + lasts_s, by)
        return running

    def end(self, name: str, now: float) -> Running:
        """Switch one off. Raises UnknownFault where it is not on."""
        fault_named(name)
        running = self.running(name, now)
        if running is None:
            raise UnknownFault("name", f"{name} is not on", "GET /control/faults tells which are")
        del self._running[name]
        return running

    def end_all(self, now: float) -> tuple[Running, ...]:
        """Switch all off; returns those that were on."""
        ended = self.on(now)
        self._running.clear()
        return ended

    def running(self, name: str, now: float) -> Running | None:
        """The fault `name` if it is on at `now`."""
        running = self._running.get(name)
        if running is not None and now >= running.until:
            del self._running[name]
            running = None
        return running

    def on(self, now: float) -> tuple[Running, ...]:
        """All that are on at `now`, in the order in which they were started."""
        return tuple(running for name in list(self._running) if (running := self.running(name, now)) is not None)
