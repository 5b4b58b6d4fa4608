"""`/strategies/`: strategy against strategy, on the same targets and in the same window."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from dashboard import comparing, sentences, strategy_words
from dashboard.charts.figures import Chart
from dashboard.charts.series import Line
from dashboard.charts.strategies import race_windows, scale_of
from dashboard.permissions import VIEWER, require
from dashboard.queries import strategies as queries
from dashboard.queries.strategies import BY_KEY, DEFAULT_WINDOW, UNITS, WINDOWS, Known, Scope, Served, Window
from probes import packed

MOST_MULTIPLES = 12
"""Targets with a chart each; more are rows of a table."""
MOST_LINES = 200
"""Rows of that table."""


@dataclass(frozen=True, slots=True)
class TargetLine:
    """One strategy on one target, where there are too many targets for charts."""

    slug: str
    name: str
    strategy: str
    probes: str
    success: strategy_words.Whisker
    delivery: strategy_words.Whisker
    p95: str


@gzip_page
@require(VIEWER)
@require_safe
def strategies(request: HttpRequest) -> HttpResponse:
    """The page. `?window=1h|6h|24h|7d|30d`, `&env=&tag=&location=` and any number of `&target=` narrow it; an unknown
    value counts as none."""
    now, known = timezone.now(), queries.known()
    scope, window = _scope(request.GET, known), BY_KEY.get(request.GET.get("window", ""), DEFAULT_WINDOW)
    targets = [target for target in known.targets if scope.holds(target)]
    places = [scope.location] if scope.location else [key for key, _ in known.locations]
    served = queries.read([target["pk"] for target in targets], places, window.length, now)
    environments = sorted({target["environment_id"] for target in targets})
    real = queries.real_connections(environments, served.start, now) if served.strategies else {}
    context: dict[str, Any] = {
        **_asked(scope, known, window),
        **_compared(served, real, now),
        **_by_target(served, targets),
        "told_by": " and ".join(environments),
        "real_clipped": window.length > queries.MOST_REAL,
        "chosen_targets": len(targets),
    }
    charts = [context["chart"], *context["multiples"]]
    context["chart_data"] = {chart.key: chart.to_json() for chart in charts}
    return render(request, "strategies/page.html", context)


def _scope(asked: QueryDict, known: Known) -> Scope:
    def one(name: str, values: Sequence[str]) -> str:
        value = asked.get(name, "")
        return value if value in values else ""

    slugs = {target["slug"] for target in known.targets}
    return Scope(
        environment=one("env", known.environments()),
        tag=one("tag", known.tags()),
        location=one("location", [key for key, _ in known.locations]),
        slugs=tuple(dict.fromkeys(slug for slug in asked.getlist("target") if slug in slugs)),
    )


def _asked(scope: Scope, known: Known, window: Window) -> dict[str, Any]:
    """What the form and the links of windows show. Defaults are left out of addresses."""
    parts = [("env", scope.environment), ("tag", scope.tag), ("location", scope.location)]
    query = [(name, value) for name, value in parts if value] + [("target", slug) for slug in scope.slugs]
    links = [
        (each, "?" + urlencode([*query, *([("window", each.key)] if each is not DEFAULT_WINDOW else [])]))
        for each in WINDOWS
    ]
    pickers = (
        ("env", "Environment", [(key, key) for key in known.environments()], scope.environment),
        ("tag", "Tag", [(tag, tag) for tag in known.tags()], scope.tag),
        ("location", "Location", known.locations, scope.location),
    )
    return {
        "scope": scope,
        "narrowed": bool(query),
        "window": window,
        "windows": links,
        "default_window": DEFAULT_WINDOW,
        "pickers": [each for each in pickers if len(each[2]) > 1 or each[3]],
        "targets": known.targets,
    }


def _compared(served: Served, real: dict[str, strategy_words.Real], now: datetime) -> dict[str, Any]:
    totals = {name: served.totals(name) for name in served.strategies}
    found = comparing.all_pairs(served.compared())
    rows = [
        strategy_words.row(name, each, real.get(name), (_percentile(each, 0.50), _percentile(each, 0.95)))
        for name, each in totals.items()
    ]
    lines = [Line(name, each.packed, each.never) for name, each in totals.items()]
    since = sentences.clock(served.start, ZoneInfo(settings.TIME_ZONE), now)
    hint = f"upgraded → ready, since {since}{_left_out(list(totals.values()))}"
    chart = race_windows("strategies", "Ready within", hint, lines, 300)
    return {
        "story": strategy_words.verdict(found, totals, served.messages, UNITS[served.width]),
        "rows": rows,
        "since": served.start,
        "unit": UNITS[served.width],
        "untold": served.untold,
        "probes": served.probes,
        "told": bool(real) and any(each.false_not_ready is not None for each in real.values()),
        "chart": chart,
    }


def _percentile(totals: strategy_words.Totals, q: float) -> float:
    return packed.percentile(totals.packed, totals.never, q)


def _left_out(totals: Sequence[strategy_words.Totals]) -> str:
    flagged, probes = (sum(getattr(each, name) for each in totals) for name in ("flagged", "probes"))
    return f" · {sentences.percent(flagged, probes, 1)} left out: our own loop lagged" if flagged else ""


def _by_target(served: Served, targets: Sequence[Any]) -> dict[str, Any]:
    """A chart of each target, or a table of many. Targets come with those first that most strategies served."""
    ids = served.targets()
    found = [(target, _named(served, target["pk"])) for target in targets if target["pk"] in ids]
    found.sort(key=lambda each: -len(each[1]))
    few = len(found) <= MOST_MULTIPLES
    charts = _multiples(found) if few and len(found) > 1 else []
    lines = [] if few else [(target, name, each) for target, totals in found for name, each in totals.items()]
    return {
        "multiples": charts,
        "lines": [_line(*line) for line in lines[:MOST_LINES]],
        "lines_more": max(0, len(lines) - MOST_LINES),
        "served_targets": len(found),
    }


def _named(served: Served, target_id: int) -> dict[str, strategy_words.Totals]:
    totals = {name: served.totals(name, target_id) for name in served.strategies}
    return {name: each for name, each in totals.items() if each.probes}


def _multiples(found: Sequence[tuple[Any, dict[str, strategy_words.Totals]]]) -> list[Chart]:
    """All on one scale, so that one may look from one to the other."""
    drawn = [
        (target, [Line(name, each.packed, each.never) for name, each in totals.items()]) for target, totals in found
    ]
    scale = scale_of([line for _, lines in drawn for line in lines])
    return [
        race_windows(
            f"target-{target['slug']}",
            target["name"],
            sentences.plural(sum(line.probes for line in lines), "probe"),
            lines,
            160,
            scale,
        )
        for target, lines in drawn
    ]


def _line(target: Any, strategy: str, totals: strategy_words.Totals) -> TargetLine:
    return TargetLine(
        slug=target["slug"],
        name=target["name"],
        strategy=strategy,
        probes=sentences.count(totals.probes),
        success=strategy_words.whisker(totals.probes - totals.failed, totals.probes, "probes"),
        delivery=strategy_words.delivery(totals),
        p95=sentences.latency(_percentile(totals, 0.95)),
    )
