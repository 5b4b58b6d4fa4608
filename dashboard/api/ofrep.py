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

MOST_ANSWERS, MOST_ANSWER_BYTES = 1_000, 64 * 1024
"""Bulk answers kept of one revision: 64 MB at the very most."""


@endpoint("POST")
async def evaluate_flag(request: HttpRequest, key: str) -> HttpResponse:
    """`POST /ofrep/v1/evaluate/flags/{key}`."""
    holder = await authentication.server(request)
    context = _context(_body(request), key)
    snapshot = await watcher().snapshot(holder.environment)
    return answer_response(ofrep.single(snapshot.flags.served, key, context))


@endpoint("POST")
async def evaluate_flags(request: HttpRequest) -> HttpResponse:
    """`POST /ofrep/v1/evaluate/flags`: every flag, with an ETag and the caller's event stream."""
    holder = await authentication.server(request)
    body = _body(request)
    snapshot = await watcher().snapshot(holder.environment)
    answer = _bulk(snapshot, holder, body)
    return answer_response(ofrep.unless_matched(answer, request.headers.get("If-None-Match")))


def _bulk(snapshot: Snapshot, holder: Holder, body: bytes) -> ofrep.Answer:
    """This revision's answer for a key and a request: made once, and once for all where no rule asks who it is."""
    address = f"{reverse('ofrep_events')}?{urlencode({'token': keys.stream_token(holder)})}"
    context = _context(body, None)
    asked = (address, body if snapshot.depends_on_context else b"")
    if asked in snapshot.answers:
        return snapshot.answers[asked]
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
    if len(snapshot.answers) >= MOST_ANSWERS:
        snapshot.answers.clear()
    if len(asked[1]) + len(answer.body or b"") <= MOST_ANSWER_BYTES:
        snapshot.answers[asked] = answer
    return answer


def _body(request: HttpRequest) -> bytes:
    return read_body(request, ofrep.MAX_BODY_BYTES)


def _context(body: bytes, key: str | None) -> dict[str, Any]:
    try:
        return ofrep.read_context(body)
    except ofrep.BadRequest as error:
        raise Refused(400, error.details, code=error.code, key=key) from None
