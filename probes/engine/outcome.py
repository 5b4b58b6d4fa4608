"""What one probe found, as frozen data. Times are integer microseconds; `None` where the probe did not get that far.

DESIGN section 4 names every mark, figure and kind of failure. A failure of the target is data here; a failure of ours
has a kind too (`probe_error`, `missed`, `policy_denied`), so that it can be shown and is never charged to the target.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any


class Owner(StrEnum):
    """Whose fault a failure is."""

    US = "us"
    NETWORK = "network"
    TLS = "TLS"
    SERVER_UPGRADE = "the server, during the upgrade"
    SERVER_BEFORE_READY = "the server, before ready"
    SERVER_AFTER_READY = "the server, after ready"


class FailureKind(StrEnum):
    """Every way a probe fails. The order is the precedence: where several fit, the first is the kind."""

    POLICY_DENIED = "policy_denied"
    PROBE_ERROR = "probe_error"
    MISSED = "missed"
    DNS_FAILED = "dns_failed"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    PROXY_FAILED = "proxy_failed"
    CONNECTION_RESET = "connection_reset"
    TLS_TIMEOUT = "tls_timeout"
    TLS_FAILED = "tls_failed"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NAME_MISMATCH = "certificate_name_mismatch"
    UNAUTHORIZED = "unauthorized"
    UPGRADE_REJECTED = "upgrade_rejected"
    UPGRADE_TIMEOUT = "upgrade_timeout"
    HANDSHAKE_INVALID = "handshake_invalid"
    SUBPROTOCOL_MISMATCH = "subprotocol_mismatch"
    ACCEPT_RACE = "accept_race"
    FALSE_READY = "false_ready"
    NOT_READY = "not_ready"
    CLOSED_BEFORE_READY = "closed_before_ready"
    EVENT_LOST = "event_lost"
    EVENT_NEVER_EMITTED = "event_never_emitted"
    EVENT_DUPLICATED = "event_duplicated"
    EVENT_REORDERED = "event_reordered"
    EVENT_LATE = "event_late"
    CLOSED_EARLY = "closed_early"
    PROTOCOL_ERROR = "protocol_error"
    OVERSIZED = "oversized"

    @property
    def owner(self) -> Owner:
        """Whose fault it is; see the table of DESIGN section 4."""
        return _OWNERS[self]

    @property
    def ours(self) -> bool:
        """True where the target must not be charged."""
        return self.owner is Owner.US


_LAST_OF_OWNER = {
    FailureKind.MISSED: Owner.US,
    FailureKind.CONNECTION_RESET: Owner.NETWORK,
    FailureKind.CERTIFICATE_NAME_MISMATCH: Owner.TLS,
    FailureKind.SUBPROTOCOL_MISMATCH: Owner.SERVER_UPGRADE,
    FailureKind.CLOSED_BEFORE_READY: Owner.SERVER_BEFORE_READY,
    FailureKind.OVERSIZED: Owner.SERVER_AFTER_READY,
}


def _owners() -> dict[FailureKind, Owner]:
    owners: dict[FailureKind, Owner] = {}
    pending: list[FailureKind] = []
    for kind in FailureKind:
        pending.append(kind)
        if kind in _LAST_OF_OWNER:
            owners.update(dict.fromkeys(pending, _LAST_OF_OWNER[kind]))
            pending.clear()
    return owners


_OWNERS = _owners()


class EventDefect(StrEnum):
    """What can be wrong with one expected event."""

    LOST = "lost"
    NEVER_EMITTED = "never_emitted"
    DUPLICATED = "duplicated"
    REORDERED = "reordered"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Events:
    """The expected events of one probe: when each arrived after the trigger, and what was wrong with it."""

    expected: tuple[str, ...] = ()
    marks: Mapping[str, int] = field(default_factory=dict)
    """First arrival of each delivered event, microseconds after `trigger_sent`."""
    defects: Mapping[str, EventDefect] = field(default_factory=dict)
    client_gone: tuple[str, ...] = ()
    """Those of the absent events that nobody can blame on the sender: the connection ended before the run did."""

    @property
    def delivered(self) -> int:
        """Events that arrived at least once in time, of those expected."""
        late = EventDefect.LATE
        return sum(1 for name in self.expected if name in self.marks and self.defects.get(name) is not late)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the transcript, redacted and bounded. `at_us` counts from `started`."""

    at_us: int
    direction: str
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the certificate of a TLS session says of itself; instants are aware, in UTC."""

    subject: str
    """Its common name, else the first name it is for."""
    issuer: str
    not_before: datetime
    not_after: datetime

    def to_json(self) -> dict[str, str]:
        """JSON-ready; `from_json` reverses it exactly."""
        dates = {"not_before": self.not_before.isoformat(), "not_after": self.not_after.isoformat()}
        return {"subject": self.subject, "issuer": self.issuer, **dates}

    @classmethod
    def from_json(cls, message: Mapping[str, Any]) -> "Certificate":
        """Raises KeyError, TypeError or ValueError on what `to_json` did not write."""
        before, after = (datetime.fromisoformat(message[name]) for name in ("not_before", "not_after"))
        if before.tzinfo is None or after.tzinfo is None:
            raise ValueError("certificate: an instant without its time zone")
        return cls(str(message["subject"]), str(message["issuer"]), before, after)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one probe found. `marks` holds every mark of DESIGN section 4 in microseconds after `started`."""

    kind: FailureKind | None = None
    phase: str = ""
    """The phase a failure happened in: dns, tcp, tls, upgrade, claimed, ready, events, close."""
    also: tuple[FailureKind, ...] = ()
    detail: str = ""
    """One sentence of evidence for a person."""
    start_delay_us: int = 0
    """intended -> started."""
    marks: Mapping[str, int] = field(default_factory=dict)
    events: Events = field(default_factory=Events)
    close_code: int | None = None
    close_reason: str = ""
    closed_by: str = ""
    """"us", "peer" or "" where the connection was never open."""
    http_status: int | None = None
    address: str = ""
    clock: str = "monotonic"
    """"kernel" where receive marks are the kernel's, else "monotonic"."""
    lag_us: int = 0
    flagged: bool = False
    """The race window cannot be trusted to a millisecond: the probe counts, its latencies stay out of percentiles."""
    bounds: Mapping[str, int] = field(default_factory=dict)
    """By mark or event: microseconds before its instant within which it truly lies, where that is more than 1 ms."""
    strategy: str = ""
    flags_revision: int | None = None
    certificate: Certificate | None = None
    """The target's, once it was verified; None over plain ws and where it was refused."""
    frames: tuple[Frame, ...] = ()

    @property
    def ok(self) -> bool:
        return self.kind is None

    def between(self, start: str, end: str) -> int | None:
        """Microseconds from one mark to another, or None where either is absent."""
        first, last = self.marks.get(start), self.marks.get(end)
        return None if first is None or last is None else last - first

    @property
    def dns_us(self) -> int | None:
        return self.marks.get("dns_done")

    @property
    def tcp_us(self) -> int | None:
        return self.between("dns_done", "tcp_done")

    @property
    def tls_us(self) -> int | None:
        return self.between("tcp_done", "tls_done")

    @property
    def upgrade_us(self) -> int | None:
        return self.between("request_sent", "upgraded")

    @property
    def claimed_us(self) -> int | None:
        return self.between("upgraded", "claimed")

    @property
    def race_window_us(self) -> int | None:
        """upgraded -> ready: the handshake-to-ready latency."""
        return self.between("upgraded", "ready")

    @property
    def user_ready_us(self) -> int | None:
        """intended -> ready, so that an overloaded prober cannot flatter a target (coordinated omission)."""
        ready = self.marks.get("ready")
        return None if ready is None else ready + self.start_delay_us

    def to_message(self) -> dict[str, Any]:
        """JSON-ready; `from_message` reverses it exactly."""
        # Written out, because dataclasses.asdict copies deeply and costs more than the rest of a probe's bookkeeping.
        message = {name: getattr(self, name) for name in _PLAIN_FIELDS}
        message["kind"] = self.kind.value if self.kind else None
        message["also"] = [kind.value for kind in self.also]
        message["certificate"] = self.certificate.to_json() if self.certificate else None
        message["marks"] = dict(self.marks)
        message["bounds"] = dict(self.bounds)
        message["events"] = {
            "expected": list(self.events.expected),
            "marks": dict(self.events.marks),
            "defects": {name: defect.value for name, defect in self.events.defects.items()},
            "client_gone": list(self.events.client_gone),
        }
        message["frames"] = [
            {"at_us": frame.at_us, "direction": frame.direction, "kind": frame.kind, "text": frame.text}
            for frame in self.frames
        ]
        return message

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "Outcome":
        """Raises KeyError, TypeError or ValueError on a message that `to_message` did not write."""
        fields = dict(message)
        events, certificate = fields.pop("events"), fields.pop("certificate", None)
        return cls(
            **{
                **fields,
                "kind": FailureKind(fields["kind"]) if fields["kind"] else None,
                "certificate": Certificate.from_json(certificate) if certificate else None,
                "also": tuple(FailureKind(kind) for kind in fields["also"]),
                "frames": tuple(Frame(**frame) for frame in fields["frames"]),
                "events": Events(
                    expected=tuple(events["expected"]),
                    marks=dict(events["marks"]),
                    defects={name: EventDefect(defect) for name, defect in events["defects"].items()},
                    client_gone=tuple(events.get("client_gone", ())),
                ),
            }
        )


_PLAIN_FIELDS = tuple(
    each.name
    for each in fields(Outcome)
    if each.name not in ("kind", "also", "marks", "bounds", "events", "certificate", "frames")
)
