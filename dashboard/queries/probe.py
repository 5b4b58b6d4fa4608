"""One probe: its waterfall on one scale, its transcript, and who served it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dashboard import sentences
from probes.models import Result, Target, Transcript

STEPS = (
    ("Start delay", "start_delay_us", "start"),
    ("DNS", "dns_us", "dns"),
    ("TCP", "tcp_us", "tcp"),
    ("TLS", "tls_us", "tls"),
    ("Upgrade", "upgrade_us", "upgrade"),
    ("Race window", "race_window_us", "race"),
)
_SCALE = 1000
"""Units of the waterfall's drawing."""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the waterfall: a bar from `x` of `width` units of 1,000; `never` where it did not end."""

    name: str
    style: str
    text: str
    x: float
    width: float
    never: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """One event on the waterfall's last row, or an expected one that did not come."""

    name: str
    text: str
    x: float | None
    defect: str


@dataclass(frozen=True, slots=True)
class ProbeView:
    """Everything a page tells about one probe."""

    result: Result
    state: str
    sentence: str
    fault: str
    steps: list[Step]
    ticks: list[Tick]
    scale: str
    claimed: str
    ready: str
    frames: list[dict[str, Any]]
    kept: bool
    """Whether a transcript was kept."""


def find(target: Target, identity: str) -> ProbeView | None:
    """The probe that an address names, or None: a name that is none, or a result no longer kept."""
    location, _, microseconds = identity.rpartition(":")
    if not location or not microseconds.isdigit() or len(microseconds) > 17:
        return None
    slot = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(microseconds))
    result = Result.objects.filter(target=target, location_id=location, slot=slot).first()
    if result is None:
        return None
    transcript = Transcript.objects.filter(target=target, location_id=location, slot=slot).first()
    return view(result, target, transcript)


def view(result: Result, target: Target, transcript: Transcript | None) -> ProbeView:
    """The probe as the page shows it; reads nothing."""
    end = _end_us(result, target)
    owner = sentences.owner_of(result.kind) if result.kind else ""
    return ProbeView(
        result=result,
        state="up" if result.ok else ("missed" if owner == "us" else "down"),
        sentence=_sentence(result),
        fault=owner,
        steps=_steps(result, end),
        ticks=_ticks(result, end),
        scale=sentences.latency(end),
        claimed=sentences.latency(result.claimed_us) if result.claimed_us is not None else sentences.NO_FIGURE,
        ready=sentences.latency(result.race_window_us)
        if result.race_window_us is not None
        else ("never" if not result.ok and owner != "us" else sentences.NO_FIGURE),
        frames=[_frame(frame) for frame in transcript.frames] if transcript else [],
        kept=transcript is not None,
    )


def _sentence(result: Result) -> str:
    if result.ok:
        return "Every step was done and every event arrived."
    if result.detail:
        return result.detail
    evidence = sentences.Evidence(result.http_status, result.close_code)
    return f"The target {sentences.symptom(result.kind, evidence)}." if result.kind != "missed" else "No outcome came."


def _end_us(result: Result, target: Target) -> int:
    """Where the waterfall's scale ends, in microseconds after the slot."""
    spent = sum(getattr(result, column) or 0 for _, column, _ in STEPS)
    events = max(result.events.get("marks", {}).values(), default=0)
    reached = (result.user_ready_us or spent) + events
    stopped = not result.ok and result.race_window_us is None and result.upgrade_us is not None
    return max(reached, target.deadline_ms * 1000 if stopped else 0, 1)


def _steps(result: Result, end: int) -> list[Step]:
    steps: list[Step] = []
    at = 0
    for name, column, style in STEPS:
        us = getattr(result, column)
        if us is None:
            continue
        steps.append(Step(name, style, sentences.latency(us), _units(at, end), max(_units(us, end), 12)))
        at += us
    if not result.ok and result.race_window_us is None and result.upgrade_us is not None:
        steps.append(Step("Race window", "race", "never", _units(at, end), _SCALE - _units(at, end), never=True))
    return steps


def _ticks(result: Result, end: int) -> list[Tick]:
    marks: dict[str, int] = result.events.get("marks", {})
    defects: dict[str, str] = result.events.get("defects", {})
    # Events count from the trigger, which leaves once ready is claimed; the race window's end is the nearest mark kept.
    base = sum(getattr(result, column) or 0 for _, column, _ in STEPS if column != "race_window_us")
    base += result.claimed_us or 0
    arrived = [
        Tick(name, sentences.latency(us), min(_units(base + us, end), _SCALE - 2), defects.get(name, ""))
        for name, us in sorted(marks.items(), key=lambda item: item[1])
    ]
    absent = result.events.get("absent", [])
    return arrived + [Tick(name, "never", None, defects.get(name, "absent")) for name in absent]


def _units(us: int, end: int) -> float:
    return round(_SCALE * us / end, 1)


def _frame(frame: dict[str, Any]) -> dict[str, Any]:
    arrow = {"in": "←", "out": "→"}.get(frame.get("direction", ""), "·")
    return {**frame, "at": sentences.latency(frame.get("at_us", 0)), "arrow": arrow}
