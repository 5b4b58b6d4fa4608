"""A finished session as an Outcome: which clock holds, which figures are spoiled, what the transcript hides."""

from probes.engine import classification
from probes.engine.classification import Finding
from probes.engine.outcome import EventDefect, Events, Frame, Outcome
from probes.engine.session import Session
from probes.engine.transcript import Redactor

# A figure that this process read itself is spoiled where the loop was away for more than 5 ms, or a tenth of it.
_LAG_US = 5_000
_LAG_NOISE_US = 1_000
_LAG_SHARE = 10
# The marks that the race window is made of: a wide bound of one of them spoils the figure.
_RACE_MARKS = frozenset({"upgraded", "claimed", "ready"})


def outcome_of(
    session: Session,
    *,
    kernel: bool,
    start_delay_us: int = 0,
    address: str = "",
    lag_us: int = 0,
    success_frames: bool = True,
) -> Outcome:
    """What the probe found. `kernel`: its receive marks are the kernel's; else this process's own.

    `success_frames`: whether a success carries its transcript; a failure always does.
    """
    events = _events(session, kernel=kernel)
    verdict = classification.verdict(_findings(session, events, lag_us))
    redact = session.prepared.redactor
    return Outcome(
        kind=verdict.kind,
        phase=verdict.phase,
        also=verdict.also,
        detail=redact(verdict.detail),
        start_delay_us=start_delay_us,
        marks=_marks(session, start_delay_us, kernel=kernel),
        events=events,
        close_code=session.close_code,
        close_reason=redact(session.close_reason),
        closed_by=session.closed_by,
        http_status=session.http_status,
        address=address,
        clock="kernel" if kernel else "monotonic",
        lag_us=lag_us,
        flagged=not _RACE_MARKS.isdisjoint(session.bounds) or (not kernel and _spoiled(session, lag_us)),
        bounds={name: width // 1000 for name, width in session.bounds.items()},
        strategy=redact(session.strategy),
        flags_revision=session.revision,
        certificate=session.certificate,
        frames=_frames(session, redact, kernel=kernel) if success_frames or verdict.kind else (),
    )


def _findings(session: Session, events: Events, lag_us: int) -> list[Finding]:
    """Everything that went wrong, the session's own and what the marks tell."""
    findings = [*session.findings, *_early(session)]
    if events.defects:
        said = " ".join(filter(None, (session.gave_up, _left(events))))
        findings += classification.event_findings(events.defects, said)
    if session.timed_out and lag_us * 2 > session.spec.deadline_s * 1e6:
        findings.append(classification.prober_stalled(lag_us, session.phase))
    return findings


def _marks(session: Session, start_delay_us: int, *, kernel: bool) -> dict[str, int]:
    """Microseconds since the start, by mark."""
    marks = session.marks if kernel else session.seen
    return {"intended": -start_delay_us, **{name: (at - session.started) // 1000 for name, at in marks.items()}}


def _events(session: Session, *, kernel: bool) -> Events:
    delivery = session.delivery
    trigger = session.marks.get("trigger_sent")
    if trigger is None:
        return Events(expected=delivery.expected)
    arrivals = delivery.arrivals.items()
    # A run that never began has no defects: that it did not begin is the finding.
    defects = delivery.defects(late_after=session.late_after) if "ready" in session.marks else {}
    absent = delivery.undelivered() if not delivery.ended else ()
    return Events(
        expected=delivery.expected,
        marks={name: ((each.at if kernel else each.seen) - trigger) // 1000 for name, each in arrivals},
        defects=defects,
        client_gone=tuple(name for name in absent if defects.get(name) is EventDefect.NEVER_EMITTED),
    )


def _early(session: Session) -> list[Finding]:
    """What became of a message that left with the 101."""
    if not session.spec.script.early_send:
        return []
    if session.early_lost:
        sent, upgraded, control = (session.marks[name] for name in ("trigger_sent", "upgraded", "control_sent"))
        return [classification.early_lost((sent - upgraded) // 1000, (control - sent) // 1_000_000)]
    return [classification.answered_again(session.answers)] if session.answers > 1 else []


def _left(events: Events) -> str:
    """Says of absent events that the connection, not the run, had ended."""
    return "The connection ended before the run did." if events.client_gone else ""


def _frames(session: Session, redact: Redactor, *, kernel: bool) -> tuple[Frame, ...]:
    return session.transcript.frames(session.started, redact, session.limits.transcript_chars, kernel=kernel)


def _spoiled(session: Session, lag_us: int) -> bool:
    ready, upgraded = session.seen.get("ready"), session.seen.get("upgraded")
    window_us = (ready - upgraded) // 1000 if ready is not None and upgraded is not None else 0
    return lag_us > _LAG_US or (lag_us > _LAG_NOISE_US and lag_us * _LAG_SHARE > window_us)
