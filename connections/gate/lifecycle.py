"""The life of one connection: twelve states, one frozen table, deadlines as data, a bounded trail. Pure: time is an
argument, in seconds of any one monotonic clock.

Everything that affects the state of a connection lives in this file. Two states of the public table, `processing` and
`idle`, are in-flight counters here; `reconnecting` will be a resumed session: none of them is a state of a socket.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, Protocol

from connections.gate.errors import IllegalTransition


class State(StrEnum):
    # Looked up in the table at each step of each connection: Enum's own hash is a Python function.
    __hash__ = str.__hash__

    CONNECTING = "connecting"
    ACCEPTED = "accepted"
    HANDSHAKE_VALIDATING = "handshake_validating"
    AUTHENTICATED = "authenticated"
    SERVICE_DEPENDENCY_CHECK = "service_dependency_check"
    SERVICES_READY = "services_ready"
    PROCESSING_READY = "processing_ready"
    GRACEFUL_DEGRADATION = "graceful_degradation"
    DRAINING = "draining"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"

    @property
    def open(self) -> bool:
        """Messages flow to the application."""
        return self in _OPEN


_OPEN = frozenset({State.PROCESSING_READY, State.GRACEFUL_DEGRADATION})

_ENDS = frozenset({State.FAILED, State.CLOSED})
"""A peer may vanish, and an application may raise, in every state before closing."""

TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        # The second: deferred_accept sets up while the client still waits for its upgrade.
        State.CONNECTING: _ENDS | {State.ACCEPTED, State.HANDSHAKE_VALIDATING},
        State.ACCEPTED: _ENDS | {State.HANDSHAKE_VALIDATING, State.CLOSING},
        State.HANDSHAKE_VALIDATING: _ENDS | {State.AUTHENTICATED, State.CLOSING},
        State.AUTHENTICATED: _ENDS | {State.SERVICE_DEPENDENCY_CHECK, State.CLOSING},
        State.SERVICE_DEPENDENCY_CHECK: _ENDS | {State.SERVICES_READY, State.GRACEFUL_DEGRADATION, State.CLOSING},
        State.SERVICES_READY: _ENDS | {State.PROCESSING_READY, State.GRACEFUL_DEGRADATION, State.CLOSING},
        State.PROCESSING_READY: _ENDS | {State.GRACEFUL_DEGRADATION, State.DRAINING, State.CLOSING},
        State.GRACEFUL_DEGRADATION: _ENDS | {State.PROCESSING_READY, State.DRAINING, State.CLOSING},
        State.DRAINING: _ENDS | {State.CLOSING},
        State.CLOSING: frozenset({State.CLOSED}),
        State.FAILED: frozenset({State.CLOSED}),
        State.CLOSED: frozenset(),
    }
)

SETUP_PATH = (
    State.ACCEPTED,
    State.HANDSHAKE_VALIDATING,
    State.AUTHENTICATED,
    State.SERVICE_DEPENDENCY_CHECK,
    State.SERVICES_READY,
)
"""No connection opens without passing these, however fast; accepted alone is passed over where the accept is deferred,
and then goes on the wire in services_ready."""


class Consequence(StrEnum):
    """The one thing that happens when a state's deadline passes."""

    REFUSE_503 = "refuse the upgrade with HTTP 503"
    CLOSE_4408 = "close 4408: the handshake took too long"
    CLOSE_1011 = "close 1011: internal error"
    DECIDE = "open, degrade, or close 1013, as the strategy decides"
    OPEN_UNCONFIRMED = "open without the client's acknowledgement"
    CLOSE_STALLED = "close 1013: the client stopped reading"
    CLOSE_1012 = "close 1012: service restart"
    ABORT = "stop waiting for the close and cancel the application"


class Deadline(NamedTuple):
    """`seconds` after the state was entered, `consequence` happens."""

    seconds: float
    consequence: Consequence


DEADLINES: Mapping[State, Deadline] = MappingProxyType(
    {
        State.CONNECTING: Deadline(10.0, Consequence.REFUSE_503),
        State.ACCEPTED: Deadline(1.0, Consequence.CLOSE_1011),
        State.HANDSHAKE_VALIDATING: Deadline(3.0, Consequence.CLOSE_4408),
        State.AUTHENTICATED: Deadline(1.0, Consequence.CLOSE_1011),
        State.SERVICE_DEPENDENCY_CHECK: Deadline(12.0, Consequence.DECIDE),
        State.SERVICES_READY: Deadline(2.0, Consequence.OPEN_UNCONFIRMED),
        State.DRAINING: Deadline(8.0, Consequence.CLOSE_1012),
        State.CLOSING: Deadline(2.0, Consequence.ABORT),
        State.FAILED: Deadline(2.0, Consequence.ABORT),
    }
)
"""The open states may last: they end when a peer leaves, the application closes, or the server drains."""

SEND_STALL = Deadline(10.0, Consequence.CLOSE_STALLED)
"""What bounds the open states, too: it counts from the last instant at which the client took anything of what is being
sent to it, and is watched by `outbound`."""


