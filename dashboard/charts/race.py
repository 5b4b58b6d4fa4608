"""Race window: percentiles of upgraded -> ready. What was never ready runs along a lane of its own."""

import math
import statistics
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from dashboard import sentences
from dashboard.charts.figures import (
    EMPTY,
    Chart,
    Figure,
    LatencyScale,
    Table,
    end_labels,
    layout,
    local,
    size_words,
    stepped,
    table_time,
)
from dashboard.charts.series import Bucket, Window

PERCENTILES = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))
FEWEST_FOR_SHIFT = 6
Line = Sequence[float | None]


def race_window(window: Window, zone: ZoneInfo) -> Chart:
    """Three lines; over a raw range every probe as a dot beside them."""
    lines = {name: [bucket.percentile("race_window", q) for bucket in window.buckets] for name, q in PERCENTILES}
    scale = LatencyScale.of(
        [*(us for line in lines.values() for us in line), *(dot.race_us for dot in window.dots)], window.deadline_us
    )
    ends = [(name, line[-1] if line else None) for name, line in lines.items()]
    figure = {
        "data": [
            *_dots(window, zone, scale),
            *(_trace(window, zone, scale, name, lines[name]) for name, _ in PERCENTILES),
        ],
        "layout": layout(
            window,
            zone,
            scale.axis(),
            shapes=[_objective_line(window)],
            annotations=[_objective_label(window), *end_labels(window, scale, ends, zone)],
        ),
    }
    return Chart(
        "race",
        "Race window",
        f"upgraded → ready, by {size_words(window.bucket)}{_left_out(window)}",
        _lede(window, lines["p95"], zone),
        260,
        figure,
        Table(("Time", "Probes", "Failed", "p50", "p95", "p99"), lambda: _rows(window, zone, lines)),
    )


def _trace(window: Window, zone: ZoneInfo, scale: LatencyScale, name: str, line: Line) -> Figure:
    points = [(bucket, scale.y(us), _words(name, bucket, us)) for bucket, us in zip(window.buckets, line, strict=True)]
    trace: Figure = {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        **stepped(window, points, zone),
        "line": {"shape": "hv", "color": "--phase-race", "width": 2.5 if name == "p95" else 1},
    }
    if name == "p95":
        trace |= {"fill": "tonexty", "fillcolor": "--phase-race@14"}
    if name == "p99":
        trace["line"]["dash"] = "dot"
    return trace


def _words(name: str, bucket: Bucket, us: float | None) -> str:
    words = f"{name} {sentences.latency(us)}"
    if name != "p99":
        return words
    flagged = f", {sentences.count(bucket.flagged)} left out" if bucket.flagged else ""
    return f"{words}<br>{sentences.plural(bucket.probes, 'probe')}, {sentences.count(bucket.failed)} failed{flagged}"


def _dots(window: Window, zone: ZoneInfo, scale: LatencyScale) -> list[Figure]:
    """Ready probes small and grey, failed ones in the colour of down. Their words are in the list of probes."""
    groups = (
        ("ready", [dot for dot in window.dots if not dot.kind], {"color": "--text3@55", "size": 4}),
        ("failed", [dot for dot in window.dots if dot.kind], {"color": "--down", "size": 5, "symbol": "square"}),
    )
    return [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [local(dot.at, zone) for dot in dots],
            "y": [scale.y(dot.race_us) for dot in dots],
            "marker": marker,
            "hoverinfo": "skip",
        }
        for name, dots, marker in groups
        if dots
    ]


def _objective_line(window: Window) -> Figure:
    y = window.objective_us / 1000
    line = {"color": "--degraded", "width": 1, "dash": "dash"}
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y, "line": line, "layer": "below"}


def _objective_label(window: Window) -> Figure:
    return {
        "xref": "paper",
        "x": 0.004,
        "y": math.log10(window.objective_us / 1000),
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
        "text": f"objective {sentences.latency(window.objective_us)}",
        "font": {"color": "--degraded-text", "size": 11},
        "bgcolor": "--surface@75",
    }


def _left_out(window: Window) -> str:
    flagged = sum(bucket.flagged for bucket in window.buckets)
    if not flagged:
        return ""
    return f" · {sentences.percent(flagged, window.total.probes, 1)} left out: our own loop lagged"


def _rows(window: Window, zone: ZoneInfo, lines: dict[str, list[float | None]]) -> list[list[str]]:
    return [
        [
            table_time(window, bucket.start, zone),
            sentences.count(bucket.probes),
            sentences.count(bucket.failed),
            *(sentences.latency(lines[name][index]) for name, _ in PERCENTILES),
        ]
        for index, bucket in enumerate(window.buckets)
    ]


def _lede(window: Window, p95: Line, zone: ZoneInfo) -> str:
    known = [(bucket.start, us) for bucket, us in zip(window.buckets, p95, strict=True) if us is not None]
    if not known:
        return EMPTY
    shift = shifted([us for _, us in known])
    never = (
        f": more than 1 in 20 probes are not ready within {sentences.latency(window.deadline_us).replace('.0', '')}."
    )
    if shift is not None:
        index, before, after = shift
        at = sentences.clock(known[index][0], zone, window.end)
        ending = never if math.isinf(after) else "."
        return f"p95 went from {sentences.latency(before)} to {sentences.latency(after)} at {at}{ending}"
    total = window.total
    q50, q95 = (total.percentile("race_window", q) or math.nan for q in (0.5, 0.95))
    ending = never if math.isinf(q95) else f" over {sentences.plural(total.probes, 'probe')}."
    return f"p95 {sentences.latency(q95)}, p50 {sentences.latency(q50)}{ending}"


def shifted(values: Sequence[float]) -> tuple[int, float, float] | None:
    """Where the newest level began, and the levels before and after; None where it was always much the same.

    A level is new when it differs from the first third's median by half, or when only one of them is "never".
    """
    if len(values) < FEWEST_FOR_SHIFT:
        return None
    before, after = statistics.median_low(values[: len(values) // 3]), statistics.median_low(values[-3:])
    if _distance(before, after) < math.log(1.5):
        return None
    index = len(values)
    while index > 0 and _distance(values[index - 1], after) < _distance(values[index - 1], before):
        index -= 1
    return (index, before, after) if 0 < index < len(values) else None


def _distance(a: float, b: float) -> float:
    if math.isinf(a) or math.isinf(b):
        return 0.0 if a == b else math.inf
    return abs(math.log(max(a, 1) / max(b, 1)))
