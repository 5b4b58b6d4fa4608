"""The expected events over time: one row each, a cell shows the worst that happened to it."""

from collections import Counter
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from dashboard import sentences
from dashboard.charts.figures import EMPTY, Chart, Figure, Table, columns, layout, local, size_words
from dashboard.charts.series import Bucket, Window, coarser
from dashboard.shares import at_most, proves

MOST_COLUMNS = 60
_DEFECTS = (
    # (count, glyph, level, words), the worst first.
    ("never_emitted", "∅", 3, "never sent"),
    ("lost", "✕", 3, "lost"),
    ("duplicated", "2", 2, "twice"),
    ("reordered", "⇄", 2, "reordered"),
    ("late", "L", 2, "late"),
)
_COUNTS = ("expected", "delivered", "late", "reordered", "duplicated", "lost", "never_emitted")
_HEADS = ("Event", "Expected", "Delivered", "Late", "Reordered", "Twice", "Lost", "Never sent")
_COLOURS = [
    [0, "--h1"],
    [1 / 3, "--h1"],
    [1 / 3, "--degraded"],
    [2 / 3, "--degraded"],
    [2 / 3, "--down"],
    [1, "--down"],
]
Cell = tuple[int | None, str, str]
"""Level (1 delivered, 2 defective, 3 absent, None no probe), glyph, words."""


def five_events(window: Window, zone: ZoneInfo) -> Chart:
    """The delivery matrix."""
    buckets, size = coarser(window, MOST_COLUMNS)
    at = {bucket.start: bucket for bucket in buckets}
    starts = columns(window, size)
    names = list(window.events) or sorted({event for bucket in buckets for event in bucket.events})
    cells = [[_cell(at.get(start), name) for start in starts] for name in names]
    total = window.total
    yaxis = {"autorange": "reversed", "showgrid": False, "tickfont": {"color": "--text3", "size": 10}}
    rows = [[name, *(sentences.count(total.events.get(name, Counter())[key]) for key in _COUNTS)] for name in names]
    return Chart(
        "events",
        "Five events" if len(names) == 5 else "Events",
        f"by {size_words(size)} · L late · ⇄ reordered · 2 twice · ✕ lost · ∅ never sent",
        _lede(names, total),
        200,
        {
            "data": [_heat(names, cells, [local(start + size / 2, zone) for start in starts])],
            "layout": layout(window, zone, yaxis, hovermode="closest"),
        },
        Table(_HEADS, lambda: rows),
        step=size.total_seconds(),
    )


def _heat(names: Sequence[str], cells: Sequence[Sequence[Cell]], xs: list[str]) -> Figure:
    return {
        "type": "heatmap",
        "x": xs,
        "y": [name.replace("_", "_<br>", 1) for name in names],
        "z": [[level for level, _, _ in row] for row in cells],
        "text": [[glyph for _, glyph, _ in row] for row in cells],
        "customdata": [[f"{name}: {words}" for _, _, words in row] for name, row in zip(names, cells, strict=True)],
        "texttemplate": "%{text}",
        "textfont": {"size": 11},
        "hovertemplate": "%{customdata}, %{x|%H:%M:%S}<extra></extra>",
        "hoverongaps": False,
        "colorscale": _COLOURS,
        "zmin": 0.5,
        "zmax": 3.5,
        "xgap": 1,
        "ygap": 2,
        "showscale": False,
    }


def _cell(bucket: Bucket | None, event: str) -> Cell:
    counts = bucket.events.get(event) if bucket else None
    if not counts or not counts["expected"]:
        return None, "", "no probe"
    expected = counts["expected"]
    for key, glyph, level, words in _DEFECTS:
        if counts[key]:
            return level, glyph, f"{counts[key]} of {expected} {words}"
    absent = expected - counts["delivered"]
    if absent > 0:
        return 3, "", f"{absent} of {expected} did not come"
    return 1, "", f"{expected} of {expected} delivered"


def _lede(names: Sequence[str], total: Bucket) -> str:
    if not sum(total.events.get(name, Counter())["expected"] for name in names):
        return EMPTY
    first = next((name for name in names if _absent(total, name)), "")
    if first:
        missing, expected = _absent(total, first), total.events[first]["expected"]
        told = f"{missing} of {expected} probes did not get it{proves(missing, expected)}"
        return f"{first} is the first to go missing: {told}."
    defects = sum(total.events[name][key] for name in names if name in total.events for key, _, _, _ in _DEFECTS)
    fewest = min(count for name in names if (count := total.events[name]["expected"]))
    order = "not always once and in order" if defects else "once and in order"
    bound = f", so {few} of probes miss one" if (few := at_most(fewest)) else ""
    return f"Every event arrived, {order}{bound}."


def _absent(total: Bucket, event: str) -> int:
    counts = total.events.get(event, Counter())
    return counts["expected"] - counts["delivered"]
