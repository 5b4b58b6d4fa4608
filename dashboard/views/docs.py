"""`/docs/` and `/docs/<page>/`: the documentation, served by the product it is about; and what its popovers say."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from dashboard import handbook
from dashboard import help as help_table
from dashboard.permissions import VIEWER, require


@gzip_page
@require(VIEWER)
@require_safe
def docs(request: HttpRequest, name: str = handbook.INDEX) -> HttpResponse:
    """One page, or the first one, which lists them all."""
    found = handbook.page(name)
    if found is None:
        raise Http404(f"No page of the documentation is called {name!r}.")
    return render(request, "docs/page.html", {"page": found, "first": name == handbook.INDEX})


@gzip_page
@require(VIEWER)
@require_safe
def help_json(request: HttpRequest, version: str) -> HttpResponse:
    """Every popover's words. The address holds their version, so a browser asks once per version; an old address
    (a page from before an upgrade) gets today's words and keeps them for that page alone."""
    answer = HttpResponse(help_table.as_json(), content_type="application/json")
    kept = "private, max-age=31536000, immutable" if version == help_table.version() else "no-store"
    answer["Cache-Control"] = kept
    return answer
