"""What the page of a flag tells of its guard: what it may do, what it has counted, what it says, and its trips."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from connections.flags import guard_verdicts, guards
from connections.flags.guard import LEAST_OUTCOMES, Count, Figure, GuardTest, Verdict, wilson
from connections.models import Environment, Guard, GuardTrip, Ramp
from dashboard.sentences import bounds_text, count, plural, share

TRIPS_SHOWN = 5
_FIGURES = {Figure.FAILED: "failed", Figure.UNDELIVERED: "lost events", Figure.SLOW: "slower than the objective"}
_BADGES = {"hold": ("quiet", "holds"), "pass": ("up", "passes"), "trip": ("down", "tripped"), "none": ("quiet", "off")}
_DID = {
    GuardTrip.Did.OBSERVED: "It only observes: nothing was changed.",
    GuardTrip.Did.PROPOSED: "It proposes to go back to {control}.",
    GuardTrip.Did.ACTED: "It went back to {control}, revision {revision}.",
}


@dataclass(frozen=True)
class FigureRow:
    """One figure beside its control: shares in words, with bounds where there are any."""

    name: str
    canary: str
    control: str


@dataclass(frozen=True)
class TripRow:
    """One trip: when, what the guard did, why it did less, on what evidence."""

    at: datetime
    sentence: str
    did: str
    why: str
    rearmed: str
    figures: tuple[FigureRow, ...]
    probes: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Panel:
    """A flag's guard as a page shows it."""

    guardable: bool
    mode: str
    effective: str
    """As far as the environment's policy lets it go."""
    objective: str
    tone: str
    badge: str
    sentence: str
    variant: str
    control: str
    figures: tuple[FigureRow, ...]
    trips: tuple[TripRow, ...]
    locked: bool
    proposes: bool
    """A person may trip the breaker that it proposes."""


def panel(environment_key: str, flag: str, *, now: datetime | None = None) -> Panel:
    """Everything of one guard; one that does not exist is off."""
    now = now or timezone.now()
    guard = Guard.objects.filter(environment_id=environment_key, flag_key=flag).first()
    ramp = guard_verdicts.standing_ramp(environment_key, flag)
    stage = Environment.objects.get(key=environment_key)
    counted = guard is not None and ramp is not None and guard.ramp_id == ramp.pk and bool(guard.test)
    test = GuardTest.read(guard.test) if guard is not None and counted else None
    trips = list(guard.trips.all()[:TRIPS_SHOWN]) if guard is not None else []
    verdict = guard_verdicts.verdict(environment_key, flag, now=now)
    tone, badge = _BADGES[verdict]
    locked = guard is not None and guard.state == Guard.State.TRIPPED
    return Panel(
        guardable=flag == guards.STAMPED,
        mode=guard.mode if guard else Guard.Mode.OFF,
        effective=guards.effective_mode(guard, stage) if guard else Guard.Mode.OFF,
        objective=f"{100 * guard.objective:g}" if guard else "99",
        tone=tone,
        badge=badge,
        sentence=_sentence(guard, ramp, test, verdict),
        variant=ramp.variant if ramp else "",
        control=ramp.control if ramp else "",
        figures=_figures(test) if test is not None else (),
        trips=tuple(_trip(one) for one in trips),
        locked=locked,
        proposes=locked and ramp is not None and trips[0].revision is None,
    )


def _sentence(guard: Guard | None, ramp: Ramp | None, test: GuardTest | None, verdict: str) -> str:
    if guard is None or guard.mode == Guard.Mode.OFF:
        return "Nobody guards this flag: a step that needs a pass waits for ever."
    if guard.state == Guard.State.TRIPPED:
        return "Tripped, and locked: it counts again when a person re-arms it."
    if guard.state == Guard.State.COOLING:
        return "It cools down after its trip, and counts again afterwards."
    if ramp is None:
        return "No ramp stands over the flag: there is nothing to compare."
    if test is None:
        return f"No probe yet since the ramp to {ramp.variant} began, or since a person decided about it."
    return _counted(ramp, test, verdict)


def _counted(ramp: Ramp, test: GuardTest, verdict: str) -> str:
    total = test.figures[Figure.FAILED].total
    if test.too_few:
        seen = f"{plural(total.canary, 'probe')} of {ramp.variant} and {total.control} of {ramp.control}"
        return f"Too few to say anything: {seen}; {LEAST_OUTCOMES} of each are needed."
    told = f"{share(total.canary_bad, total.canary)} of {ramp.variant} failed,"
    beside = f"{share(total.control_bad, total.control)} of {ramp.control} beside it."
    if verdict == Verdict.PASS:
        return f"Not worse: {told} {beside}"
    if not test.clean_needed:
        return f"No probe lately: it holds. {told[0].upper()}{told[1:]} {beside}"
    return f"Not proven yet: {told} {beside} {plural(test.clean_needed, 'clean comparison')} more for a pass."


def _figures(test: GuardTest) -> tuple[FigureRow, ...]:
    return tuple(_row(figure, test.figures[figure].total) for figure in Figure)


def _row(figure: Figure, total: Count) -> FigureRow:
    canary, control = _told(total.canary_bad, total.canary), _told(total.control_bad, total.control)
    return FigureRow(_FIGURES[figure], canary, control)


def _told(bad: int, probes: int) -> str:
    if not probes:
        return "–"
    return f"{count(bad)} of {count(probes)} ({bounds_text(*wilson(bad, probes))})"


def _trip(trip: GuardTrip) -> TripRow:
    figures = []
    for name, told in trip.evidence["figures"].items():
        sides = [_told(told[side]["bad"], told[side]["probes"]) for side in ("canary", "control")]
        figures.append(FigureRow(_FIGURES[Figure(name)], *sides))
    did = _DID[GuardTrip.Did(trip.did)].format(control=trip.control, revision=trip.revision)
    by_hand = f" {trip.carried_out_by} did so, revision {trip.revision}." if trip.carried_out_by else ""
    rearmed = f"Re-armed by {trip.rearmed_by}: {trip.rearmed_reason}" if trip.rearmed_at else ""
    return TripRow(
        at=trip.at,
        sentence=guards.reason_of(trip.variant, trip.control, trip.evidence),
        did=did + by_hand,
        why=trip.why,
        rearmed=rearmed,
        figures=tuple(figures),
        probes=tuple(trip.evidence["probes"]),
    )
