"""The use of flags: which could be removed, which are evaluated, and who is served which variant."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from connections.flags.errors import FlagError
from dashboard import queries_flags
from dashboard.permissions import VIEWER, require
from dashboard.queries.use import use_page


@require(VIEWER)
@require_safe
def use(request: HttpRequest) -> HttpResponse:
    """`/flags/use/?env=staging&flag=readiness-strategy`."""
    try:
        stage = queries_flags.chosen_environment(request.GET.get("env", ""))
    except FlagError as unknown:
        raise Http404(str(unknown)) from unknown
    asked = request.GET.get("flag", "readiness-strategy").strip()[:100]
    context = use_page(stage.key, asked, now=timezone.now())
    return render(
        request, "flags/use.html", {**context, "environment": stage, "environments": queries_flags.environments()}
    )
