"""Figures and slots as JSON, for pages that stay open."""

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import Http404, HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from dashboard.charts import charts
from dashboard.charts.series import BY_KEY
from dashboard.permissions import VIEWER, require
from dashboard.queries.stories import FAILING
from dashboard.queries.target import TargetReader
from dashboard.queries.windows import window
from probes.models import TargetStatus
from probes.recent import unpacked


def _refused(field: str, known: Iterable[str]) -> JsonResponse:
    message = f"{field}: one of {', '.join(known)}."
    return JsonResponse({"error": {"code": field, "message": message}}, status=400)


@gzip_page
@require_GET
@require(VIEWER)
def figures(request: HttpRequest, slug: str) -> JsonResponse:
    """Every chart of a target over `?range=`: {"at", "charts": {key: Chart}}.

    With `?table=KEY` that chart's table alone: {"at", "table": {"columns", "rows"}}. 400 for an unknown range or table.
    """
    chosen = BY_KEY.get(request.GET.get("range", ""))
    if chosen is None:
        return _refused("range", BY_KEY)
    target = TargetReader.find(slug)
    if target is None:
        raise Http404(f"No target is called {slug!r}.")
    now = timezone.now()
    condition = TargetReader(target).condition(now)
    shown = window(target, chosen, now, condition.since if condition.state in FAILING else None)
    built = charts(shown, ZoneInfo(settings.TIME_ZONE))
    wanted = request.GET.get("table", "")
    if not wanted:
        return JsonResponse({"at": now, "charts": {chart.key: chart.to_json() for chart in built}})
    tables = {chart.key: chart.table for chart in built}
    if wanted not in tables:
        return _refused("table", tables)
    return JsonResponse({"at": now, "table": tables[wanted].to_json()})


@require_GET
@require(VIEWER)
def slots(request: HttpRequest, slug: str) -> JsonResponse:
    """The last sixty slots of a target, oldest first, for the ribbon's tooltip: {"slots": [...]}.

    A slot is `probes.recent.Row`; its instant is in microseconds since 1970.
    """
    status = TargetStatus.objects.filter(target__slug=slug).values("recent").first()
    return JsonResponse({"slots": unpacked(status["recent"]) if status else []})
