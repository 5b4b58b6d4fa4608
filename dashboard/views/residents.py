"""The panel of long-lived connections alone, for pages that stay open."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from dashboard.charts.series import DEFAULT_RANGE
from dashboard.charts.spans import wanted
from dashboard.permissions import VIEWER, require
from dashboard.queries.residents import residents_of
from dashboard.queries.target import TargetReader


@gzip_page
@require_GET
@require(VIEWER)
def residents(request: HttpRequest, slug: str) -> HttpResponse:
    """The panel's inside over `?range=` or `?from=&to=`; an unknown one counts as none."""
    target = TargetReader.find(slug)
    if target is None:
        raise Http404(f"No target is called {slug!r}.")
    try:
        asked = wanted(request.GET.dict())
    except ValueError:
        asked = None
    shown = residents_of(target, asked or DEFAULT_RANGE, timezone.now())
    return render(request, "target/residents.html", {"residents": shown, "target": target})
