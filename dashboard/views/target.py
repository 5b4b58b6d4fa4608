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
from dashboard.charts.series import BY_KEY, DEFAULT_RANGE, RANGES, Range
from dashboard.permissions import VIEWER, require
from dashboard.queries import probe as probe_queries
from dashboard.queries import race_checks
from dashboard.queries.real_connections import real_connections_of
from dashboard.queries.residents import residents_of
from dashboard.queries.stories import FAILING
from dashboard.queries.target import SIDE_PROBES, TABLE_PROBES, Condition, TargetReader
from dashboard.queries.windows import newest_result, window
from dashboard.views.act_panel import opened as act_opened


@gzip_page
@require(VIEWER)
def target(request: HttpRequest, slug: str) -> HttpResponse:
    """The page. `?range=` is one of `RANGES`, `?probe=` opens a probe; an unknown value counts as none."""
    found = TargetReader.find(slug)
    if found is None:
        raise Http404(f"No target is called {slug!r}.")
    identity = request.GET.get("probe", "")
    opened = probe_queries.find(found, identity) if identity else None
    context: dict[str, Any] = {"target": found, "opened": opened, "gone": bool(identity) and opened is None}
    context |= {"certificate": TargetReader(found).certificate(timezone.now())}
    context |= {"range": BY_KEY.get(request.GET.get("range", "")), "identity": identity}
    context |= {"act": request.GET.get("act", "")}
    if getattr(request, "htmx", False):
        return render(request, "target/probe.html", context)
    return render(request, "target/page.html", {**context, **_page(TargetReader(found), context)})


def _page(reader: TargetReader, context: dict[str, Any]) -> dict[str, Any]:
    now = timezone.now()
    condition = reader.condition(now)
    chosen = context["range"] or range_for(condition, now)
    shown = window(reader.target, chosen, now, condition.since if condition.state in FAILING else None)
    probes = reader.probes(TABLE_PROBES)
    built = charts(shown, ZoneInfo(settings.TIME_ZONE))
    newest = None if shown.buckets else newest_result(reader.target)
    return {
        "range": chosen,
        "condition": condition,
        "practised": reader.practised(now),
        "word": sentences.STATE_WORDS[condition.state],
        "ranges": RANGES,
        "charts": {chart.key: chart for chart in built},
        "chart_data": {chart.key: chart.to_json() for chart in built},
        "newest": newest,
        "residents": residents_of(reader.target, chosen, now),
        "probes": probes[:SIDE_PROBES],
        "all_probes": probes,
        "governing": reader.governing(now),
        "revisions": reader.changes(),
        "real": real_connections_of(reader.target, now),
        **act_opened(reader.target, context["act"]),
        **race_checks.card(reader.target, race_checks.newest(reader.target, race_checks.CARD)),
    }


def range_for(condition: Condition, now: datetime) -> Range:
    """The range a page opens with: for a failing target the shortest that holds the beginning in its right 75 %."""
    if condition.state not in FAILING:
        return DEFAULT_RANGE
    return next((each for each in RANGES if now - condition.since <= each.length * 0.75), RANGES[-1])
