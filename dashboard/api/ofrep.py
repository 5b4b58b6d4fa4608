"""OFREP over HTTP, for any OpenFeature client."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode

from connections.flags import keys, ofrep
from connections.flags.keys import Holder
from dashboard.api import authentication
from dashboard.api.endpoint import Refused, answer_response, endpoint, read_body
from dashboard.revisions import Snapshot, watcher


@endpoint("POST")
async def evaluate_flag(request: HttpRequest, key: str) -> HttpResponse:
    """`POST /ofrep/v1/evaluate/flags/{key}`."""
    holder = await authentication.server(request)
    context = _context(request, key)
    snapshot = await watcher().snapshot(holder.environment)
    return answer_response(ofrep.single(snapshot.flags.served, key, context))


@endpoint("POST")
async def evaluate_flags(request: HttpRequest) -> HttpResponse:
    """`POST /ofrep/v1/evaluate/flags`: every flag, with an ETag and the caller's event stream."""
    holder = await authentication.server(request)
    context = _context(request, None)
    snapshot = await watcher().snapshot(holder.environment)
    answer = _bulk(snapshot, holder, context)
    return answer_response(ofrep.unless_matched(answer, request.headers.get("If-None-Match")))


def _bulk(snapshot: Snapshot, holder: Holder, context: dict[str, Any]) -> ofrep.Answer:
    """The prepared answer of this revision and key, where it does not depend on the subject."""
    address = f"{reverse('ofrep_events')}?{urlencode({'token': keys.stream_token(holder)})}"
    if address in snapshot.answers:
        return snapshot.answers[address]
    answer = ofrep.bulk(
        snapshot.flags.served,
        context,
        revision=snapshot.revision,
        stream=address,
        metadata={
            "environment": snapshot.environment,
            "revision": snapshot.revision,
            "version": snapshot.flags.version,
        },
    )
    if not snapshot.depends_on_context:
        snapshot.answers[address] = answer
    return answer


def _context(request: HttpRequest, key: str | None) -> dict[str, Any]:
    try:
        return ofrep.read_context(read_body(request, ofrep.MAX_BODY_BYTES))
    except ofrep.BadRequest as error:
        raise Refused(400, error.details, code=error.code, key=key) from None
