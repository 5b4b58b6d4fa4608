"""Figures and slots as JSON, for pages that stay open."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import Http404, HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from dashboard.charts import Chart, charts
from dashboard.charts.cursor import cursor
from dashboard.charts.series import FIGURES, Window, coarser
from dashboard.charts.spans import Fixed, Wanted, required, written
from dashboard.permissions import VIEWER, require
from dashboard.queries.stories import FAILING
from dashboard.queries.target import TargetReader
from dashboard.queries.windows import span, window
from probes.models import Target, TargetStatus
from probes.recent import unpacked

PRINTED_STEPS = 24
"""Steps of time in a printed table twin, some of which take a row per phase or latency: more is paper unread."""
ALL_TABLES = "all"


def _refused(message: str) -> JsonResponse:
    return JsonResponse({"error": {"code": message.partition(":")[0], "message": message}}, status=400)


@gzip_page
@require_GET
@require(VIEWER)
def figures(request: HttpRequest, slug: str) -> JsonResponse:
    """Every chart of a target over `?range=`, or over `?from=&to=`: {"at", "charts": {key: Chart}, "span": `told`}.

    With `?table=KEY` that chart's table alone: {"at", "table": {"columns", "rows"}}. With `?table=all` all of them,
    short enough to print: {"at", "tables": {key: {"title", "columns", "rows"}}}. 400 for an unknown range or table.
    """
    try:
        asked = required(request.GET.dict())
    except ValueError as problem:
        return _refused(str(problem))
    target = TargetReader.find(slug)
    if target is None:
        raise Http404(f"No target is called {slug!r}.")
    now = timezone.now()
    condition = TargetReader(target).condition(now)
    shown = window(target, asked, now, condition.since if condition.state in FAILING else None)
    table = request.GET.get("table", "")
    zone = ZoneInfo(settings.TIME_ZONE)
    if table == ALL_TABLES:
        shown = shortened(shown)
    built = {chart.key: chart for chart in charts(shown, zone)}
    if table and table not in (*built, ALL_TABLES):
        return _refused(f"table: one of {', '.join((*built, ALL_TABLES))}.")
    if table:
        return JsonResponse({"at": now, **_tables(built, table)})
    drawn = {key: chart.to_json() for key, chart in built.items()}
    return JsonResponse({"at": now, "charts": drawn, "span": told(target, asked, shown, now)})


def _tables(built: Mapping[str, Chart], wanted_key: str) -> dict[str, Any]:
    if wanted_key != ALL_TABLES:
        return {"table": built[wanted_key].table.to_json()}
    return {"tables": {key: {"title": chart.title, **chart.table.to_json()} for key, chart in built.items()}}


def shortened(shown: Window) -> Window:
    """The same window in so few buckets that its tables can be printed."""
    buckets, size = coarser(shown, PRINTED_STEPS, *FIGURES)
    return replace(shown, buckets=buckets, bucket=size)


def told(target: Target, asked: Wanted, shown: Window, now: datetime) -> dict[str, Any]:
    """What a page knows of the time it shows: {"key", "label", "from", "to", "cursor"}.

    `key` names a preset that follows the present, "" a fixed stretch; `from` and `to` are its ends, as in addresses.
    """
    stretch = span(target, asked, now)
    start = asked.start if isinstance(asked, Fixed) else shown.start
    return {
        "key": stretch.key,
        "label": stretch.label,
        "from": written(start),
        "to": written(shown.end),
        "cursor": cursor(shown, ZoneInfo(settings.TIME_ZONE)),
    }


@require_GET
@require(VIEWER)
def slots(request: HttpRequest, slug: str) -> JsonResponse:
    """The last sixty slots of a target, oldest first, for the ribbon's tooltip: {"slots": [...]}.

    A slot is `probes.recent.Row`; its instant is in microseconds since 1970.
    """
    status = TargetStatus.objects.filter(target__slug=slug).values("recent").first()
    return JsonResponse({"slots": unpacked(status["recent"]) if status else []})