class Cause(StrEnum):
    """Why a connection ended. Exactly one each, and the first one named wins."""

    CLIENT_GONE = "client_gone"
    """The client left before it was ready: an abandonment, never an error."""
    CLIENT_CLOSED = "client_closed"
    """The client left after ready; the close code says how."""
    SELF_CLOSED = "self_closed"
    """The application closed it."""
    NEVER_ACCEPTED = "never_accepted"
    """The application refused it, returned, raised or ran out of time before accept."""
    NOT_READY = "not_ready"
    """A deadline passed or a required dependency failed: closed 1013, 4408 or 1011."""
    OVERFLOW = "overflow"
    """More came in during setup than may be held, and nothing less important could make room: closed 1013."""
    SEND_STALLED = "send_stalled"
    """The client read nothing of what was sent to it until the stall deadline: closed 1013."""
    DRAINED = "drained"
    """The server is going away: closed 1012, or refused with HTTP 503 before accept."""
    APPLICATION_ERROR = "application_error"
    """The application raised: closed 1011."""
    APPLICATION_RETURNED = "application_returned"
    """The application returned without closing: closed 1011."""
    CANCELLED = "cancelled"
    """The ASGI server cancelled the application."""


class Step(NamedTuple):
    """One entry of the trail."""

    state: State
    at: float
    why: str


class Refusal(NamedTuple):
    """One illegal transition that was asked for: from `state` to `target`."""

    state: State
    target: State
    at: float
    why: str


TRAIL_LIMIT = 32
_TRAIL_KEPT = 12
"""The setup is kept for good; later comings and goings of a degraded service are forgotten from the middle."""


@dataclass(frozen=True, slots=True)
class Due:
    """A deadline that has passed."""

    state: State
    consequence: Consequence


class Observer(Protocol):
    """Who hears of transitions. Costs one look at `hears` where nobody does."""

    @property
    def hears(self) -> bool:
        """Somebody listens now."""

    def moved(self, name: str, step: Step) -> None:
        """The connection `name` took `step`. Never raises."""


class Lifecycle:
    """One connection's state. `move` and `end` are the only ways to change it."""

    __slots__ = ("_deadlines", "_entered", "_name", "_observer", "_spent", "_trail", "cause",
                 "forgotten", "refusals", "state")  # fmt: skip

    def __init__(
        self,
        now: float,
        *,
        deadlines: Mapping[State, Deadline] = DEADLINES,
        name: str = "",
        observer: Observer | None = None,
    ) -> None:
        """`deadlines`: those of its strategy over those of its gate. `observer` hears each step of `name`, the first
        one included."""
        self.state = State.CONNECTING
        self._name = name
        self._observer = observer
        self.cause: Cause | None = None
        self.forgotten = 0
        self.refusals: tuple[Refusal, ...] = ()
        self._deadlines = deadlines
        self._entered = now
        self._spent: dict[State, float] = {}
        self._trail: list[Step] = []
        self._note(Step(State.CONNECTING, now, "the server offers a connection"))

    @property
    def trail(self) -> tuple[Step, ...]:
        """At most `TRAIL_LIMIT` steps, oldest first; `forgotten` counts those dropped from the middle."""
        return tuple(self._trail)

    @property
    def ended(self) -> bool:
        return self.state is State.CLOSED

    def move(self, target: State, now: float, why: str) -> None:
        """Follow one edge of the table. Where there is none: record it, change nothing, and raise
        IllegalTransition."""
        if target not in TRANSITIONS[self.state]:
            if len(self.refusals) < TRAIL_LIMIT:
                self.refusals = (*self.refusals, Refusal(self.state, target, now, why))
            raise IllegalTransition(self.state, target, why)
        if now < self._entered:
            now = self._entered
        self._spent[self.state] = self._spent.get(self.state, 0.0) + now - self._entered
        self.state = target
        self._entered = now
        self._note(Step(target, now, why))

    def _note(self, step: Step) -> None:
        if len(self._trail) == TRAIL_LIMIT:
            del self._trail[_TRAIL_KEPT]
            self.forgotten += 1
        self._trail.append(step)
        if self._observer is not None and self._observer.hears:
            self._observer.moved(self._name, step)

    def end(self, cause: Cause, now: float, why: str, *, through: State | None = None) -> bool:
        """Name the terminal reason and close; false where it already has one. `through` is closing or failed."""
        first = self.cause is None
        if first:
            self.cause = cause
        if through is not None and through in TRANSITIONS[self.state]:
            self.move(through, now, why)
        elif through is None and not self.ended:
            self.move(State.CLOSED, now, why)
        return first

    @property
    def since(self) -> float:
        """When the current state was entered."""
        return self._entered

    @property
    def due_at(self) -> float | None:
        """When the current state's deadline passes, or None where it has none."""
        deadline = self._deadlines.get(self.state)
        return None if deadline is None else self._entered + deadline.seconds

    def due(self, now: float) -> Due | None:
        """The deadline that has passed by `now`, if one has."""
        due_at = self.due_at
        return None if due_at is None or now < due_at else Due(self.state, self._deadlines[self.state].consequence)

    def spent(self, now: float) -> dict[State, float]:
        """Seconds in each state so far, the current one included unless it is closed."""
        if self.ended:
            return dict(self._spent)
        current = self._spent.get(self.state, 0.0) + max(now, self._entered) - self._entered
        return {**self._spent, self.state: current}
