"""OFREP over HTTP, for any OpenFeature client."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode

from connections.flags import keys, ofrep
from dashboard.api import authentication
from dashboard.api.endpoint import Refused, answer_response, endpoint, read_body
from dashboard.revisions import watcher
from dashboard.snapshots import Snapshot

MOST_ANSWERS, MOST_ANSWER_BYTES = 1_000, 64 * 1024
"""Bulk answers kept of one revision: 64 MB at the very most."""


@endpoint("POST")
async def evaluate_flag(request: HttpRequest, key: str) -> HttpResponse:
    """`POST /ofrep/v1/evaluate/flags/{key}`."""
    holder = await authentication.server(request)
    context = _context(_body(request), key)
    snapshot = (await watcher().snapshot(holder.environment)).scope(holder.tags)
    evaluation = ofrep.evaluated(snapshot.flags.served, key, context)
    if evaluation.ok:
        watcher().uses.evaluated(holder, evaluation.key, evaluation.variant)
    return answer_response(ofrep.answered(evaluation, snapshot.flags.served))


@endpoint("POST")
async def evaluate_flags(request: HttpRequest) -> HttpResponse:
    """`POST /ofrep/v1/evaluate/flags`: every flag, with an ETag and the caller's event stream."""
    holder = await authentication.server(request)
    body = _body(request)
    snapshot = (await watcher().snapshot(holder.environment)).scope(holder.tags)
    answer = _bulk(snapshot, f"{reverse('ofrep_events')}?{urlencode({'token': keys.stream_token(holder)})}", body)
    watcher().uses.answered_all(holder)
    return answer_response(ofrep.unless_matched(answer, request.headers.get("If-None-Match")))


def _bulk(snapshot: Snapshot, stream: str, body: bytes) -> ofrep.Answer:
    """This revision's answer for a key and a request: made once, and once for all where no rule asks who it is."""
    context = _context(body, None)
    asked = (stream, body if snapshot.depends_on_context else b"")
    if asked in snapshot.answers:
        return snapshot.answers[asked]
    answer = snapshot.bulk(context, stream=stream)
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
