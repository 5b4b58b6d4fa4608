"""The practice page: the reference services, what each has on, and what each fault would show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from connections.flags.reading import flag_set
from connections.reference.faults import FAULTS, OPEN_AT_ONCE, Fault
from dashboard.models import PracticedFault
from dashboard.practice import rows, words
from dashboard.practice.calls import On
from dashboard.practice.words import Sight
from probes.models import Target, TargetStatus


@dataclass(frozen=True, slots=True)
class Service:
    """One reference service, as it answered."""

    target: Target
    on: Sequence[On] = ()
    problem: str = ""
    """Why it could not be asked; "" where it answered."""
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One fault that is on."""

    target: Target
    fault: str
    title: str
    chosen: str
    by: str
    until: datetime
    left: str


@dataclass(frozen=True, slots=True)
class Note:
    """What every page of a target under practice says."""

    target: Target
    fault: str
    until: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One row of the table of faults."""

    fault: Fault
    sight: Sight
    on: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """What a fault would meet in one place: the strategy that is served, and how the target is now."""

    strategy: str
    state: str
    practised: bool
    """A fault is on already."""
    deadline_s: float
    within_s: float
    """After how long an event is late; 0: at the deadline."""

    @property
    def opens_at_once(self) -> bool:
        """Whether the strategy itself is what fails."""
        return self.strategy in OPEN_AT_ONCE

    @property
    def clean(self) -> bool:
        """Whether a fault would show as itself."""
        return self.state in ("up", "unknown") and not self.practised


def notes(now: datetime, target: Target | None = None) -> list[Note]:
    """The faults that are on, of one target or of all, for the pages that show what they do."""
    found = [row for row in rows.going_on(now) if target is None or row.target_id == target.pk]
    return [Note(row.target, words.named(row.fault), row.until, row.by) for row in found]


def lines(services: Sequence[Service], now: datetime) -> list[Line]:
    """All that the services have on; of one that does not answer, what is remembered."""
    remembered = [row for row in rows.going_on(now) if any(each.problem for each in services)]
    told: list[Line] = []
    for service in services:
        told += [_line(service.target, each, now) for each in service.on]
        if service.problem:
            told += [_remembered(row, now) for row in remembered if row.target_id == service.target.pk]
    return told


def offers(service: Service, setting: Setting) -> list[Offer]:
    """Every fault, with what would be seen of it here."""
    on = {each.fault for each in service.on}
    return [
        Offer(fault, words.sight(fault, words.defaults(fault), setting.strategy), fault.name in on)
        for fault in FAULTS.values()
    ]


def setting(target: Target) -> Setting:
    """What a fault would meet now."""
    served: Mapping[str, object] = flag_set(target.environment_id).served.get("readiness-strategy", {})
    status = TargetStatus.objects.filter(target=target).values_list("state", flat=True).first()
    return Setting(
        strategy=str(served.get("defaultVariant", "")),
        state="paused" if target.paused else status or "unknown",
        practised=bool(notes(timezone.now(), target)),
        deadline_s=target.deadline_ms / 1000,
        within_s=float(target.script.get("events_within_s") or 0),
    )


def _line(target: Target, on: On, now: datetime) -> Line:
    until = now + timedelta(seconds=on.remaining_s)
    title, chosen = FAULTS[on.fault].title, words.chosen(on.fault, on.parameters)
    return Line(target, on.fault, title, chosen, on.by or rows.BY_HAND, until, words.time_left(on.remaining_s))


def _remembered(row: PracticedFault, now: datetime) -> Line:
    left = (row.until - now).total_seconds()
    title = FAULTS[row.fault].title if row.fault in FAULTS else row.fault
    return Line(
        row.target, row.fault, title, words.chosen(row.fault, row.parameters), row.by, row.until, words.time_left(left)
    )
