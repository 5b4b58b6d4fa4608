"""Which failure an observation is, in one table each, and which of several is the kind. Pure: no bytes, no clock.

The order of `FailureKind` is the precedence. Every finding carries a sentence that an on-call engineer understands.
"""

import errno
import os
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from websockets.exceptions import NegotiationError, PayloadTooBig
from websockets.frames import CLOSE_CODE_EXPLANATIONS

from probes.engine.outcome import EventDefect, FailureKind


class Phase(StrEnum):
    """Where in a probe something happened."""

    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    UPGRADE = "upgrade"
    CLAIMED = "claimed"
    READY = "ready"
    EVENTS = "events"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, where, and the evidence."""

    kind: FailureKind
    phase: Phase
    detail: str
    certificate_refused: bool = False
    """The detail would gain from what the refused certificate says of itself."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all findings of a probe amount to; `kind` is None where there are none."""

    kind: FailureKind | None = None
    phase: str = ""
    also: tuple[FailureKind, ...] = ()
    detail: str = ""


_PRECEDENCE = {kind: rank for rank, kind in enumerate(FailureKind)}
# Where the connection ended before the run did, its end is why events are absent: the end is the kind, and the
# absence is listed beside it. A gap in the sequence stays first, for it proves a loss that came before the end.
_EXPLAINS_ABSENCE = frozenset({FailureKind.CLOSED_EARLY, FailureKind.PROTOCOL_ERROR, FailureKind.OVERSIZED})

_DEFECT_KINDS = {
    EventDefect.LOST: FailureKind.EVENT_LOST,
    EventDefect.NEVER_EMITTED: FailureKind.EVENT_NEVER_EMITTED,
    EventDefect.DUPLICATED: FailureKind.EVENT_DUPLICATED,
    EventDefect.REORDERED: FailureKind.EVENT_REORDERED,
    EventDefect.LATE: FailureKind.EVENT_LATE,
}
_DEFECT_SENTENCES = {
    EventDefect.LOST: "lost: the sequence numbers have a gap where {names} belongs",
    EventDefect.NEVER_EMITTED: "never came, and no gap in the sequence shows that they were sent: {names}",
    EventDefect.DUPLICATED: "came more than once: {names}",
    EventDefect.REORDERED: "came out of order: {names}",
    EventDefect.LATE: "came after the time allowed: {names}",
}

_UNAUTHORIZED_CLOSES = frozenset({1008, 4401, 4403})
_CLOSE_HINTS = {1006: "no close frame", 4401: "unauthorized", 4403: "forbidden", 4408: "initialisation timeout"}

# The text of Starlette's RuntimeError, raw or inside a JSON string.
_RACE_TEXT = re.compile(r"Need to call \\*\"accept\\*\" first")

# What the operating system says where nobody answered, and where we could not even ask.
_UNANSWERED_ERRNOS = frozenset(
    {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
)
_OUR_ERRNOS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM}
)
_CONNECT_KINDS = (
    FailureKind.CONNECT_REFUSED,
    FailureKind.CONNECTION_RESET,
    FailureKind.CONNECT_TIMEOUT,
    FailureKind.PROBE_ERROR,
)

# OpenSSL's reasons (ssl/ssl_err.c), and the alerts of RFC 8446 section 6, in words.
_TLS_REASONS = {
    "WRONG_VERSION_NUMBER": "what answered does not speak TLS; is it a plain ws:// port",
    "RECORD_LAYER_FAILURE": "what answered does not speak TLS; is it a plain ws:// port",
    "PACKET_LENGTH_TOO_LONG": "what answered does not speak TLS; is it a plain ws:// port",
    "UNSUPPORTED_PROTOCOL": "the server offers only TLS versions before 1.2, which is too old",
    "PROTOCOL_VERSION": "the server accepts no TLS version that we offer (1.2 or newer)",
    "HANDSHAKE_FAILURE": "the server accepts none of our ciphers, or wants a client certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server accepts none of our ciphers, or wants a client certificate",
    "CERTIFICATE_REQUIRED": "the server wants a client certificate, and the target has none",
    "UNKNOWN_CA": "the server does not trust the authority of our client certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "the server refuses our client certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our client certificate has expired, says the server",
    "UNRECOGNIZED_NAME": "the server knows no such name (SNI)",
}

