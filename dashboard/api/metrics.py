"""`GET /metrics`: the product's own figures for Prometheus, with an API token of scope read. docs/metrics.md."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.gzip import gzip_page

from dashboard.api.acting import reads
from dashboard.exposition import CONTENT_TYPE, text
from dashboard.queries.metrics import collector


@gzip_page
@reads
def metrics(request: HttpRequest) -> HttpResponse:
    """Every web process tells the same, except for what it remembers: scrape one address."""
    return HttpResponse(text(collector.collect(timezone.now())), content_type=CONTENT_TYPE)
