"""The definitions that watched servers evaluate by themselves: flagd's JSON, by conditional GET."""

from django.http import HttpRequest, HttpResponse

from connections.flags import ofrep
from dashboard.api import authentication
from dashboard.api.endpoint import answer_response, endpoint
from dashboard.revisions import watcher


@endpoint("GET", "HEAD")
async def definitions(request: HttpRequest) -> HttpResponse:
    """`GET /api/v1/definitions`: 200 with a strong ETag, or 304."""
    holder = await authentication.watched_server(request)
    snapshot = (await watcher().snapshot(holder.environment)).scope(holder.tags)
    answer = ofrep.Answer(200, snapshot.definitions, {"ETag": snapshot.etag})
    return answer_response(ofrep.unless_matched(answer, request.headers.get("If-None-Match")))