# X.509 verification results of OpenSSL: x509_vfy.h.
_CERTIFICATE_EXPIRED = 10
_CERTIFICATE_DATES = (9, _CERTIFICATE_EXPIRED)
_CERTIFICATE_WRONG_NAME = (62, 64)


def verdict(findings: Iterable[Finding]) -> Verdict:
    """The first finding by precedence, and the kinds of the others beside it."""
    ranked = sorted(findings, key=lambda finding: _PRECEDENCE[finding.kind])
    if not ranked:
        return Verdict()
    first = ranked[0]
    if first.kind is FailureKind.EVENT_NEVER_EMITTED:
        first = next((finding for finding in ranked if finding.kind in _EXPLAINS_ABSENCE), first)
    also = dict.fromkeys(finding.kind for finding in ranked if finding.kind is not first.kind)
    return Verdict(first.kind, first.phase.value, tuple(also), first.detail)


def race_text(text: str) -> str | None:
    """The race's own words where `text` holds them."""
    found = _RACE_TEXT.search(text) if "Need to call" in text else None
    return found.group() if found else None


def accept_race(where: str, phase: Phase) -> Finding:
    """The server answered that its own side of the connection was not accepted, or already closed."""
    return Finding(FailureKind.ACCEPT_RACE, phase, f"The server said 'Need to call \"accept\" first' in {where}.")


def early_lost(sent_us: int, control_ms: int) -> Finding:
    """A message sent with the 101 was lost: one that was sent later was answered."""
    detail = (
        f"Our first message left {sent_us} us after the 101 and was never answered; the same message sent "
        f"{control_ms} ms later was: the early one was lost."
    )
    return Finding(FailureKind.ACCEPT_RACE, Phase.READY, detail)


def answered_again(times: int) -> Finding:
    """One message, several answers."""
    detail = f"Our first message, sent when the 101 arrived, was answered {times} times."
    return Finding(FailureKind.EVENT_DUPLICATED, Phase.EVENTS, detail)


def connect_failed(errors: Mapping[str, OSError]) -> Finding:
    """No TCP connection: what the operating system said, by the address dialled.

    Of several addresses, one that refused says most: something is there. What kept us from asking at all is ours.
    """
    kinds = {_connect_kind(error) for error in errors.values()}
    kind = next(each for each in _CONNECT_KINDS if each in kinds)
    # asyncio puts the address where the operating system's sentence was.
    said = "; ".join(f"{address}: {_said(error)}" for address, error in errors.items())
    return Finding(kind, Phase.TCP, f"Connecting failed: {said}.")


def _connect_kind(error: OSError) -> FailureKind:
    if error.errno in _OUR_ERRNOS:
        return FailureKind.PROBE_ERROR
    if isinstance(error, ConnectionResetError):
        return FailureKind.CONNECTION_RESET  # it accepted, and was gone before we had looked
    if isinstance(error, TimeoutError) or error.errno in _UNANSWERED_ERRNOS:
        return FailureKind.CONNECT_TIMEOUT
    return FailureKind.CONNECT_REFUSED


