"""Is connection X ready, and why not: one call, with the transport and the application told apart.

    explanation = gate.registry.explain(connection_id)
    explanation.ready, explanation.application, explanation.why, explanation.waiting_for

Connections that ended stay explainable until `keep_ended` others have. Nothing is kept or computed for a question that
nobody asks: an explanation is made from the connection when it is asked for.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from connections.gate.connection import Connection
from connections.gate.errors import UnknownConnection
from connections.gate.lifecycle import Cause, Lifecycle, Refusal, State, Step
from connections.gate.strategies import Action
from connections.gate.telemetry import ConnectionRecord


class Transport(StrEnum):
    """What the WebSocket itself is."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Application(StrEnum):
    """What the application behind it is, for this connection."""

    WAITING = "waiting"
    """In setup: messages are held."""
    READY = "ready"
    DEGRADED = "degraded"
    """Ready, with something optional missing."""
    DRAINING = "draining"
    """It may finish what it has, and gets nothing new."""
    ENDED = "ended"


_TRANSPORT = {
    State.CLOSING: Transport.CLOSING,
    State.FAILED: Transport.CLOSING,
    State.CLOSED: Transport.CLOSED,
}
_APPLICATION = {
    State.PROCESSING_READY: Application.READY,
    State.GRACEFUL_DEGRADATION: Application.DEGRADED,
    State.DRAINING: Application.DRAINING,
    State.CLOSING: Application.ENDED,
    State.FAILED: Application.ENDED,
    State.CLOSED: Application.ENDED,
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One connection, explained at one instant."""

    connection_id: str
    ready: bool
    """Messages flow to the application."""
    transport: Transport
    application: Application
    why: str
    """One sentence: what it waits for, why it opened, or why it ended."""
    state: State
    in_state_s: float
    """Seconds in that state."""
    waiting_for: tuple[str, ...]
    """What would make it ready; while degraded: what is missing."""
    strategy: str
    flags_revision: int | None
    cause: Cause | None
    """The terminal reason of one that ended."""
    trail: tuple[Step, ...]
    """At most `lifecycle.TRAIL_LIMIT` steps, oldest first; `at` is the event loop's time in seconds."""
    refused_transitions: tuple[Refusal, ...]

    def __str__(self) -> str:
        answer = "is ready" if self.ready else "is not ready"
        return (
            f"connection {self.connection_id} {answer}: {self.why} "
            f"(transport {self.transport}, application {self.application}, {self.state} for {self.in_state_s:.3f} s)"
        )


class _Ended(NamedTuple):
    lifecycle: Lifecycle
    record: ConnectionRecord
    clock: Callable[[], float]


class Registry:
    """The connections of one gate, open and lately ended. May be asked from any thread; from another than the event
    loop's the answer may be a moment old."""

    __slots__ = ("_ended", "_keep_ended", "_live")

    def __init__(self, *, keep_ended: int) -> None:
        self._keep_ended = keep_ended
        self._live: dict[str, Connection] = {}
        self._ended: OrderedDict[str, _Ended] = OrderedDict()

    def __len__(self) -> int:
        """Connections whose application is still running."""
        return len(self._live)

    def connections(self) -> tuple[str, ...]:
        """Names of the connections whose application is still running, oldest first."""
        return tuple(self._live)

    def lately_ended(self) -> tuple[str, ...]:
        """Names of the connections that ended and can still be explained, oldest first."""
        return tuple(self._ended)

    def by_state(self) -> dict[State, int]:
        """How many connections are in each of the twelve states now."""
        counts = dict.fromkeys(State, 0)
        for connection in tuple(self._live.values()):
            counts[connection.lifecycle.state] += 1
        return counts

    def explain(self, connection_id: str) -> Explanation:
        """Whether it is ready, and why not. Raises UnknownConnection for one never seen, or ended too long ago."""
        if (connection := self._live.get(connection_id)) is not None:
            return _explain_live(connection)
        if (ended := self._ended.get(connection_id)) is not None:
            return _explain_ended(ended)
        raise UnknownConnection(connection_id, self._keep_ended)

    def add(self, connection: Connection) -> None:
        """The server offers it."""
        self._live[connection.connection_id] = connection

    def remove(self, connection: Connection, record: ConnectionRecord) -> None:
        """It has ended, as `record` says."""
        self._live.pop(connection.connection_id, None)
        if self._keep_ended:
            self._ended[connection.connection_id] = _Ended(connection.lifecycle, record, connection.clock)
            if len(self._ended) > self._keep_ended:
                self._ended.popitem(last=False)

    def live(self) -> tuple[Connection, ...]:
        """The connections themselves."""
        return tuple(self._live.values())


def _explain_live(connection: Connection) -> Explanation:
    life, now = connection.lifecycle, connection.clock()
    why, waiting_for = life.trail[-1].why, connection.opening.missing
    if life.state is State.CONNECTING:
        why, waiting_for = "waiting for the application's accept", ("accept",)
    elif life.cause is not None:
        why, waiting_for = connection.ending.why, ()
    elif connection.opening.opened_at is None:
        verdict = connection.verdict(now)
        if verdict.action is Action.HOLD:
            why, waiting_for = verdict.why, verdict.missing
    open_or_not_yet = Transport.OPEN if connection.ending.upgraded else Transport.CONNECTING
    return Explanation(
        connection_id=connection.connection_id,
        ready=life.state.open,
        transport=_TRANSPORT.get(life.state, open_or_not_yet),
        application=_APPLICATION.get(life.state, Application.WAITING),
        why=why,
        state=life.state,
        in_state_s=max(0.0, now - life.since),
        waiting_for=waiting_for,
        strategy=connection.strategy_name,
        flags_revision=connection.flags_revision,
        cause=life.cause,
        trail=life.trail,
        refused_transitions=life.refusals,
    )


def _explain_ended(ended: _Ended) -> Explanation:
    life, record = ended.lifecycle, ended.record
    return Explanation(
        connection_id=record.connection_id,
        ready=False,
        transport=Transport.CLOSED,
        application=Application.ENDED,
        why=record.why,
        state=life.state,
        in_state_s=max(0.0, ended.clock() - life.since),
        waiting_for=(),
        strategy=record.strategy,
        flags_revision=record.flags_revision,
        cause=life.cause,
        trail=life.trail,
        refused_transitions=life.refusals,
    )
