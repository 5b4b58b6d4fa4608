"""Targets with a past: hours are written in bulk, the last of them through the recorder's own door."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter

from django.conf import settings
from django.db import transaction

from probes import condensing, partitions, rollups, rows
from probes.engine.script import Script
from probes.generating import environments, hours
from probes.generating.answers import outcome
from probes.generating.by_strategy import ServedSums
from probes.generating.hours import HOUR, Hour, Values, eventful, load_at, setting_at
from probes.generating.judging import STATUS, Judged
from probes.generating.plan import Plan, Service, chance_of
from probes.generating.storing import append, instant, quickly, settle
from probes.memory import Memory
from probes.models import Flip, Location, Result, Rollup, Target, TargetStatus, Transcript
from probes.recording import record
from probes.results_stream import Entry
from probes.rollups import floor
from probes.schedule import offset_of, slots_between
from probes.tally import COLUMNS as SUMS

LOCATION = "generated"
"""Of generated targets alone: what is counted by location is not mixed with that of real workers."""
HOST = "generated.invalid"
"""The mark: nobody's target has such an address (RFC 2606, section 2), and whatever has it is removed again."""
TAIL = timedelta(minutes=15)
"""At least the last of it is recorded outcome by outcome, so that states and ribbons are what the recorder makes."""
STEP = timedelta(seconds=30)
"""So much of the tail is recorded at once."""
OBJECTIVE_MS, DEADLINE_MS = 800, 5000
RECENT = 60
"""Slots of an hour that a target's state needs to have seen."""
Tell = Callable[[str], None]