def _said(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def proxy_failed(phase: Phase, detail: str) -> Finding:
    """The proxy could not be reached, or did not connect us: the target was not asked."""
    return Finding(FailureKind.PROXY_FAILED, phase, f"The target was not reached through its proxy. {detail}")


def tls_failed(error: ssl.SSLError, host: str) -> Finding:
    """No TLS session: which rule of the certificate or the protocol failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_refused(error, host)
    reason = error.reason or str(error)
    why = _TLS_REASONS.get(reason.removeprefix("TLSV1_ALERT_").removeprefix("TLSV13_ALERT_"))
    said = reason.lower().replace("_", " ")
    return Finding(FailureKind.TLS_FAILED, Phase.TLS, f"The TLS handshake with {host} failed: {why or said}.")


def _certificate_refused(error: ssl.SSLCertVerificationError, host: str) -> Finding:
    message = error.verify_message or str(error)
    kind, detail = FailureKind.TLS_FAILED, f"The certificate of {host} is not trusted: {message.rstrip('.')}."
    if error.verify_code in _CERTIFICATE_DATES:
        state = "has expired" if error.verify_code == _CERTIFICATE_EXPIRED else "is not valid yet"
        kind, detail = FailureKind.CERTIFICATE_EXPIRED, f"The certificate of {host} {state}."
    elif error.verify_code in _CERTIFICATE_WRONG_NAME:
        kind, detail = (
            FailureKind.CERTIFICATE_NAME_MISMATCH,
            f"The certificate is not for {host}: {message.rstrip('.')}.",
        )
    return Finding(kind, Phase.TLS, detail, certificate_refused=True)


def connection_lost(error: OSError | None, phase: Phase) -> Finding:
    """The connection ended before the 101 came."""
    if isinstance(error, ssl.SSLError):  # TLS 1.3 refuses a client certificate only after its handshake
        return tls_failed(error, "the server")
    how = "reset" if isinstance(error, ConnectionError) else "closed"
    before = "the TLS handshake was finished" if phase is Phase.TLS else "it had answered the upgrade"
    return Finding(FailureKind.CONNECTION_RESET, phase, f"The server {how} the connection before {before}.")


def http_status(status: int, reason: str, pointers: str = "") -> Finding:
    """An HTTP answer other than 101. `pointers`: its headers that say where to go, or when."""
    kind = FailureKind.UNAUTHORIZED if status in (401, 403) else FailureKind.UPGRADE_REJECTED
    said = f"HTTP {status} {reason}".rstrip() + " instead of 101" + (f" ({pointers})" if pointers else "")
    return Finding(kind, Phase.UPGRADE, f"The server answered the upgrade with {said}.")


def handshake_invalid(fault: str) -> Finding:
    """An answer that is not a WebSocket handshake."""
    return Finding(FailureKind.HANDSHAKE_INVALID, Phase.UPGRADE, f"The answer to the upgrade is invalid: {fault}.")


def handshake_failed(error: Exception) -> Finding:
    """A 101 that does not agree with our request."""
    fault = str(error)
    negotiation = isinstance(error, NegotiationError) and "subprotocol" in fault
    if negotiation or "Sec-WebSocket-Protocol" in fault:
        detail = f"The server chose a subprotocol that was not offered: {fault}."
        return Finding(FailureKind.SUBPROTOCOL_MISMATCH, Phase.UPGRADE, detail)
    return handshake_invalid(fault)


def peer_closed(code: int, reason: str, phase: Phase, events: str) -> Finding:
    """The server ended an open connection before the run was over. `events`: how far the run had come, in words."""
    hint = _CLOSE_HINTS.get(code) or CLOSE_CODE_EXPLANATIONS.get(code, "")
    said = f"{code}{f' ({hint})' if hint else ''}{f' {reason!r}' if reason else ''}"
    if phase is Phase.EVENTS:
        return Finding(FailureKind.CLOSED_EARLY, phase, f"The server closed with {said} {events}.")
    kind = FailureKind.UNAUTHORIZED if code in _UNAUTHORIZED_CLOSES else FailureKind.CLOSED_BEFORE_READY
    before = "it answered our message" if phase is Phase.READY else "it was ready"
    return Finding(kind, phase, f"The server closed with {said} before {before}.")


def protocol_broken(error: Exception, phase: Phase) -> Finding:
    """The server broke the WebSocket protocol, or a limit on size."""
    if isinstance(error, PayloadTooBig):
        return Finding(FailureKind.OVERSIZED, phase, f"A message exceeds the limit on size: {error}.")
    if isinstance(error, UnicodeDecodeError):
        return Finding(FailureKind.PROTOCOL_ERROR, phase, "A text message is not UTF-8.")
    return Finding(FailureKind.PROTOCOL_ERROR, phase, f"The server broke the WebSocket protocol: {error}.")


def unsendable(field: str, error: Exception, phase: Phase) -> Finding:
    """A message of ours that its protocol cannot carry: never charged to the target. `field`: where it stands."""
    why = "it holds half a character (a lone surrogate)" if isinstance(error, UnicodeEncodeError) else str(error)
    return Finding(FailureKind.PROBE_ERROR, phase, f"Our message could not be sent: {field} does not fit: {why}.")


def oversized(what: str, phase: Phase) -> Finding:
    """More than a probe reads in all."""
    return Finding(FailureKind.OVERSIZED, phase, f"The server sent more than {what}.")


def disproved(claimed_by: str, evidence: str) -> Finding:
    """No proof of readiness. `claimed_by`: the message that claimed it, "" where none did."""
    if claimed_by:
        detail = f"The server said that it was ready ({claimed_by}), then {evidence}."
        return Finding(FailureKind.FALSE_READY, Phase.READY, detail)
    return Finding(FailureKind.NOT_READY, Phase.READY, f"The server accepted the connection, then {evidence}.")


def never_claimed(deadline_s: float, unmet: str = "") -> Finding:
    """Silence, or only other messages, after the 101. `unmet`: the step that was waited for."""
    detail = f"The server accepted the connection, but did not say that it was ready within {deadline_s:g} s."
    detail += f" It left our {unmet} unmet." if unmet else ""
    return Finding(FailureKind.NOT_READY, Phase.CLAIMED, detail)


def step_unmet(unmet: str, deadline_s: float) -> Finding:
    """It was ready, and later in the script fell silent."""
    detail = f"The server was ready, then left our {unmet} unmet for the rest of {deadline_s:g} s."
    return Finding(FailureKind.EVENT_NEVER_EMITTED, Phase.EVENTS, detail)


def close_unanswered(waited_s: float) -> Finding:
    """RFC 6455 section 5.5.1: an endpoint that receives a close frame must send one."""
    return Finding(
        FailureKind.PROTOCOL_ERROR, Phase.CLOSE, f"The server did not answer our close 1000 within {waited_s:.2f} s."
    )


def answer_unfinished(deadline_s: float) -> Finding:
    """The answer to the upgrade began, and was not complete when the deadline passed."""
    detail = f"The server began to answer the upgrade, but did not finish its headers within {deadline_s:g} s."
    return Finding(FailureKind.UPGRADE_TIMEOUT, Phase.UPGRADE, detail)


def stage_timed_out(phase: Phase, deadline_s: float, subject: str) -> Finding:
    """The deadline passed before the connection was open. `subject`: the name or address waited for."""
    kind, what = {
        Phase.DNS: (FailureKind.DNS_FAILED, "The name {} was not resolved"),
        Phase.TCP: (FailureKind.CONNECT_TIMEOUT, "Nobody answered the connection attempt to {}"),
        Phase.TLS: (
            FailureKind.TLS_TIMEOUT,
            "The server at {} accepted the connection, but did not finish the TLS handshake",
        ),
        Phase.UPGRADE: (FailureKind.UPGRADE_TIMEOUT, "{} accepted the connection, but did not answer the upgrade"),
    }[phase]
    return Finding(kind, phase, f"{what.format(subject)} within {deadline_s:g} s.")


def prober_stalled(lag_us: int, phase: Phase) -> Finding:
    """The deadline passed while our own process did not run for most of it: never charged to the target."""
    detail = f"The prober itself stood still for {lag_us / 1e6:.2f} s of this probe's time."
    return Finding(FailureKind.PROBE_ERROR, phase, detail)


def event_findings(defects: Mapping[str, EventDefect], error_said: str) -> list[Finding]:
    """One finding per sort of defect, naming its events. `error_said`: what the server said when it gave up."""
    findings = []
    for defect, kind in _DEFECT_KINDS.items():
        names = [name for name, found in defects.items() if found is defect]
        if names:
            sentence = f"Events {_DEFECT_SENTENCES[defect].format(names=', '.join(names))}."
            findings.append(Finding(kind, Phase.EVENTS, f"{sentence} {error_said}".strip()))
    return findings
