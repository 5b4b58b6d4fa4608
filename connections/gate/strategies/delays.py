"""The honest baselines: they wait for nothing, for the clock, or for what was true all along."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from connections.gate.lifecycle import State
from connections.gate.strategies.base import Strategy, strategy
from connections.gate.strategies.knowledge import Action, Progress, Verdict
from connections.gate.strategies.parameters import Number, RisingNumbers, parameter

DEVELOPMENT_STEPS_MS = (10.0,)
STEPS_MS = (50.0, 100.0, 150.0)
"""The origin's delays: one short one in development, steps in staging and production."""


@strategy("immediate")
@dataclass(frozen=True)
class Immediate(Strategy):
    """Opens at once. Waits for nothing, so it is wrong whenever the application needs any setup."""

    opens_when: ClassVar[str] = "at once"
    false_ready: ClassVar[str] = "whenever setup takes any time"
    false_not_ready: ClassVar[str] = "never"

    def decide(self, progress: Progress, now: float) -> Verdict:
        return Verdict(Action.OPEN, "immediate: waits for nothing")


@strategy("fixed_delay")
@dataclass(frozen=True)
class FixedDelay(Strategy):
    """Opens a fixed time after accept, whatever is ready by then."""

    milliseconds: float = parameter(100.0, Number(0, 10_000), "the delay, from accept")

    opens_when: ClassVar[str] = "a fixed time has passed since accept"
    false_ready: ClassVar[str] = "whenever setup takes longer"
    false_not_ready: ClassVar[str] = "whenever setup takes less"

    def decide(self, progress: Progress, now: float) -> Verdict:
        return _after(self, self.milliseconds / 1000, progress, now)


@strategy("progressive_delay")
@dataclass(frozen=True)
class ProgressiveDelay(Strategy):
    """Looks at each step whether the application has said that it is ready, and opens; at the last step it opens
    whatever was said. An application that marks nothing is taken to be ready at the first step."""

    steps_ms: tuple[float, ...] = parameter(
        STEPS_MS,
        RisingNumbers(0, 10_000),
        "when to look, in milliseconds from accept; in the environment `development` the default is [10]",
    )

    opens_when: ClassVar[str] = "the application is ready at one of some steps, or the last step has passed"
    false_ready: ClassVar[str] = "whenever setup takes longer than the last step"
    false_not_ready: ClassVar[str] = "until the next step, at most one step long"

    def decide(self, progress: Progress, now: float) -> Verdict:
        ready_at = progress.said_ready_at if progress.reported else progress.accepted_at
        for step in self.steps_ms[:-1]:
            at = progress.accepted_at + step / 1000
            if now < at:
                return Verdict(Action.HOLD, f"{self.name}: waiting for the step of {step:g} ms", at)
            if ready_at is not None and ready_at <= at:
                return Verdict(Action.OPEN, f"{self.name}: ready at the step of {step:g} ms")
        return _after(self, self.steps_ms[-1] / 1000, progress, now)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any], environment: str = "") -> Self:
        built = super().from_parameters(parameters, environment)
        if environment == "development" and "steps_ms" not in parameters:
            return replace(built, steps_ms=DEVELOPMENT_STEPS_MS)
        return built


@strategy("adaptive_delay")
@dataclass(frozen=True)
class AdaptiveDelay(Strategy):
    """Opens after the time that earlier connections of this gate needed: `factor` times their 95th percentile of setup,
    or of the client's round trip where that is longer, never outside floor and cap. While too little was measured, or
    with the flag `adaptive-timing` off, it behaves as progressive_delay."""

    factor: float = parameter(1.1, Number(0.1, 10), "how many times the measured 95th percentile to wait")
    floor_ms: float = parameter(10.0, Number(0, 10_000), "the least delay, from accept")
    cap_ms: float = parameter(2000.0, Number(0, 10_000), "the most; it wins over the floor")
    static: Strategy = field(default_factory=ProgressiveDelay)

    opens_when: ClassVar[str] = "the time has passed that earlier connections needed"
    false_ready: ClassVar[str] = "the slowest setups, and after a cold start"
    false_not_ready: ClassVar[str] = "setups faster than usual, and all after a spike"
    learns: ClassVar[bool] = True

    def decide(self, progress: Progress, now: float) -> Verdict:
        needed = self._needed_s(progress) if progress.switches.adaptive_timing else None
        if needed is None:
            return self.static.decide(progress, now)
        delay = min(max(needed * self.factor, self.floor_ms / 1000), self.cap_ms / 1000)
        return _after(self, delay, progress, now)

    def joined(self, made: Callable[[type[Strategy]], Strategy]) -> Strategy:
        return replace(self, static=made(ProgressiveDelay))

    def _needed_s(self, progress: Progress) -> float | None:
        learned = progress.learned
        if learned.setup_s is None:
            return None
        return max(learned.setup_s, learned.round_trip_s or 0.0)


def _after(self: Strategy, seconds: float, progress: Progress, now: float) -> Verdict:
    until = progress.accepted_at + seconds
    if now < until:
        return Verdict(Action.HOLD, f"{self.name}: waiting for the clock", until)
    return Verdict(Action.OPEN, f"{self.name}: {seconds * 1000:g} ms passed")


@strategy("state_poll")
@dataclass(frozen=True)
class StatePoll(Strategy):
    """Polls the transport's own state until it says "connected". It says so from accept on: the first look opens."""

    interval_ms: float = parameter(10.0, Number(1, 1000), "from one look to the next")
    timeout_seconds: float = parameter(3.0, Number(0.1, 60), "how long to look; then the connection closes 1013")

    opens_when: ClassVar[str] = "the transport says that it is connected, which is at once"
    false_ready: ClassVar[str] = "whenever setup takes any time, as `immediate`"
    false_not_ready: ClassVar[str] = "never"

    @property
    def limits_s(self) -> Mapping[State, float]:
        return {State.SERVICE_DEPENDENCY_CHECK: self.timeout_seconds}

    def decide(self, progress: Progress, now: float) -> Verdict:
        if progress.connected:
            return Verdict(Action.OPEN, "state_poll: the transport says that it is connected")
        return Verdict(Action.HOLD, "state_poll: not connected yet", now + self.interval_ms / 1000)

    def at_deadline(self, progress: Progress) -> Verdict:
        return Verdict(Action.REJECT, "state_poll: the transport never said that it is connected")
