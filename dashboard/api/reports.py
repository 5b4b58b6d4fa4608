"""Watched servers tell which revision they hold."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from connections.flags import reports
from connections.flags.evaluation import ErrorCode
from dashboard.api import authentication
from dashboard.api.endpoint import Refused, endpoint, read_body
from dashboard.revisions import watcher


@endpoint("POST")
async def report(request: HttpRequest) -> HttpResponse:
    """`POST /api/v1/servers/report`: 204 once it is stored."""
    holder = await authentication.watched_server(request)
    try:
        told = reports.read(read_body(request, reports.MAX_BODY_BYTES))
    except reports.ReportError as error:
        raise Refused(400, str(error), code=ErrorCode.PARSE_ERROR) from None
    await watcher().inbox.put(reports.Told(holder, told, timezone.now()))
    return HttpResponse(status=204)
