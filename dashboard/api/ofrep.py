"""OFREP over HTTP, for any OpenFeature client."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode

from connections.flags import keys, ofrep
from dashboard.api import authentication
from dashboard.api.endpoint import Refused, answer_response, endpoint, read_body
from dashboard.revisions import watcher


@endpoint("POST")
async def evaluate_flag(request: HttpRequest, key: str) -> HttpResponse:
    """`POST /ofrep/v1/evaluate/flags/{key}`."""
    holder = await authentication.server(request)
    context = _context(request, key)
    snapshot = (await watcher().snapshot(holder.environment)).scope(holder.tags)
    evaluation = ofrep.evaluated(snapshot.flags.served, key, context)
    if evaluation.ok:
        watcher().uses.evaluated(holder, evaluation.key, evaluation.variant)
    return answer_response(ofrep.answered(evaluation, snapshot.flags.served))


@endpoint("POST")
async def evaluate_flags(request: HttpRequest) -> HttpResponse:
    """`POST /ofrep/v1/evaluate/flags`: every flag, with an ETag and the caller's event stream."""
    holder = await authentication.server(request)
    context = _context(request, None)
    snapshot = (await watcher().snapshot(holder.environment)).scope(holder.tags)
    address = f"{reverse('ofrep_events')}?{urlencode({'token': keys.stream_token(holder)})}"
    answer = snapshot.bulk(context, stream=address)
    watcher().uses.answered_all(holder)
    return answer_response(ofrep.unless_matched(answer, request.headers.get("If-None-Match")))


def _context(request: HttpRequest, key: str | None) -> dict[str, Any]:
    try:
        return ofrep.read_context(read_body(request, ofrep.MAX_BODY_BYTES))
    except ofrep.BadRequest as error:
        raise Refused(400, error.details, code=error.code, key=key) from None
