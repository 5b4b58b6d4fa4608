"""The race window of each strategy as a cumulated share, pure: how many probes were ready within so long."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

from dashboard import sentences
from dashboard.charts.figures import CLEAR, EMPTY, Chart, Figure, Table
from dashboard.charts.series import Line, Window
from probes import packed

MOST_COLOURED = 4
"""Lines in their own colour; the rest is grey and thin."""
DASHES: Mapping[str, str] = {
    "dependency_gate": "solid",
    "ready_ack": "solid",
    "client_init": "solid",
    "deferred_accept": "solid",
    "immediate": "dot",
    "fixed_delay": "dash",
    "progressive_delay": "longdash",
    "adaptive_delay": "dashdot",
    "state_poll": "longdashdot",
}
"""The four that check are solid; those that only wait are dashed."""
TICKS_MS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000)
WITHIN_MS = (50, 100, 250, 500, 1_000, 2_500)
"""The sentence tells the share within the first of these in which the strategies differ most."""
QUANTILES = (0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99)
UNTOLD = "No probe in this range was told what served it."
_APART = 0.055
"""Labels nearer than this part of the height are moved apart."""


def race_windows(
    key: str, title: str, hint: str, lines: Sequence[Line], height: int = 240, scale: tuple[float, float] | None = None
) -> Chart:
    """The chart. Lines come in the order of their weight: the first few are coloured. `scale`: of `scale_of`, where
    several charts are to be compared."""
    drawn = [line for line in lines if line.probes]
    points = {line.strategy: _points(line) for line in drawn}
    low, high = scale or scale_of(drawn)
    figure: Figure = {
        "data": [_trace(line, points[line.strategy], high, place < MOST_COLOURED) for place, line in enumerate(drawn)],
        "layout": _layout(low, high, _labels(drawn, points)),
    }
    return Chart(key, title, hint, lede(drawn), height, figure, _table(drawn))


def colour_of(strategy: str, coloured: bool = True) -> str:
    """The token of a strategy's colour; grey for one that is none of ours."""
    return f"--strategy-{strategy}" if coloured and strategy in DASHES else "--text3"


def lede(lines: Sequence[Line]) -> str:
    """ "83 % of dependency_gate's probes were ready within 500 ms, 12 % of immediate's." """
    if not lines:
        return EMPTY
    ms = max(WITHIN_MS, key=lambda each: _spread(lines, each))
    first, *others = lines[:3]
    text = f"{_within(first, ms)} of probes served by {first.strategy} were ready within {sentences.latency(ms * 1000)}"
    return "".join([text, *(f", {_within(each, ms)} by {each.strategy}" for each in others), "."])


def share_within(line: Line, ms: float) -> float:
    """The share of its probes, those never ready among them, that were ready within so many milliseconds."""
    within = sum(n for end, n in packed.counts(line.packed) if packed.middle(end) <= ms * 1000)
    return within / line.probes if line.probes else 0.0


def _within(line: Line, ms: float) -> str:
    return sentences.share(round(share_within(line, ms) * line.probes), line.probes)


def _spread(lines: Sequence[Line], ms: float) -> float:
    found = [share_within(line, ms) for line in lines[:3]]
    # Of one line alone, the time that most were ready within.
    return max(found) - min(found) if len(found) > 1 else -abs(found[0] - 0.9)


def _points(line: Line) -> list[tuple[float, float]]:
    """(milliseconds, share in percent), ascending; it ends below 100 where some were never ready."""
    found, seen = [], 0
    for end, n in packed.counts(line.packed):
        seen += n
        found.append((end / 1000, 100 * seen / line.probes))
    return found


def strategies(window: Window, zone: ZoneInfo) -> Chart:
    """The chart of the target page; it has no time axis, so the zone is of no use to it."""
    hint = "upgraded → ready, by what served the probe"
    chart = race_windows("strategies", "Strategies on this target", hint, window.served)
    return replace(chart, lede=UNTOLD) if window.buckets and not window.served else chart


