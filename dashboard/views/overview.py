"""`/`: every target, worst first, and the sentence that says what is wrong."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.gzip import gzip_page

from dashboard import sentences
from dashboard.permissions import VIEWER, require
from dashboard.queries.overview import STATES, OverviewReader
from dashboard.queries.practice import notes

CHIPS = ("down", "degraded", "stale", "up", "paused", "unknown")


@gzip_page
@require(VIEWER)
def overview(request: HttpRequest) -> HttpResponse:
    """The page. `?state=` and `?env=` narrow it; an unknown value counts as none."""
    now = timezone.now()
    shown = OverviewReader().read(now)
    environments = {row.environment: (row.environment, row.environment_name) for row in shown.rows}
    state = request.GET.get("state", "")
    environment = request.GET.get("env", "")
    context = {
        "overview": shown,
        "practised": notes(now),
        "state": state if state in STATES else "",
        "environment": environment if environment in environments else "",
        "environments": sorted(environments.values()),
        "chips": [(name, sentences.STATE_WORDS[name], shown.counts[name]) for name in CHIPS],
        "title_prefix": sentences.title(shown.counts["down"], shown.counts["degraded"]),
    }
    return render(request, "overview/page.html", context)
