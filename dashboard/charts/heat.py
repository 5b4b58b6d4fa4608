"""Where the time lies: a heatmap of the race window. Time across, latency up, "never" on top."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from dashboard import sentences
from dashboard.charts.figures import (
    EMPTY,
    Chart,
    Figure,
    LatencyScale,
    Rows,
    Table,
    columns,
    layout,
    local,
    size_words,
    table_time,
)
from dashboard.charts.series import Bucket, Window, coarser
from probes.histogram import ends_of

MOST_COLUMNS = 180
ROWS = 18
_COLOURS = [[0, "--h1"], [0.25, "--h2"], [0.5, "--h3"], [0.75, "--h4"], [1, "--h5"]]


def where_time_lies(window: Window, zone: ZoneInfo) -> Chart:
    """Counts per column and latency row; colour is the square root of the count."""
    buckets, size = coarser(window, MOST_COLUMNS, "race_window")
    lows = [bucket.percentile("race_window", 0.0) for bucket in buckets]
    scale = LatencyScale.of(lows, window.deadline_us)
    edges = [scale.low * (scale.deadline / scale.low) ** (row / ROWS) for row in range(ROWS + 1)]
    starts = columns(window, size)
    counts = _counts(buckets, starts, edges)
    middles = [math.sqrt(low * high) for low, high in pairwise(edges)]
    names = [*(f"near {sentences.latency(1000 * middle)}" for middle in middles), "never"]
    # The page tells by these which latencies a selected area holds; "never" lies above the last.
    meta = {"edges_ms": _rounded(edges)}
    figure = {
        "data": _heat(counts, [*middles, scale.never], [local(start + size / 2, zone) for start in starts]),
        "layout": layout(window, zone, {**scale.axis(), "showgrid": False}, hovermode="closest", meta=meta),
    }

    def rows() -> Rows:
        return [
            [table_time(window, start, zone), names[row], sentences.count(counts[row][column])]
            for column, start in enumerate(starts)
            for row in range(len(names))
            if counts[row][column]
        ]

    return Chart(
        "heat",
        "Where the time lies",
        f"probes by {size_words(size)}",
        _lede(window.total),
        220,
        figure,
        Table(("Time", "Ready", "Probes"), rows),
        step=size.total_seconds(),
    )


def _counts(buckets: Sequence[Bucket], starts: Sequence[datetime], edges: Sequence[float]) -> list[list[int]]:
    """Probes by row (lowest first, "never" last) and column."""
    column_of = {start: column for column, start in enumerate(starts)}
    counts = [[0] * len(starts) for _ in edges]
    row_of: dict[int, int] = {}
    for bucket in buckets:
        histogram = bucket.histograms.get("race_window")
        if histogram is None or bucket.start not in column_of:
            continue
        column = column_of[bucket.start]
        counts[-1][column] += histogram.beyond
        for number, n in histogram.items():
            row = row_of.get(number)
            if row is None:
                row = row_of[number] = _row_of(*ends_of(number), edges)
            counts[row][column] += n
    return counts


def _row_of(low: float, high: float, edges: Sequence[float]) -> int:
    """The row that a histogram's bin (microseconds) falls into."""
    middle = (low + high) / 2 / 1000
    return min(max(bisect_right(edges, middle) - 1, 0), len(edges) - 2)


def _heat(counts: list[list[int]], ys: list[float], xs: list[str]) -> list[Figure]:
    """Two traces on one scale, so that the row "never" has its own words: all others are near a latency."""
    most = max((n for row in counts for n in row), default=0)
    shared = {
        "type": "heatmap",
        "x": xs,
        "hoverongaps": False,
        "colorscale": _COLOURS,
        "zmin": 0.5,
        "zmax": math.sqrt(max(most, 4)),
        "xgap": 1,
        "ygap": 1,
        "showscale": False,
    }
    edge = ys[-1] ** 2 / ys[-2]
    return [
        {**shared, "y": _rounded(ys[:-1]), **_cells(counts[:-1], "near %{y:.0f} ms")},
        # Two rows, of which the upper is empty: Plotly takes a row's height from its neighbour.
        {**shared, "y": _rounded([ys[-1], edge]), **_cells([counts[-1], [0] * len(xs)], "never")},
    ]


def _cells(rows: list[list[int]], words: str) -> Figure:
    return {
        "z": [[round(math.sqrt(n), 2) if n else None for n in row] for row in rows],
        "customdata": [[n or None for n in row] for row in rows],
        "hovertemplate": f"probes %{{customdata}}, {words}, %{{x|%H:%M:%S}}<extra></extra>",
    }


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 3) for value in values]


def _lede(total: Bucket) -> str:
    histogram = total.histograms.get("race_window")
    if histogram is None or not histogram.count:
        return EMPTY
    if not histogram.beyond:
        low, high = histogram.percentile(0.05), histogram.percentile(0.95)
        return f"Nine in ten probes lie between {sentences.latency(low)} and {sentences.latency(high)}."
    ready = histogram.count - histogram.beyond
    if not ready:
        return "No probe was ready."
    return f"Two groups: {sentences.plural(ready, 'probe')} ready, {sentences.count(histogram.beyond)} never."
