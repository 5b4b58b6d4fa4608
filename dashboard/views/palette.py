"""`/palette.json`: what the command palette offers a person on the page they are on."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET

from dashboard.context import menu_for
from dashboard.permissions import VIEWER, person, require
from dashboard.queries.palette import palette

LONGEST_PATH = 300


@gzip_page
@require_GET
@require(VIEWER)
def commands(request: HttpRequest) -> JsonResponse:
    """`?at=` is the path of the page; one that is unknown counts as none. {"groups": [{"title", "entries": [...]}]}."""
    path = request.GET.get("at", "")[:LONGEST_PATH]
    menu = [(item.label, item.href) for item in menu_for(person(request), path)]
    return JsonResponse({"groups": palette(person(request), path, menu)})
