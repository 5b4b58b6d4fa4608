"""What a strategy is told, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

TRY_AGAIN_LATER = 1013
"""The close code of a rejection (IANA WebSocket close code registry)."""

HANDSHAKE_TIMEOUT = 4408
"""The close code where the client did not do its part in time (as graphql-ws uses it)."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a gate was told of its application: the same for every connection."""

    required: frozenset[str] = frozenset()
    """Services without which nothing can be answered; the application marks each."""
    optional: frozenset[str] = frozenset()
    """Services whose absence degrades the answer."""
    required_checks: frozenset[str] = frozenset()
    optional_checks: frozenset[str] = frozenset()
    authenticates: bool = False
    """The application promises to say `authenticated()`."""

    @property
    def names_nothing(self) -> bool:
        """No service is declared and no check is given."""
        return not (self.required or self.optional or self.required_checks or self.optional_checks)


@dataclass(frozen=True, slots=True)
class Switches:
    """The boolean flags, as evaluated for one connection."""

    dependency_validation: bool = True
    """Off: only the application's own marks count, checks do not run."""
    adaptive_timing: bool = True
    """Off: adaptive_delay behaves as progressive_delay."""
    client_ack: bool = True
    """Off: nothing waits for the client's acknowledgement."""
    degraded_mode: bool = True
    """Off: a missing optional service closes 1013 instead of degrading."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What a gate has measured of its earlier connections, in seconds; None: too little to say."""

    setup_s: float | None = None
    """95th percentile from accept until the application had said that everything required is ready."""
    round_trip_s: float | None = None
    """95th percentile from `connection_ready` to the client's `ready_ack`."""


NOTHING_LEARNED = Learned()


@dataclass(slots=True)
class Progress:
    """What is known of one connection so far. Absent from a mapping is unknown: neither ready nor failed."""

    requirements: Requirements
    switches: Switches
    accepted_at: float
    connected: bool = True
    """The transport's own state. True from accept on, which is why polling it proves nothing."""
    authenticated: bool = False
    asked: bool = False
    """The application has asked for its first message."""
    declared_ready: bool = False
    """The application said `ready()`."""
    reported: bool = False
    """The application has said anything at all."""
    said_ready_at: float | None = None
    """When `said_ready` became true."""
    client_spoke: bool = False
    """The client's first frame was read."""
    announced_at: float | None = None
    """When `connection_ready` was handed to the server."""
    acknowledged: bool = False
    """The client answered `connection_ready`."""
    learned: Learned = NOTHING_LEARNED
    services: dict[str, bool] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)

    @property
    def said_ready(self) -> bool:
        """The application has said that everything required is ready. False while it says nothing: that is unknown."""
        needs = self.requirements
        if needs.authenticates and not self.authenticated:
            return False
        if needs.required:
            return all(self.services.get(name) for name in needs.required)
        return needs.authenticates or self.declared_ready


class Action(Enum):
    HOLD = auto()
    OPEN = auto()
    DEGRADE = auto()
    REJECT = auto()


class Verdict(NamedTuple):
    """What to do now. `until`: ask again then, at the latest. `missing`: what is not there, for people and clients.
    `code`: with which a rejection closes."""

    action: Action
    why: str
    until: float | None = None
    missing: tuple[str, ...] = ()
    code: int = TRY_AGAIN_LATER


Outlook = Mapping[str, bool | None]
"""What is known of each thing by its name: it serves, it does not, or None for unknown."""
