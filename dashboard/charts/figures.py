"""Parts that every time chart shares, pure: axes, marks, steps, the "never" lane. Colours are token names.

A colour is a token's name, "--down", or with an opacity in percent, "--down@7". The browser puts in the theme's value
(static/js/plots.js). Figures are plain dicts: `go.Figure` refuses token names and costs 200 times as much; a test
swaps colours in and validates every figure through it.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import lru_cache
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from dashboard import sentences
from dashboard.charts.series import Bucket, Mark, Window, floor

Figure = dict[str, Any]
CLEAR = "rgba(0,0,0,0)"
EMPTY = "No probe in this range."
_TICKS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
_MOST_TICKS = 7
_NEAR_SHARE = 0.055
"""Marks nearer than this share of the window are drawn as one: so there are never more than 19, whatever happened."""
_CHARACTER_SHARE = 0.01
"""What a character of a mark's label takes of a plot 600 px wide: labels that would lie over each other become one."""
_EDGE_SHARE = 0.08
"""A label so near to an end of the plot is written inwards from its line."""
MARGIN = {"l": 64, "r": 8, "t": 18, "b": 26}


Rows = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Table:
    """A chart's table twin: the same numbers, for those who do not see it. `make` is called when somebody asks for
    it: most pages show no table, and its words cost as much as the chart."""

    columns: Sequence[str]
    make: Callable[[], Rows]

    @property
    def rows(self) -> Rows:
        """Made anew each time."""
        return self.make()

    def to_json(self) -> dict[str, Any]:
        return {"columns": self.columns, "rows": self.rows}


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its words. `height` is in px and fixed, so that nothing moves when data comes."""

    key: str
    title: str
    hint: str
    lede: str
    height: int
    figure: Figure
    table: Table
    legend: Sequence[tuple[str, str]] = field(default_factory=tuple)
    """(name, token) pairs, drawn in HTML under the plot."""
    step: float = 0.0
    """Seconds that one of its columns stands for, where that is more than the window's bucket."""

    def to_json(self) -> dict[str, Any]:
        """All but the table, which is asked for when somebody opens it."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name != "table"}


@lru_cache(maxsize=4 * 720)
def local(at: datetime, zone: ZoneInfo) -> str:
    """Plotly draws the numbers it is given: wall-clock time of the page's zone, without an offset."""
    return at.astimezone(zone).replace(tzinfo=None).isoformat(timespec="seconds")


def time_axis(window: Window, zone: ZoneInfo) -> Figure:
    """The x axis that every chart of a page has."""
    long = window.end - window.start > timedelta(hours=36)
    return {
        "type": "date",
        "range": [local(window.start, zone), local(window.end, zone)],
        "tickformat": "%-d %b" if long else "%H:%M",
        "hoverformat": "%-d %b %H:%M" if long else ("%H:%M:%S" if window.width is None else "%H:%M"),
        "nticks": 8,
        "showgrid": False,
        # The page has one cursor for all its plots (static/js/charts_cursor.js).
        "showspikes": False,
        "zeroline": False,
        "linecolor": "--line",
        "tickcolor": "--line",
        "ticks": "outside",
        "ticklen": 4,
        "tickfont": {"color": "--text3", "size": 11},
        "fixedrange": True,
    }


def layout(window: Window, zone: ZoneInfo, yaxis: Figure, **extra: Any) -> Figure:
    """A chart's layout: transparent, no legend, marks of the window, nothing that Plotly guesses."""
    shapes, annotations = marks(window, zone)
    return {
        "margin": MARGIN,
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "--sans", "size": 12, "color": "--text2"},
        "showlegend": False,
        "dragmode": False,
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "--raised", "bordercolor": "--edge", "font": {"color": "--text", "size": 12}},
        "xaxis": time_axis(window, zone),
        "yaxis": {
            "automargin": False,
            "fixedrange": True,
            "gridcolor": "--line",
            "zeroline": False,
            "ticks": "",
            "tickfont": {"color": "--text3", "size": 11},
            **yaxis,
        },
        "shapes": [*shapes, *extra.pop("shapes", [])],
        "annotations": [*annotations, *extra.pop("annotations", [])],
        **extra,
    }


