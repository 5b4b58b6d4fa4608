"""Failures by kind as stacked bars: whose fault by colour, the kind by pattern; ours are hatched grey."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

from dashboard import sentences
from dashboard.charts.figures import EMPTY, Chart, Figure, Rows, Table, layout, local, size_words, table_time
from dashboard.charts.series import Bucket, Window, coarser
from dashboard.shares import at_most, proves
from probes.engine.outcome import FailureKind, Owner

MOST_BARS = 120
MOST_KINDS = 6
_PATTERNS = ("", "/", "x", "\\", ".", "-")
_COLOURS = {
    Owner.NETWORK: "--owner-network",
    Owner.TLS: "--owner-tls",
    Owner.SERVER_UPGRADE: "--owner-server",
    Owner.SERVER_BEFORE_READY: "--owner-server",
    Owner.SERVER_AFTER_READY: "--owner-after",
    Owner.US: "--quiet",
}


def failures(window: Window, zone: ZoneInfo) -> Chart:
    """The kinds with most probes; the table has them all."""
    buckets, size = coarser(window, MOST_BARS)
    total = window.total
    styles = _styles([kind for kind, n in total.kinds.most_common() if n > 0][:MOST_KINDS])
    yaxis: Figure = {"rangemode": "tozero", "nticks": 5, "tickformat": ",d"}
    if not styles:
        yaxis |= {"range": [0, 1], "showticklabels": False}
    return Chart(
        "failures",
        "Failures by kind",
        f"by {size_words(size)}",
        _lede(total),
        220,
        {
            "data": [_bars(buckets, size, zone, kind, *style) for kind, style in styles.items()],
            "layout": layout(window, zone, yaxis, barmode="stack", bargap=0.15),
        },
        Table(("Time", "Kind", "Probes"), lambda: _rows(window, buckets, zone)),
        [(kind, f"{colour} {pattern}".strip()) for kind, (colour, pattern) in styles.items()],
        step=size.total_seconds(),
    )


def _rows(window: Window, buckets: Sequence[Bucket], zone: ZoneInfo) -> Rows:
    return [
        [table_time(window, bucket.start, zone), kind, sentences.count(n)]
        for bucket in buckets
        for kind, n in bucket.kinds.most_common()
        if n > 0
    ]


def _styles(kinds: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and pattern of each kind, so that two kinds of one owner differ."""
    used: Counter[str] = Counter()
    styles = {}
    for kind in kinds:
        owner = _owner(kind)
        colour = _COLOURS[owner]
        styles[kind] = colour, "/" if owner is Owner.US else _PATTERNS[used[colour] % len(_PATTERNS)]
        used[colour] += 1
    return styles


def _bars(buckets: Sequence[Bucket], size: timedelta, zone: ZoneInfo, kind: str, colour: str, pattern: str) -> Figure:
    return {
        "type": "bar",
        "name": kind,
        "x": [local(bucket.start, zone) for bucket in buckets],
        "y": [bucket.kinds[kind] or None for bucket in buckets],
        "width": size.total_seconds() * 1000 * 0.85,
        "offset": 0,
        "marker": {"color": colour, "pattern": {"shape": pattern, "size": 5, "solidity": 0.5}, "line": {"width": 0}},
        "hovertemplate": f"%{{y}} {kind}<extra></extra>",
    }


def _lede(total: Bucket) -> str:
    if not total.probes and not total.ours:
        return EMPTY
    charged = Counter({kind: n for kind, n in total.kinds.items() if _owner(kind) is not Owner.US and n > 0})
    ours = f" {sentences.plural(total.ours, 'slot')} not measured, because of us." if total.ours > 0 else ""
    if not charged:
        bound = f", so {few} fail" if (few := at_most(total.probes)) else ""
        return f"Nothing failed: {sentences.plural(total.probes, 'probe')} succeeded{bound}.{ours}"
    kind = charged.most_common(1)[0][0]
    mostly = f"mostly {kind}" if len(charged) > 1 else f"all {kind}"
    failed = f"{sentences.count(total.failed)} of {sentences.count(total.probes)} failed"
    return f"{failed}{proves(total.failed, total.probes)}, {mostly}: {_owner(kind)}.{ours}"


def _owner(kind: str) -> Owner:
    try:
        return FailureKind(kind).owner
    except ValueError:
        return Owner.SERVER_AFTER_READY
