"""Our own probes: how each location fares now, its workers, and its figures over a window."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Count, Min, Q

from dashboard import fleet_words, sentences
from dashboard.story import Story
from probes.fleet.condition import HEARD_WITHIN, OFFSET_NOTED_US, Condition, Machinery, Minute, Place, Worker, judge
from probes.fleet.heartbeats import Ear, Heard
from probes.models import Location, LocationRollup, Watermark

PROCESSES_STALE = timedelta(seconds=20)
"""The supervisor writes every 5 s; a file older than this tells nothing about now."""
NEVER = (None, None)
LOOK_BACK = timedelta(hours=1)
"""How far back the beginning of lateness is looked for."""


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """One location now: words, ready to be put in place."""

    key: str
    name: str
    state: str
    shape: str
    word: str
    since: str
    """ISO 8601; "" while it is well."""
    cause: str
    targets: str
    alive: str
    queued: str
    lag: str
    offset: str
    offset_noted: bool


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker's last heartbeat in words."""

    name: str
    place: str
    shape: str
    word: str
    heard: str
    in_flight: str
    waiting: str
    dropped: str
    lag: str
    offset: str
    offset_noted: bool


@dataclass(frozen=True, slots=True)
class Fleet:
    """How all locations are at one instant."""

    at: datetime
    conditions: Sequence[Condition]
    machinery: Machinery
    heard: Heard | None
    targets: Mapping[str, int]
    """{location: targets probed from there}."""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(settings.TIME_ZONE)

    @property
    def banner(self) -> str:
        """What every page says while probes are ill."""
        return fleet_words.banner(self.conditions, self.zone, self.at)

    @property
    def story(self) -> Story:
        return fleet_words.story(self.conditions, self.zone, self.at)

    @property
    def places(self) -> list[PlaceRow]:
        return [self._place(one) for one in self.conditions]

    @property
    def workers(self) -> list[WorkerRow]:
        """By location, those that live first."""
        found = [worker for one in self.conditions for worker in one.place.workers]
        return [self._worker(worker) for worker in sorted(found, key=lambda worker: not worker.alive(self.at))]

    def _place(self, one: Condition) -> PlaceRow:
        living = [worker for worker in one.place.workers if worker.alive(self.at)]
        offset = max((worker.clock_offset_us for worker in living), key=abs, default=None)
        unheard = self.heard is None
        return PlaceRow(
            key=one.place.key,
            name=one.place.name,
            state=one.state.value,
            shape=fleet_words.SHAPES[one.state],
            word=fleet_words.WORDS[one.state],
            since=one.since.isoformat() if one.since else "",
            cause=fleet_words.cause(one, self.zone, self.at),
            targets=sentences.plural(self.targets.get(one.place.key, 0), "target"),
            alive=sentences.NO_FIGURE if unheard else str(len(living)),
            queued=sentences.NO_FIGURE if unheard else sentences.count(one.place.queued),
            lag=sentences.latency(max((worker.lag_us for worker in living), default=None)),
            offset=fleet_words.offset(offset),
            offset_noted=abs(offset or 0) >= OFFSET_NOTED_US,
        )

    def _worker(self, worker: Worker) -> WorkerRow:
        alive = worker.alive(self.at)
        return WorkerRow(
            name=worker.name,
            place=worker.location,
            shape="up" if alive else "stale",
            word="Alive" if alive else "Gone",
            heard=fleet_words.heard(worker.heard, self.at),
            in_flight=sentences.count(worker.in_flight) if alive else sentences.NO_FIGURE,
            waiting=sentences.count(worker.waiting) if alive else sentences.NO_FIGURE,
            dropped=sentences.count(worker.dropped),
            lag=sentences.latency(worker.lag_us if alive else None),
            offset=fleet_words.offset(worker.clock_offset_us if alive else None),
            offset_noted=alive and abs(worker.clock_offset_us) >= OFFSET_NOTED_US,
        )


def read(now: datetime, data_dir: Path | None = None) -> Fleet:
    """Four queries and one round trip to Redis, however many targets there are. `data_dir`: where the supervisor of
    this machine tells of its processes; None: DATA_DIR."""
    watched = Q(targets__paused_by="")
    locations = Location.objects.annotate(
        interval=Min("targets__interval_ms", filter=watched),
        expected=Min("targets__active_since", filter=watched),
        watched=Count("targets", filter=watched),
    ).order_by("name")
    rows = list(locations)
    heard = _ear(settings.REDIS_URL).hear(row.queue for row in rows)
    newest, minutes = _newest(), _minutes(now)
    by_location: dict[str, list[Worker]] = defaultdict(list)
    for worker in heard.workers if heard else ():
        by_location[worker.location].append(worker)
    places = [
        Place(
            key=row.key,
            name=row.name,
            interval=timedelta(milliseconds=row.interval) if row.interval else None,
            expected_since=row.expected,
            answered=newest.get(row.key, NEVER)[0],
            ill_at=newest.get(row.key, NEVER)[1],
            workers=by_location[row.key],
            queued=heard.queued[row.queue] if heard else 0,
            minutes=minutes[row.key],
        )
        for row in rows
    ]
    machinery = _machinery(heard, data_dir or settings.DATA_DIR, now)
    return Fleet(now, judge(places, machinery, now), machinery, heard, {row.key: row.watched for row in rows})


def _newest() -> dict[str, tuple[datetime | None, datetime | None]]:
    ever = LocationRollup.objects.filter(width=LocationRollup.Width.EVER)
    return {key: (answered, ill) for key, answered, ill in ever.values_list("location_id", "answered_at", "ill_at")}


def _minutes(now: datetime) -> dict[str, list[Minute]]:
    rows = LocationRollup.objects.filter(width=LocationRollup.Width.MINUTE, start__gt=now - LOOK_BACK).order_by("start")
    found: dict[str, list[Minute]] = defaultdict(list)
    for key, start, on_time, late, missed in rows.values_list("location_id", "start", "on_time", "late", "missed"):
        found[key].append(Minute(start, on_time + late + missed, late + missed))
    return found


def _machinery(heard: Heard | None, data_dir: Path, now: datetime) -> Machinery:
    marks = dict(Watermark.objects.values_list("name", "at"))
    deaths = {each["name"]: each["why"] for each in troubled_processes(data_dir, now)}
    return Machinery(heard is not None, marks.get("tick"), marks.get("sweep"), deaths)


@lru_cache(maxsize=4)
def _ear(url: str) -> Ear:
    return Ear(url)


def troubled_processes(data_dir: Path, now: datetime) -> list[dict[str, Any]]:
    """The supervisor's children that are not running: name, state, since, why. Empty where nobody supervises."""
    try:
        told = json.loads((data_dir / "processes.json").read_text())
        if now - datetime.fromisoformat(told["at"]) > PROCESSES_STALE:
            return []
        return [
            {"name": each["name"], "state": each["state"], "since": each["since"], "why": each.get("why", "")}
            for each in told["processes"]
            if each["state"] != "running"
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def exceeded_workers(workers: Sequence[Worker], now: datetime) -> list[dict[str, Any]]:
    """Those that left slots out within the last minute: name, state, since, why."""
    return [
        {
            "name": f"worker {worker.name}",
            "state": "over capacity",
            "since": worker.exceeded_since.isoformat(),
            "why": f"{worker.exceeded} slots were not probed and count as missed; start another worker",
        }
        for worker in workers
        if worker.exceeded and worker.exceeded_since and now - worker.heard < HEARD_WITHIN
    ]