def scale_of(lines: Sequence[Line]) -> tuple[float, float]:
    """The least and the most milliseconds that these lines need."""
    ends = [end / 1000 for line in lines for end, _ in packed.counts(line.packed)]
    low, high = min(ends, default=10.0), max(ends, default=1000.0)
    return max(tick for tick in TICKS_MS if tick <= max(low * 0.8, TICKS_MS[0])), high * 1.15


def _trace(line: Line, points: Sequence[tuple[float, float]], high: float, coloured: bool) -> Figure:
    last = points[-1][1] if points else 0.0
    xs, ys = [ms for ms, _ in points], [share for _, share in points]
    words = [f"{share:.0f}{sentences.NBSP}% within {sentences.latency(ms * 1000)}" for ms, share in points]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": line.strategy,
        "x": [*(round(ms, 3) for ms in xs), round(high, 3)],
        "y": [*(round(share, 2) for share in ys), round(last, 2)],
        "text": [*words, words[-1] if words else "never ready"],
        "hovertemplate": f"{line.strategy}: %{{text}}<extra></extra>",
        "line": {
            "shape": "hv",
            "color": colour_of(line.strategy, coloured),
            "width": 2 if coloured else 1,
            "dash": DASHES.get(line.strategy, "solid"),
        },
    }


def _labels(lines: Sequence[Line], points: Mapping[str, Sequence[tuple[float, float]]]) -> list[Figure]:
    """Each line's name at its right end, moved apart where lines end together."""
    ends = sorted(((points[line.strategy][-1][1] if points[line.strategy] else 0.0), line.strategy) for line in lines)
    height, step = 108.0, _APART * 108
    placed: list[tuple[float, str]] = []
    for share, name in ends:
        placed.append((max(share - 2, placed[-1][0] + step if placed else 0.0), name))
    over = placed[-1][0] - (height - step) if placed else 0.0
    return [
        {
            "xref": "paper",
            "x": 1,
            "xanchor": "right",
            "y": max(y - max(over, 0.0), 0.0),
            "yanchor": "middle",
            "showarrow": False,
            "text": name,
            "font": {"color": "--text2", "size": 11},
            "bgcolor": "--surface@80",
        }
        for y, name in placed
    ]


def _layout(low: float, high: float, labels: list[Figure]) -> Figure:
    ticks = [tick for tick in TICKS_MS if low <= tick <= high]
    while len(ticks) > 8:
        ticks = ticks[::2]
    axis = {"fixedrange": True, "zeroline": False, "tickfont": {"color": "--text3", "size": 11}}
    return {
        "margin": {"l": 48, "r": 8, "t": 8, "b": 26},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "font": {"family": "--sans", "size": 12, "color": "--text2"},
        "showlegend": False,
        "dragmode": False,
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "--raised", "bordercolor": "--edge", "font": {"color": "--text", "size": 12}},
        "xaxis": {
            **axis,
            "type": "log",
            "range": [math.log10(low), math.log10(high)],
            "tickvals": ticks,
            "ticktext": [sentences.latency(tick * 1000).replace(".0", "") for tick in ticks],
            "gridcolor": "--line",
            "linecolor": "--line",
        },
        "yaxis": {
            **axis,
            "range": [0, 108],
            "tickvals": [0, 25, 50, 75, 100],
            "ticktext": [f"{share}{sentences.NBSP}%" for share in (0, 25, 50, 75, 100)],
            "gridcolor": "--line",
            "automargin": False,
        },
        "annotations": labels,
    }


def _table(lines: Sequence[Line]) -> Table:
    return Table(
        ("Strategy", "Probes", "Never ready", *(f"p{100 * q:g}" for q in QUANTILES)),
        lambda: [
            [
                line.strategy,
                sentences.count(line.probes),
                sentences.count(line.never),
                *(sentences.latency(packed.percentile(line.packed, line.never, q)) for q in QUANTILES),
            ]
            for line in lines
        ],
    )