class Writer:
    """Writes a plan whose targets are stored. One process, one use."""

    def __init__(self, plan: Plan, seed: int, interval_s: int, targets: dict[str, Target]) -> None:
        self.plan, self._interval_s = plan, interval_s
        self._places = [(service, targets[service.slug]) for service in plan.services]
        self._chances = {each.slug: chance_of(seed, "hours", each.slug) for each in plan.services}
        self._share = settings.TRANSCRIPT_SUCCESS_SHARE
        self._eventful = partial(eventful, plan, seed=seed, interval_s=interval_s, success_share=self._share)
        self._calm = hours.Calm(seed, interval_s, self._share)
        self._judged = {slug: Judged(target, plan.start) for slug, target in targets.items()}
        self._memory = Memory()
        self._served = ServedSums(LOCATION, plan.end)
        self._raw_from = plan.end - timedelta(days=settings.RAW_DAYS)
        self._from = {width: plan.end - timedelta(days=days) for width, days in rollups.kept_days().items()}

    def write(self, tell: Tell) -> int:
        """All of it; returns how many slots were answered. Each hour is one transaction."""
        quickly()
        partitions.ensure_between(max(self.plan.start, self._raw_from), self.plan.end)
        ends = floor(self.plan.end - TAIL, 3600)
        hour, done = self.plan.start, 0
        while hour < ends:
            with transaction.atomic():
                done += self._write_hour(hour, last=hour + HOUR == ends)
            hour += HOUR
            if hour.hour == 0:
                tell(f"until {hour:%Y-%m-%d}: {done:,} slots")
        self._write_states()
        for start, upto in _steps(max(ends, self.plan.start), self.plan.end):
            done += self.record(start, upto)
        self._sum(ends)
        settle()
        return done

    def record(self, start: datetime, upto: datetime) -> int:
        """What each target answers in (start, upto], stored as the recorder stores it; returns how many."""
        entries = [
            Entry(target.pk, LOCATION, slot, outcome(self._chances[service.slug], setting_at(self.plan, service, slot)))
            for service, target in self._places
            for slot in slots_between(start, upto, target.interval, offset_of(target.slug, target.interval))
        ]
        record(entries, now=upto, memory=self._memory)
        return len(entries)

    def _write_hour(self, hour: datetime, *, last: bool) -> int:
        results: list[Values] = []
        sums: list[Values] = []
        transcripts: list[Values] = []
        flips: list[Flip] = []
        done = 0
        raw = hour >= self._raw_from
        for service, target in self._places:
            found = self._hour(service, target, hour)
            judged = self._judged[service.slug]
            # A calm hour of long ago is its sums alone.
            if raw or last or not found.calm or not judged.up:
                slots = _slots(target, hour)
                flips += self._judge(judged, found, slots, last=last)
                if raw:
                    results += self._results(service, target, found, slots)
                    transcripts += [
                        (target.pk, LOCATION, instant(slots[n]), *kept) for n, kept in found.transcripts.items()
                    ]
            sums += self._sums(target, found, hour)
            self._served.add(target.pk, found, hour, self.plan.served(service.place, hour)[0])
            done += len(found.outcomes)
        # As a recorder would have written them, in order of time: where a row lies decides what reading it costs.
        append(Result, (*rows.IDENTITY, *rows.COLUMNS), sorted(results, key=itemgetter(2)))
        append(Rollup, (*rollups.IDENTITY, *SUMS), sorted(sums, key=itemgetter(3)))
        self._served.write(hour + HOUR, last=last)
        append(Transcript, (*rows.IDENTITY, "marks", "frames"), transcripts)
        Flip.objects.bulk_create(flips)
        return done

    def _hour(self, service: Service, target: Target, hour: datetime) -> Hour:
        if self.plan.eventful(service, hour, hour + HOUR):
            return self._eventful(service, _slots(target, hour))
        variant = self._chances[service.slug].randrange(hours.VARIANTS)
        return self._calm.hour(service.profile, load_at(hour), variant)

    def _judge(self, judged: Judged, found: Hour, slots: list[datetime], *, last: bool) -> list[Flip]:
        seen = list(zip(slots, found.outcomes, strict=True))
        if not found.calm:
            return judged.see(seen, LOCATION)
        flips = [] if judged.up else judged.see(seen[:RECENT], LOCATION)
        if last:
            flips += judged.see(seen[-RECENT:], LOCATION)
        elif judged.up:
            judged.forget()
        return flips

    def _results(self, service: Service, target: Target, found: Hour, slots: list[datetime]) -> Iterator[Values]:
        served = self.plan.served(service.place, slots[0])
        for slot, values, one in zip(slots, found.results, found.outcomes, strict=True):
            text, by = instant(slot), served if found.calm else (one.strategy, one.flags_revision)
            yield (target.pk, LOCATION, text, *values, *by, text)

    def _sums(self, target: Target, found: Hour, hour: datetime) -> Iterator[Values]:
        for width, sums in found.rollups.items():
            if hour >= self._from[width]:
                for start, values in sums:
                    yield (target.pk, LOCATION, width, instant(hour + timedelta(seconds=start)), *values)

    def _sum(self, recorded_from: datetime) -> None:
        """What is not written with its hour."""
        ids = [target.pk for _, target in self._places]
        condensing.refill(recorded_from, self.plan.end, ids)
        condensing.refill_one(condensing.BY_WIDTH[Rollup.Width.FOUR_HOURS], self.plan.start, self.plan.end, ids)

    def _write_states(self) -> None:
        with transaction.atomic():
            append(TargetStatus, STATUS, [self._judged[target.slug].row() for _, target in self._places])


def _slots(target: Target, hour: datetime) -> list[datetime]:
    """Those of one hour: of a window that is open where it begins, a slot on the hour would be left out."""
    before = hour - timedelta(microseconds=1)
    return slots_between(before, before + HOUR, target.interval, offset_of(target.slug, target.interval))


def make_targets(plan: Plan, interval_s: int) -> dict[str, Target]:
    """The rows of the plan's services. At no location: no worker may probe an address that does not exist."""
    made = [
        Target(
            slug=service.slug, name=service.name, environment_id=service.place, script=Script().to_json(),
            url=f"wss://{service.slug}.{HOST}/ws", interval_ms=interval_s * 1000, deadline_ms=DEADLINE_MS,
            ready_objective_ms=OBJECTIVE_MS, tags=["generated"], active_since=plan.start, created_at=plan.start,
        )
        for service in plan.services
    ]  # fmt: skip
    Target.objects.bulk_create(made)
    return {target.slug: target for target in Target.objects.filter(slug__in=[each.slug for each in plan.services])}


def make_environments(plan: Plan, seed: int) -> None:
    """The environments that the targets live in, with what real connections met for as long as that is kept; the place
    that they are probed from, where no worker is."""
    Location.objects.create(key=LOCATION, name="Generated")
    environments.make(plan)
    environments.watch(plan, seed, plan.end - timedelta(days=settings.MINUTE_DAYS))


def _steps(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        yield start, min(start + STEP, end)
        start += STEP
