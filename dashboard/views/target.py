"""`/targets/<slug>/`: the story of one target, its charts, its probes, and the flags that govern it."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.gzip import gzip_page

from dashboard import sentences
from dashboard.charts import charts
from dashboard.charts.series import DEFAULT_RANGE, RANGES, Range
from dashboard.charts.spans import Wanted, query_of, wanted
from dashboard.permissions import VIEWER, require
from dashboard.queries import probe as probe_queries
from dashboard.queries import race_checks
from dashboard.queries.real_connections import real_connections_of
from dashboard.queries.residents import residents_of
from dashboard.queries.selections import area_of, compared, listed, stretch_of
from dashboard.queries.stories import FAILING
from dashboard.queries.target import SIDE_PROBES, TABLE_PROBES, Condition, TargetReader
from dashboard.queries.windows import window
from dashboard.views.act_panel import opened as act_opened
from dashboard.views.chart_data import told
from probes.models import Target


@gzip_page
@require(VIEWER)
def target(request: HttpRequest, slug: str) -> HttpResponse:
    """The page. `?range=` is one of `RANGES`, or `?from=&to=` two instants in UTC; an unknown value counts as none.

    `?probe=` opens a probe, `?bucket=` the probes of a stretch of time, `?picked=&ready=` what an area has of its own.
    """
    found = TargetReader.find(slug)
    if found is None:
        raise Http404(f"No target is called {slug!r}.")
    now = timezone.now()
    asked = _asked(request)
    context: dict[str, Any] = {"target": found, "range_query": query_of(asked)}
    context |= {"certificate": TargetReader(found).certificate(now)}
    if getattr(request, "htmx", False):
        context |= _opened(found, request, asked or DEFAULT_RANGE, now)
        return render(request, "target/opened.html", context)
    reader = TargetReader(found)
    condition = reader.condition(now)
    shown = asked or range_for(condition, now)
    context |= _opened(found, request, shown, now)
    context |= act_opened(found, request.GET.get("act", ""))
    return render(request, "target/page.html", {**context, **_page(reader, condition, shown, now)})


def _asked(request: HttpRequest) -> Wanted | None:
    try:
        return wanted(request.GET.dict())
    except ValueError:
        return None


def _opened(found: Target, request: HttpRequest, shown: Wanted, now: datetime) -> dict[str, Any]:
    """What the side column shows of the charts: a probe, those of a bucket, or what is different about an area."""
    identity = request.GET.get("probe", "")
    if identity:
        opened = probe_queries.find(found, identity)
        return {"opened": opened, "gone": opened is None, "identity": identity}
    try:
        if "bucket" in request.GET:
            return {"listed": listed(found, stretch_of(request.GET["bucket"], "bucket"), now)}
        if "picked" in request.GET:
            return {"compared": compared(found, area_of(request.GET.dict()), shown, now)}
    except ValueError as problem:
        return {"unreadable": str(problem)}
    return {}


def _page(reader: TargetReader, condition: Condition, shown: Wanted, now: datetime) -> dict[str, Any]:
    drawn = window(reader.target, shown, now, condition.since if condition.state in FAILING else None)
    probes = reader.probes(TABLE_PROBES)
    built = charts(drawn, ZoneInfo(settings.TIME_ZONE))
    return {
        "span": told(reader.target, shown, drawn, now),
        "condition": condition,
        "failing": condition.state in FAILING,
        "practised": reader.practised(now),
        "word": sentences.STATE_WORDS[condition.state],
        "ranges": RANGES,
        "charts": {chart.key: chart for chart in built},
        "chart_data": {chart.key: chart.to_json() for chart in built},
        "residents": residents_of(reader.target, shown, now),
        "probes": probes[:SIDE_PROBES],
        "all_probes": probes,
        "governing": reader.governing(now),
        "changes": reader.changes(condition),
        "real": real_connections_of(reader.target, now),
        **race_checks.card(reader.target, race_checks.newest(reader.target, race_checks.CARD)),
    }


def range_for(condition: Condition, now: datetime) -> Range:
    """The range a page opens with: for a failing target the shortest that holds the beginning in its right 75 %."""
    if condition.state not in FAILING:
        return DEFAULT_RANGE
    return next((each for each in RANGES if now - condition.since <= each.length * 0.75), RANGES[-1])
