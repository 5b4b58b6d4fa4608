"""`/fleet/`: who holds which revision, what all locations depend on, and each location's figures over a window."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.template.loader import render_to_string

from connections.flags.reading import Holder, holders
from connections.models import Environment
from dashboard import sentences
from dashboard.charts.figures import Chart
from dashboard.charts.series import Bucket, Range, Window
from dashboard.charts.timings import start_delay
from dashboard.queries.fleet import Fleet
from dashboard.queries_flags import FORGOTTEN_AFTER
from probes.fleet.condition import DISPATCH_OVERDUE, HEARD_WITHIN, RECORDER_OVERDUE
from probes.fleet.counting import Counted, counted_of
from probes.models import LocationRollup
from probes.rollups import floor

RANGES = (
    Range("1h", "1 h", timedelta(hours=1), timedelta(minutes=1), 60),
    Range("6h", "6 h", timedelta(hours=6), timedelta(minutes=5), 300),
    Range("24h", "24 h", timedelta(hours=24), timedelta(minutes=15), 900),
    Range("7d", "7 d", timedelta(days=7), timedelta(hours=1), 3600),
    Range("30d", "30 d", timedelta(days=30), timedelta(hours=6), 21_600),
)
BY_KEY = {each.key: each for each in RANGES}
_SERVERS = ("silent", "behind", "held")


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One watched server, of whichever environment."""

    key: str
    environment: str
    production: bool
    name: str
    library: str
    held: str
    since: str
    """ISO 8601: since when it holds that."""
    shape: str
    word: str


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One location's slots over the window, in words."""

    on_time: str
    slots: str
    late: str
    missed: str
    errors: str
    p50: str
    p99: str
    flagged: str


def servers(now: datetime) -> list[ServerRow]:
    """Those that reported within the last hour, the silent and those behind first. Three queries an environment."""
    found = [
        (stage, one)
        for stage in Environment.objects.all()
        for one in holders(stage.key, now=now)
        if now - one.reported_at < FORGOTTEN_AFTER
    ]
    return [_server(stage, one) for stage, one in sorted(found, key=lambda item: _SERVERS.index(_state(item[1])))]


def _state(one: Holder) -> str:
    return "silent" if one.silent else "behind" if one.behind else "held"


def _server(stage: Environment, one: Holder) -> ServerRow:
    shape, word = {
        "silent": ("stale", "Silent"),
        "behind": ("degraded", f"Behind r{stage.revision}"),
        "held": ("up", "Holds it"),
    }[_state(one)]
    return ServerRow(
        key=f"{stage.key}/{one.instance}",
        environment=stage.name,
        production=stage.is_production,
        name=one.instance,
        library=one.library_version or sentences.NO_FIGURE,
        held=f"r{one.held_revision}",
        since=one.held_since.isoformat(),
        shape=shape,
        word=word,
    )


def live(found: Fleet) -> dict[str, Any]:
    """What the page replaces while it is open: its sentence, and its rows by table and key."""
    return {
        "story": render_to_string("fleet/story.html", {"story": found.story}),
        "rows": {
            "places": {row.key: asdict(row) for row in found.places},
            "workers": {row.name: asdict(row) for row in found.workers},
            "servers": {row.key: asdict(row) for row in servers(found.at)},
            "needs": {name: {"word": word, "shape": shape} for name, _, word, shape in needs(found)},
        },
    }


def needs(found: Fleet) -> list[tuple[str, str, str, str]]:
    """What all locations depend on: (key, name, how it is, shape)."""
    machinery, heard, now = found.machinery, found.heard, found.at
    dispatched, recorded = machinery.dispatched_until, machinery.recorded_until
    tick_late = dispatched is None or now - dispatched > DISPATCH_OVERDUE
    recorder_late = recorded is None or now - recorded > RECORDER_OVERDUE
    writes = heard is not None and heard.recorder is not None and now - heard.recorder < HEARD_WITHIN
    behind = f"{sentences.span(now - recorded)} behind, catching up" if recorded and writes else _stopped(recorded, now)
    unstored = sentences.NO_FIGURE if heard is None else sentences.count(heard.unrecorded)
    return [
        ("redis", "Redis", *(("answers", "up") if machinery.redis else ("does not answer", "stale"))),
        ("tick", "Slots handed out", *((_stopped(dispatched, now), "stale") if tick_late else ("on time", "up"))),
        ("recorder", "Recorder", *((behind, "stale") if recorder_late else ("up to date", "up"))),
        ("unstored", "Outcomes not stored yet", unstored, ""),
    ]


def _stopped(at: datetime | None, now: datetime) -> str:
    clock = at and sentences.clock(at, ZoneInfo(settings.TIME_ZONE), now, seconds=True)
    return f"stopped at {clock}" if clock else "not seen yet"


Windows = Mapping[str, Sequence[tuple[datetime, Counted]]]
"""{location: its buckets, oldest first}."""


def windows(range_: Range, now: datetime) -> Windows:
    """Every location's counts over a range that ends now. One query."""
    start = floor(now - range_.length, int(range_.bucket.total_seconds()))
    rows = LocationRollup.objects.filter(width=range_.width or 60, start__gte=start, start__lte=now).order_by("start")
    found: dict[str, list[tuple[datetime, Counted]]] = defaultdict(list)
    for row in rows.values():
        found[row["location_id"]].append((row["start"], counted_of(row)))
    return found


def figures(buckets: Sequence[tuple[datetime, Counted]]) -> FigureRow:
    """A location's figures over the whole window."""
    total = Counted()
    for _, each in buckets:
        total.merge(each)
    measured = total.probed
    return FigureRow(
        on_time=sentences.percent(total.on_time, total.slots, decimals=1),
        slots=sentences.count(total.slots),
        late=sentences.count(total.late),
        missed=sentences.count(total.missed),
        errors=sentences.count(total.errors),
        p50=sentences.latency(total.start_delay.percentile(0.5)),
        p99=sentences.latency(total.start_delay.percentile(0.99)),
        flagged=sentences.percent(total.flagged, measured, decimals=1),
    )


def chart(
    name: str, buckets: Sequence[tuple[datetime, Counted]], range_: Range, now: datetime, late_since: datetime | None
) -> Chart:
    """How late a location's probes began, and what it missed. `late_since`: from when on it is tinted."""
    start = floor(now - range_.length, int(range_.bucket.total_seconds()))
    drawn = [
        Bucket(at, probes=each.probed, ours=each.missed + each.errors, histograms={"start_delay": each.start_delay})
        for at, each in buckets
    ]
    shown = Window(start, now, range_.bucket, drawn, failing_since=late_since, width=range_.width)
    made = start_delay(shown, ZoneInfo(settings.TIME_ZONE))
    for shape in made.figure["layout"]["shapes"]:
        if shape["type"] == "rect":
            shape["fillcolor"] = "--quiet@12"  # ours: the colour of a target's fault would say another thing
    hint = f"{name}: how late probes began after their slot, and slots without one"
    return replace(made, title="Start delay", hint=hint)
