"""What the probe of a generated target finds: outcomes as an engine's would be, by chance alone. Pure."""

import random
from dataclasses import dataclass

from probes.engine.outcome import EventDefect, Events, FailureKind, Frame, Outcome
from probes.engine.script import CRITICAL_EVENTS

SORTS = ("race", "slow", "lost", "network", "refused", "missed")
"""What can ail a target: it fails before ready, answers late, loses events, cannot be reached, refuses the upgrade, or
was not probed at all."""
RARE = 0.0015
"""Share of the probes that fail while all is well."""
SLOWER = 4.2
FLAGGED = 0.002
"""Share of the probes whose latency cannot be trusted."""
ADDRESSES = ("192.0.2.10", "192.0.2.11")
"""Of RFC 5737's block for documentation."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What decides an outcome besides chance."""

    ready_ms: float
    strategy: str = ""
    revision: int | None = None
    sort: str = ""
    """One of `SORTS`; "" while all is well."""
    share: float = RARE
    """Of the probes that fail."""


def outcome(chance: random.Random, setting: Setting) -> Outcome:
    """One probe."""
    if chance.random() >= setting.share:
        slower = SLOWER if setting.sort == "slow" else 1.0
        return _ready(chance, setting, int(setting.ready_ms * 1000 * slower * chance.lognormvariate(0, 0.18)))
    return _FAILURES[setting.sort](chance, setting)


def _marks(chance: random.Random) -> dict[str, int]:
    dns = chance.randint(120, 900)
    tcp = dns + chance.randint(900, 3500)
    tls = tcp + chance.randint(2500, 7000)
    sent = tls + chance.randint(20, 60)
    return {
        "dns_done": dns,
        "tcp_done": tcp,
        "tls_done": tls,
        "request_sent": sent,
        "upgraded": sent + chance.randint(1500, 6000),
    }


def _answered(marks: dict[str, int], ready_us: int) -> dict[str, int]:
    claimed = marks["upgraded"] + int(ready_us * 0.7)
    return {**marks, "claimed": claimed, "trigger_sent": claimed + 40, "ready": marks["upgraded"] + ready_us}


def _ready(chance: random.Random, setting: Setting, ready_us: int) -> Outcome:
    arrivals = {event: int(ready_us * 0.3) + 9000 * (n + 1) for n, event in enumerate(CRITICAL_EVENTS)}
    defects = {CRITICAL_EVENTS[1]: EventDefect.LATE} if chance.random() < 0.002 else {}
    events = Events(CRITICAL_EVENTS, arrivals, defects)
    marks = _answered(_marks(chance), ready_us)
    return _found(chance, setting, marks=marks, events=events, flagged=chance.random() < FLAGGED, frames=_frames(marks))


def _race(chance: random.Random, setting: Setting) -> Outcome:
    """Not ready, or the famous error; now and then only an event is lost."""
    which = chance.random()
    if which < 0.15:
        return _lost(chance, setting)
    if which < 0.7:
        detail = "The connection was accepted; no answer came to our message before the deadline."
        return _never(chance, setting, FailureKind.NOT_READY, detail, {})
    defects = {CRITICAL_EVENTS[0]: EventDefect.LOST}
    detail = "The server said: Need to call accept first."
    return _never(chance, setting, FailureKind.ACCEPT_RACE, detail, defects)


def _never(
    chance: random.Random, setting: Setting, kind: FailureKind, detail: str, defects: dict[str, EventDefect]
) -> Outcome:
    marks = _marks(chance)
    marks |= {"claimed": marks["upgraded"] + 900, "trigger_sent": marks["upgraded"] + 940}
    events = Events(CRITICAL_EVENTS, {}, defects)
    frames = _frames(marks, "Need to call accept first" if kind is FailureKind.ACCEPT_RACE else "")
    return _found(
        chance, setting, kind=kind, phase="ready", detail=detail, marks=marks, events=events, frames=frames
    )  # fmt: skip


def _lost(chance: random.Random, setting: Setting) -> Outcome:
    ready = int(setting.ready_ms * 1000 * chance.lognormvariate(0, 0.18))
    gone = chance.choice(CRITICAL_EVENTS[1:])
    arrivals = {event: 60_000 + 9000 * n for n, event in enumerate(CRITICAL_EVENTS) if event != gone}
    marks = _answered(_marks(chance), ready)
    return _found(
        chance, setting, kind=FailureKind.EVENT_LOST, phase="events", marks=marks, frames=_frames(marks),
        detail=f"{gone} is missing: a gap in the sequence numbers.",
        events=Events(CRITICAL_EVENTS, arrivals, {gone: EventDefect.LOST}),
    )  # fmt: skip


def _network(chance: random.Random, setting: Setting) -> Outcome:
    return _found(
        chance, setting, kind=FailureKind.CONNECT_REFUSED, phase="tcp", detail="The address refused the connection.",
        marks={"dns_done": chance.randint(120, 900)}, events=Events(CRITICAL_EVENTS), close_code=None, closed_by="",
    )  # fmt: skip


def _refused(chance: random.Random, setting: Setting) -> Outcome:
    return _found(
        chance, setting, kind=FailureKind.UPGRADE_REJECTED, phase="upgrade", detail="The server answered HTTP 503.",
        marks=_marks(chance), events=Events(CRITICAL_EVENTS), http_status=503, close_code=None, closed_by="",
    )  # fmt: skip


def _missed(chance: random.Random, setting: Setting) -> Outcome:
    detail = "No outcome arrived in time: the probe was not run, or its worker went away."
    return Outcome(kind=FailureKind.MISSED, detail=detail)


_FAILURES = {
    "": _race,
    "race": _race,
    "slow": _lost,
    "lost": _lost,
    "network": _network,
    "refused": _refused,
    "missed": _missed,
}


def _frames(marks: dict[str, int], error: str = "") -> tuple[Frame, ...]:
    at = marks["upgraded"]
    told = (
        Frame(at + 300, "in", "text", '{"type":"connection_ready","connection_id":"c-81f2","mode":"normal"}'),
        Frame(at + 940, "out", "text", '{"type":"user_message","run_id":"r-5d","text":"readywire probe"}'),
    )
    answer = f'{{"type":"error","message":"{error}"}}' if error else '{"type":"agent_started","run_id":"r-5d","seq":1}'
    return (*told, Frame(marks.get("ready", at + 2200), "in", "text", answer)) if "ready" in marks or error else told


def _found(chance: random.Random, setting: Setting, **fields: object) -> Outcome:
    values = {"close_code": 1000, "closed_by": "us", **fields}
    return Outcome(
        start_delay_us=int(chance.lognormvariate(7.2, 0.6)),
        address=chance.choice(ADDRESSES),
        clock="kernel",
        lag_us=chance.randint(40, 900),
        strategy=setting.strategy,
        flags_revision=setting.revision,
        **values,  # type: ignore[arg-type]  # names of Outcome's fields
    )