def marks(window: Window, zone: ZoneInfo) -> tuple[list[Figure], list[Figure]]:
    """Revisions as lines with "▼ r42" above the plot, deploys dotted with "▽ 5.12.0", near ones together as "▼ 3"; the
    time of a fault as a tint behind."""
    groups = grouped(window)
    shapes = [_line(group, zone) for group in groups]
    annotations = [_label(group, window, zone) for group in groups]
    if window.failing_since and window.failing_since < window.end:
        shapes.insert(0, _tint(max(window.failing_since, window.start), window.end, zone))
    return shapes, annotations


def grouped(window: Window) -> list[list[Mark]]:
    """Marks in order of time, those nearer than they can be told apart together."""
    length = window.end - window.start
    groups: list[list[Mark]] = []
    for mark in sorted(window.marks, key=lambda mark: mark.at):
        if groups and mark.at - groups[-1][0].at < length * _apart(groups[-1], mark):
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return groups


def _apart(group: Sequence[Mark], mark: Mark) -> float:
    """How far apart a group and the next mark must lie, as a share of the window: their labels are centred."""
    return max(_NEAR_SHARE, (len(_label_text(group)) + len(_label_text([mark]))) / 2 * _CHARACTER_SHARE)


def _only_deploys(group: Sequence[Mark]) -> bool:
    return all(mark.kind == "deploy" for mark in group)


def _line(group: Sequence[Mark], zone: ZoneInfo) -> Figure:
    x = local(group[0].at, zone)
    line: Figure = {"color": "--text", "width": 1.5}
    if _only_deploys(group):
        line = {"color": "--text2", "width": 1, "dash": "dot"}
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line, "layer": "above"}


def _label_text(group: Sequence[Mark]) -> str:
    glyph = "▽" if _only_deploys(group) else "▼"
    return f"{glyph} {group[0].label if len(group) == 1 else len(group)}"


def _label(group: Sequence[Mark], window: Window, zone: ZoneInfo) -> Figure:
    where = (group[0].at - window.start) / (window.end - window.start)
    return {
        "x": local(group[0].at, zone),
        "y": 1,
        "yref": "paper",
        "yanchor": "bottom",
        "xanchor": "left" if where < _EDGE_SHARE else "right" if where > 1 - _EDGE_SHARE else "center",
        "showarrow": False,
        # Plotly reads markup in both, and a deploy's name is somebody else's text.
        "text": escape(_label_text(group)),
        "hovertext": "<br>".join(escape(f"{mark.label} {mark.text}".strip()) for mark in group),
        "font": {"color": "--text2" if _only_deploys(group) else "--text", "size": 11},
    }


def _tint(start: datetime, end: datetime, zone: ZoneInfo) -> Figure:
    return {
        "type": "rect",
        "x0": local(start, zone),
        "x1": local(end, zone),
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "fillcolor": "--down@8",
        "line": {"width": 0},
        "layer": "below",
    }


def stepped(window: Window, points: Iterable[tuple[Bucket, float | None, str]], zone: ZoneInfo) -> Figure:
    """x, y and text of a stepped line: a bucket is a bucket, and where there is none the line has a gap."""
    xs: list[str] = []
    ys: list[float | None] = []
    texts: list[str] = []
    end: datetime | None = None
    for bucket, value, text in points:
        if end is not None and bucket.start > end:
            xs += [local(end, zone), local(end, zone)]
            ys += [ys[-1], None]
            texts += [texts[-1], ""]
        xs.append(local(bucket.start, zone))
        ys.append(value)
        texts.append(text)
        end = bucket.start + window.bucket
    if end is not None:
        # The last bucket is drawn as far as it has come.
        xs.append(local(max(min(end, window.end), window.start), zone))
        ys.append(ys[-1])
        texts.append(texts[-1])
    return {"x": xs, "y": ys, "text": texts, "hovertemplate": "%{text}<extra></extra>", "connectgaps": False}


