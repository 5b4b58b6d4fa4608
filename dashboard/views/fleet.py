"""`/fleet/`: our own probes, location by location, and the watched servers of every environment."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from dashboard.charts.series import Range
from dashboard.permissions import VIEWER, require
from dashboard.queries import fleet as fleet_queries
from dashboard.queries import fleet_page
from dashboard.queries.fleet import Fleet
from dashboard.queries.fleet_page import BY_KEY, RANGES


@gzip_page
@require(VIEWER)
def fleet(request: HttpRequest) -> HttpResponse:
    """The page. `?range=` is one of `RANGES`, `?location=` chooses whose start delay is drawn; an unknown value counts
    as none."""
    now = timezone.now()
    found, range_ = fleet_queries.read(now), BY_KEY.get(request.GET.get("range", ""), RANGES[0])
    figures = _figures(found, range_, request.GET.get("location", ""), now)
    context = {
        "fleet": found,
        "needs": fleet_page.needs(found),
        "places": [(row, figures["figures"][row.key]) for row in found.places],
        "servers": fleet_page.servers(now),
        "range": range_,
        "ranges": RANGES,
        "location": figures["location"],
        "chart": figures["chart"],
        "chart_data": figures["chart"].to_json() if figures["chart"] else None,
    }
    return render(request, "fleet/page.html", context)


@gzip_page
@require_GET
@require(VIEWER)
def figures(request: HttpRequest) -> JsonResponse:
    """What changes with the window: {"figures": {location: figures}, "chart": Chart}, and with `?table=1` its table."""
    now = timezone.now()
    range_ = BY_KEY.get(request.GET.get("range", ""), RANGES[0])
    told = _figures(fleet_queries.read(now), range_, request.GET.get("location", ""), now)
    chart = told["chart"]
    return JsonResponse(
        {
            "figures": {key: asdict(row) for key, row in told["figures"].items()},
            "chart": chart.to_json() if chart else None,
            "table": chart.table.to_json() if chart and request.GET.get("table") else None,
        }
    )


def _figures(found: Fleet, range_: Range, wanted: str, now: datetime) -> dict[str, Any]:
    """Figures of all locations, and the chart of the one that is wanted; else of the worst."""
    windows = fleet_page.windows(range_, now)
    by_key = {one.place.key: one for one in found.conditions}
    chosen = by_key.get(wanted) or (found.conditions[0] if found.conditions else None)
    chart = None
    if chosen is not None and (chosen.place.interval or windows.get(chosen.place.key)):
        since = chosen.since if chosen.ill else None
        chart = fleet_page.chart(chosen.place.name, windows.get(chosen.place.key, ()), range_, now, since)
    return {
        "figures": {key: fleet_page.figures(windows.get(key, ())) for key in by_key},
        "location": chosen.place.key if chosen else "",
        "chart": chart,
    }
