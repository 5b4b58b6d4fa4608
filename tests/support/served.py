"""An independent recount of the rollups by strategy, from the rows."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from probes import packed
from probes.histogram import bucket_of
from probes.models import Result, ServedRollup


def recounted() -> dict[tuple[Any, ...], dict[str, Any]]:
    """What every row should be, counted from the results by other code than the product's."""
    groups: dict[tuple[Any, ...], list[Result]] = defaultdict(list)
    for row in Result.objects.exclude(kind__in=("missed", "probe_error", "policy_denied")):
        for width in (300, 3600, 86_400):
            start = datetime.fromtimestamp(row.slot.timestamp() // width * width, UTC)
            groups[row.target_id, row.location_id, width, start, row.strategy].append(row)
    return {key: _added(rows) for key, rows in groups.items()}


def _added(rows: list[Result]) -> dict[str, Any]:
    late = [sum(defect == "late" for defect in row.events["defects"].values()) for row in rows]
    came = [len(row.events["marks"]) - n for row, n in zip(rows, late, strict=True)]
    windows = [row.race_window_us for row in rows if row.race_window_us is not None and not row.flagged]
    return {
        "probes": len(rows),
        "failed": sum(not row.ok for row in rows),
        "false_ready": sum(bool({row.kind, *row.also} & {"accept_race", "false_ready"}) for row in rows),
        "flagged": sum(row.flagged for row in rows),
        "asked": sum(row.events["expected"] > 0 for row in rows),
        "incomplete": sum(row.events["expected"] > n for row, n in zip(rows, came, strict=True)),
        "expected": sum(row.events["expected"] for row in rows),
        "delivered": sum(came),
        "never": sum(not row.ok and row.race_window_us is None for row in rows),
        "race_window": sum(packed.one_in(bucket_of(us)) for us in windows),
    }


def stored() -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows as they are, in the shape of `recounted`."""
    found = {}
    for row in ServedRollup.objects.all():
        numbers = {name: getattr(row, name) for name in _added([])}
        numbers["race_window"] = packed.from_bytes(numbers["race_window"])
        found[row.target_id, row.location_id, row.width, row.start, row.strategy] = numbers
    return found