def table_time(window: Window, at: datetime, zone: ZoneInfo) -> str:
    """When a row of a table twin began."""
    return sentences.clock(at, zone, window.end, seconds=window.width is None)


def empty(window: Window, zone: ZoneInfo) -> str:
    """What a chart without data says."""
    if window.newest is None:
        return EMPTY
    return f"{EMPTY} Last result: {sentences.clock(window.newest, zone, window.end, seconds=True)}."


def size_words(size: timedelta) -> str:
    """A bucket's length: "30 s", "minute", "hour", "5 min"."""
    seconds = size.total_seconds()
    for unit, word, short in ((3600, "hour", "h"), (60, "minute", "min")):
        if seconds >= unit and seconds % unit == 0:
            return word if seconds == unit else f"{seconds // unit:g}{sentences.NBSP}{short}"
    return f"{seconds:g}{sentences.NBSP}s"


def columns(window: Window, size: timedelta) -> list[datetime]:
    """Starts of all columns of a regular grid over the window, empty ones too."""
    start = floor(window.start, size)
    found = []
    while start < window.end:
        found.append(start)
        start += size
    return found


@dataclass(frozen=True, slots=True)
class LatencyScale:
    """A log axis of milliseconds with a lane "never" above the deadline."""

    low: float
    deadline: float

    @classmethod
    def of(cls, values_us: Iterable[float | None], deadline_us: int) -> "LatencyScale":
        """A scale that holds all finite values. It starts at 100 ms, or lower where values or the deadline are."""
        deadline = deadline_us / 1000
        lowest = min((us / 1000 for us in values_us if us and not math.isinf(us)), default=100.0)
        floor_ms = max(min(lowest, 100.0, deadline / 10), 1.0)
        return cls(float(max(tick for tick in _TICKS_MS if tick <= floor_ms)), deadline)

    @property
    def never(self) -> float:
        """Where "never" is drawn: a step above the deadline, on the log scale."""
        return float(self.deadline * (self.deadline / self.low) ** 0.1)

    @property
    def top(self) -> float:
        """The upper end of the axis."""
        return float(self.deadline * (self.deadline / self.low) ** 0.15)

    def y(self, us: float | None) -> float | None:
        """Milliseconds to draw, clipped to the scale."""
        if us is None or math.isnan(us):
            return None
        return self.never if math.isinf(us) else round(max(us / 1000, self.low), 3)

    def ticks(self) -> list[float]:
        """Round values from the lowest to the deadline, at most seven."""
        found = [tick for tick in _TICKS_MS if self.low <= tick <= self.deadline]
        while len(found) > _MOST_TICKS:
            found = found[::2] if len(found) % 2 else [found[0], *found[1::2]]
        return [float(tick) for tick in found]

    def axis(self) -> Figure:
        """The y axis."""
        ticks = self.ticks()
        return {
            "type": "log",
            "range": [math.log10(self.low), math.log10(self.top)],
            "tickvals": [*ticks, self.never],
            "ticktext": [*(sentences.latency(tick * 1000).replace(".0", "") for tick in ticks), "never"],
        }


def end_labels(
    window: Window, scale: LatencyScale, ends: Sequence[tuple[str, float | None]], zone: ZoneInfo
) -> list[Figure]:
    """Names at the right end of their lines; lines that end together share one label: "p95, p99"."""
    height = math.log10(scale.top) - math.log10(scale.low)
    groups: list[tuple[list[str], float]] = []
    for name, us in ends:
        y = scale.y(us)
        if y is None:
            continue
        if groups and abs(math.log10(groups[-1][1]) - math.log10(y)) < 0.06 * height:
            groups[-1][0].append(name)
        else:
            groups.append(([name], y))
    return [
        {
            "x": local(window.end, zone),
            "y": math.log10(y),
            "xanchor": "right",
            "yanchor": "top" if y == scale.never else "bottom",
            "showarrow": False,
            "text": ", ".join(names),
            "font": {"color": "--text2", "size": 11},
        }
        for names, y in groups
    ]
