"""How our own probes fare, in words, pure: the one banner of every page, the fleet's sentence, clocks and lags."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dashboard import sentences
from dashboard.sentences import Part
from dashboard.story import Story, Tone
from probes.fleet.condition import REDIS_AWAY, Condition, State

WORDS: Mapping[State, str] = {
    State.ON_TIME: "On time",
    State.LATE: "Late",
    State.SILENT: "Silent",
    State.IDLE: "Nothing to probe",
}
SHAPES: Mapping[State, str] = {
    State.ON_TIME: "up",
    State.LATE: "degraded",
    State.SILENT: "stale",
    State.IDLE: "unknown",
}
"""The shapes of targets' states that mean the same; "stale" is drawn for what nobody hears."""
_TONES: Mapping[State, Tone] = {State.SILENT: "stale", State.LATE: "degraded"}


def banner(conditions: Sequence[Condition], zone: ZoneInfo, now: datetime) -> str:
    """What every page says while probes are ill; "" while they are well. One sentence about the worst, one of what it
    means for the targets."""
    told = _told(conditions)
    if not told:
        return ""
    worst = told[0]
    since = min(one.since for one in told if one.since)
    others = [one.place.name for one in conditions if one.ill and one not in told]
    also = f" Also ill: {_and(others)}." if others else ""
    at = sentences.clock(since, zone, now)
    return (
        f"The probes {_where(told)} have been late since {at}: {cause(worst, zone, now)}. {_effect(conditions)}{also}"
    )


def cause(condition: Condition, zone: ZoneInfo, now: datetime) -> str:
    """Why it is ill, as a clause; "" where it is not."""
    at = condition.cause_at
    return condition.cause.replace("{at}", sentences.clock(at, zone, now, seconds=True)) if at else condition.cause


def _told(conditions: Sequence[Condition]) -> list[Condition]:
    """The ill ones that share the cause of the worst."""
    ill = [one for one in conditions if one.ill]
    return [one for one in ill if (one.state, one.cause) == (ill[0].state, ill[0].cause)]


def _where(told: Sequence[Condition]) -> str:
    """ "in Virginia", "in Virginia and Ohio", "on this machine"."""
    names = [one.place.name for one in told]
    if all(name.lower().startswith("this ") for name in names):
        return "on " + _and([name[0].lower() + name[1:] for name in names])
    return "in " + _and(names)


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _effect(conditions: Sequence[Condition]) -> str:
    used = [one for one in conditions if one.state is not State.IDLE]
    silent = [one for one in used if one.state is State.SILENT]
    if silent and silent[0].cause == REDIS_AWAY:
        return "Targets show as stale. Rollback still works."
    if not silent:
        return "Missed slots count against no target."
    return "Targets show as stale." if silent == used else "Targets probed only from there show as stale."


def story(conditions: Sequence[Condition], zone: ZoneInfo, now: datetime) -> Story:
    """The fleet page's sentence."""
    used = [one for one in conditions if one.state is not State.IDLE]
    if not used:
        return Story("quiet", (Part("No target is probed from anywhere yet."),))
    told = _told(conditions)
    if told:
        return Story(_TONES[told[0].state], (Part(banner(conditions, zone, now)),))
    words = "The only location is on time." if len(used) == 1 else f"All {len(used)} locations are on time."
    return Story("up", (Part(words),))


def offset(us: int | None) -> str:
    """A clock's offset: "0.2 ms ahead", "3.2 s behind"; a dash where nobody tells."""
    if us is None:
        return sentences.NO_FIGURE
    if abs(us) < 50:
        return f"0{sentences.NBSP}ms"
    return f"{sentences.latency(abs(us))} {'ahead' if us > 0 else 'behind'}"


def heard(at: datetime, now: datetime) -> str:
    """How long ago a heartbeat came: "now", "40 s ago"."""
    ago = now - at
    return "now" if ago < timedelta(seconds=3) else f"{sentences.span(ago)} ago"
