"""The strategy that waits for the client alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from connections.gate.lifecycle import State
from connections.gate.strategies.base import Strategy, strategy
from connections.gate.strategies.knowledge import HANDSHAKE_TIMEOUT, Action, Progress, Verdict
from connections.gate.strategies.parameters import Number, parameter


@strategy("client_init")
@dataclass(frozen=True)
class ClientInit(Strategy):
    """Opens with the client's first frame, which proves the path in both directions; a client that sends none in time
    is closed 4408. It knows nothing of what the application needs."""

    timeout_seconds: float = parameter(3.0, Number(0.1, 60), "how long to wait for it; then the connection closes 4408")

    opens_when: ClassVar[str] = "the client's first frame has arrived"
    false_ready: ClassVar[str] = "whenever setup takes longer than the client's first frame"
    false_not_ready: ClassVar[str] = "clients that only listen, or are slow to speak"

    @property
    def limits_s(self) -> Mapping[State, float]:
        return {State.SERVICE_DEPENDENCY_CHECK: self.timeout_seconds}

    def decide(self, progress: Progress, now: float) -> Verdict:
        if progress.client_spoke:
            return Verdict(Action.OPEN, "client_init: the client's first frame arrived")
        until = progress.accepted_at + self.timeout_seconds
        if now < until:
            return Verdict(Action.HOLD, "client_init: waiting for the client's first frame", until)
        return self.at_deadline(progress)

    def at_deadline(self, progress: Progress) -> Verdict:
        why = f"the client sent nothing within {self.timeout_seconds:g} s"
        return Verdict(Action.REJECT, why, code=HANDSHAKE_TIMEOUT)
