"""Phases of a connection, stacked; and our own lateness, which is never part of a target's latency."""

import math
from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

from dashboard import sentences
from dashboard.charts.figures import CLEAR, EMPTY, Chart, Figure, Rows, Table, layout, local, stepped, table_time
from dashboard.charts.series import Bucket, Window, coarser

PHASES = (("dns", "DNS"), ("tcp", "TCP"), ("tls", "TLS"), ("upgrade", "upgrade"), ("race_window", "race window"))
MOST_BARS = 120


def phases(window: Window, zone: ZoneInfo) -> Chart:
    """Medians, bottom up from DNS; the race window is the only blue. One that is never ready ends at the deadline."""
    measured = [(key, name) for key, name in PHASES if any(key in bucket.histograms for bucket in window.buckets)]

    def rows() -> Rows:
        return [
            [
                table_time(window, bucket.start, zone),
                name,
                *(sentences.latency(bucket.percentile(key, q)) for q in (0.5, 0.95)),
            ]
            for bucket in window.buckets
            for key, name in measured
            if bucket.percentile(key, 0.5) is not None
        ]

    yaxis = {"rangemode": "tozero", "ticksuffix": " ms", "nticks": 5}
    return Chart(
        "phases",
        "Phases",
        "p50, stacked",
        _phases_lede(window.total),
        220,
        {"data": [_area(window, zone, key, name) for key, name in measured], "layout": layout(window, zone, yaxis)},
        Table(("Time", "Phase", "p50", "p95"), rows),
        [(name, _token(key)) for key, name in measured],
    )


def _token(key: str) -> str:
    return "--phase-race" if key == "race_window" else f"--phase-{key}"


def _area(window: Window, zone: ZoneInfo, key: str, name: str) -> Figure:
    medians = [bucket.percentile(key, 0.5) for bucket in window.buckets]
    points = [
        (bucket, min(us or 0.0, float(window.deadline_us)) / 1000, f"{name} {sentences.latency(us)}")
        for bucket, us in zip(window.buckets, medians, strict=True)
    ]
    area = stepped(window, points, zone)
    # Plotly cannot stack gaps: a bucket without a probe stands at zero.
    area["y"] = [0 if y is None else y for y in area["y"]]
    return {
        "type": "scatter",
        "mode": "none",
        "name": name,
        "stackgroup": "phases",
        **area,
        "line": {"shape": "hv", "width": 0},
        "fillcolor": _token(key),
    }


def _phases_lede(total: Bucket) -> str:
    medians = {name: total.percentile(key, 0.5) for key, name in PHASES}
    known = {name: us for name, us in medians.items() if us is not None and not math.isnan(us)}
    if not known:
        return EMPTY
    longest = max(known, key=lambda name: known[name])
    article = "the " if longest == "race window" else ""
    return f"The longest phase is {article}{longest}: {sentences.latency(known[longest])}."


def start_delay(window: Window, zone: ZoneInfo) -> Chart:
    """How late our probes start after their slot, and the slots that we missed as hollow bars."""
    buckets, size = coarser(window, MOST_BARS)
    yaxis = {"rangemode": "tozero", "ticksuffix": " ms", "nticks": 4}
    missed_axis = {"overlaying": "y", "side": "right", "rangemode": "tozero", "visible": False, "fixedrange": True}

    def rows() -> Rows:
        return [
            [
                table_time(window, bucket.start, zone),
                sentences.latency(bucket.percentile("start_delay", 0.5)),
                sentences.latency(bucket.percentile("start_delay", 0.99)),
                sentences.count(bucket.ours),
            ]
            for bucket in window.buckets
        ]

    return Chart(
        "delay",
        "Start delay",
        "our own lateness: slot → started",
        _delay_lede(window.total),
        160,
        {
            "data": [
                _line(window, zone, "p50", 0.5, "--text3", 1),
                _line(window, zone, "p99", 0.99, "--text2", 2),
                _missed(buckets, size, zone),
            ],
            "layout": layout(window, zone, yaxis, yaxis2=missed_axis),
        },
        Table(("Time", "p50", "p99", "Missed"), rows),
        (("p50", "--text3"), ("p99", "--text2"), ("missed", "--quiet hollow")),
    )


def _line(window: Window, zone: ZoneInfo, name: str, q: float, colour: str, width: float) -> Figure:
    values = [bucket.percentile("start_delay", q) for bucket in window.buckets]
    points = [
        (bucket, None if us is None else us / 1000, f"{name} {sentences.latency(us)}")
        for bucket, us in zip(window.buckets, values, strict=True)
    ]
    line = {"shape": "hv", "color": colour, "width": width}
    return {"type": "scatter", "mode": "lines", "name": name, **stepped(window, points, zone), "line": line}


def _missed(buckets: Sequence[Bucket], size: timedelta, zone: ZoneInfo) -> Figure:
    return {
        "type": "bar",
        "name": "missed",
        "yaxis": "y2",
        "x": [local(bucket.start, zone) for bucket in buckets],
        "y": [bucket.ours or None for bucket in buckets],
        "width": size.total_seconds() * 1000 * 0.85,
        "offset": 0,
        "marker": {"color": CLEAR, "line": {"color": "--quiet", "width": 1}},
        "hovertemplate": "%{y} missed<extra></extra>",
    }


def _delay_lede(total: Bucket) -> str:
    slots = total.probes + total.ours
    if not slots:
        return EMPTY
    p99 = sentences.latency(total.percentile("start_delay", 0.99))
    return f"p99 {p99}, {sentences.count(total.ours)} of {sentences.count(slots)} slots not measured."
