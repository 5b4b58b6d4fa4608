"""Rollups as rows: which minute and hour an outcome counts in, and reading and writing them in bulk."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from django.conf import settings

from probes.bulk import replace
from probes.histogram import Histogram
from probes.memory import Known
from probes.models import Rollup
from probes.results_stream import Entry
from probes.tally import COLUMNS, Key, Tally, findings_of

WIDTHS = (Rollup.Width.MINUTE.value, Rollup.Width.HOUR.value)
"""Seconds of each rollup that an outcome counts in."""
IDENTITY = ("target_id", "location_id", "width", "start")


def kept_days() -> dict[int, int]:
    """Days that rollups of each width are kept."""
    width, minutes, hours = Rollup.Width, settings.MINUTE_DAYS, settings.HOUR_DAYS
    return {
        width.MINUTE.value: minutes,
        width.FIVE_MINUTES.value: minutes,
        width.HOUR.value: hours,
        width.FOUR_HOURS.value: hours,
    }


def count(inserted: Iterable[Entry], replaced: Iterable[Entry], known: Mapping[int, Known]) -> None:
    """Count new rows, and late outcomes that replaced missed ones, in every rollup they touch, and store those.

    The caller holds the targets' status rows, so nobody else writes these.
    """
    counted = [(entry, _keys(entry), False) for entry in inserted] + [(entry, _keys(entry), True) for entry in replaced]
    touched = {key for _, keys, _ in counted for key in keys}
    _remember(touched, known)
    for entry, keys, was_missed in counted:
        findings = findings_of(entry.outcome)
        for key in keys:
            tally = known[entry.target_id].tallies[key]
            if was_missed:
                tally.remove_missed()
            tally.add(findings)
    rows = [(*key, *known[key[0]].tallies[key].values()) for key in touched]
    replace(Rollup, IDENTITY, COLUMNS, rows)


def _keys(entry: Entry) -> list[Key]:
    return [(entry.target_id, entry.location, width, floor(entry.slot, width)) for width in WIDTHS]


def floor(instant: datetime, seconds: int) -> datetime:
    """The start of the minute or hour that an instant lies in, in UTC."""
    return datetime.fromtimestamp(int(instant.timestamp()) // seconds * seconds, UTC)


def _remember(keys: Iterable[Key], known: Mapping[int, Known]) -> None:
    absent = [key for key in keys if key not in known[key[0]].tallies]
    stored = _read(absent)
    for key in absent:
        known[key[0]].tallies[key] = stored.get(key) or Tally()


def _read(keys: Iterable[Key]) -> dict[Key, Tally]:
    wanted: dict[tuple[str, int, datetime], list[int]] = defaultdict(list)
    for target_id, location, width, start in keys:
        wanted[location, width, start].append(target_id)
    found: dict[Key, Tally] = {}
    for (location, width, start), targets in wanted.items():
        rows = Rollup.objects.filter(location_id=location, width=width, start=start, target_id__in=targets)
        for row in rows.values("target_id", *COLUMNS):
            target_id = row.pop("target_id")
            row["histograms"] = {figure: Histogram.from_json(data) for figure, data in row["histograms"].items()}
            found[target_id, location, width, start] = Tally(**row)
    return found
