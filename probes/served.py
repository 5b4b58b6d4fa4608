"""Rollups by what served a probe: five minutes, an hour and a day of a target at a location, by strategy.

Apart from `rollups.py`, because they are read otherwise: all targets of an environment over a month at once. So their
rows are small, and their histograms are added as numbers (probes/packed.py). Nothing fills them for the time before
they were there. A probe that never heard what served it counts under "".
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from probes.bulk import replace
from probes.memory import Known
from probes.models import ServedRollup
from probes.results_stream import Entry
from probes.rollups import floor
from probes.served_tally import COLUMNS, Key, ServedTally, served_by

WIDTHS = tuple(width.value for width in ServedRollup.Width)
_IDENTITY = ("target_id", "location_id", "width", "start", "strategy")


def count(written: Iterable[Entry], known: Mapping[int, Known]) -> None:
    """Count new rows, and late outcomes that replaced missed ones, by what served them; a missed slot counts nowhere.

    The caller holds the targets' status rows, so nobody else writes these.
    """
    starts: dict[int, list[datetime]] = {}
    counted = ((entry, served_by(entry.outcome)) for entry in written)
    keyed = [(_keys(entry, starts), served) for entry, served in counted if served is not None]
    touched = {key for keys, _ in keyed for key in keys}
    _remember(touched, known)
    for keys, served in keyed:
        for key in keys:
            known[key[0]].served[key].add(served)
    replace(ServedRollup, _IDENTITY, COLUMNS, [(*key, *known[key[0]].served[key].values()) for key in touched])


def _keys(entry: Entry, starts: dict[int, list[datetime]]) -> list[Key]:
    """`starts`: those of earlier entries, because nearly all of a flush lie in the same five minutes."""
    finest = int(entry.slot.timestamp()) // WIDTHS[0]
    begun = starts.get(finest)
    if begun is None:
        begun = starts[finest] = [floor(entry.slot, width) for width in WIDTHS]
    target_id, location, strategy = entry.target_id, entry.location, entry.outcome.strategy[:40]
    return [(target_id, location, width, start, strategy) for width, start in zip(WIDTHS, begun, strict=True)]


def _remember(keys: Iterable[Key], known: Mapping[int, Known]) -> None:
    absent = [key for key in keys if key not in known[key[0]].served]
    stored = _read(absent)
    for key in absent:
        known[key[0]].served[key] = stored.get(key) or ServedTally()


def _read(keys: Iterable[Key]) -> dict[Key, ServedTally]:
    wanted: dict[tuple[str, int, datetime], set[int]] = defaultdict(set)
    for target_id, location, width, start, _ in keys:
        wanted[location, width, start].add(target_id)
    found: dict[Key, ServedTally] = {}
    for (location, width, start), targets in wanted.items():
        rows = ServedRollup.objects.filter(location_id=location, width=width, start=start, target_id__in=targets)
        for target_id, strategy, *values in rows.values_list("target_id", "strategy", *COLUMNS):
            found[target_id, location, width, start, strategy] = ServedTally.of(tuple(values))
    return found
