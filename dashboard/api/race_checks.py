"""Race checks for programs: start one (scope act), read it (scope read), cancel it (scope act)."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from dashboard import race_checks
from dashboard.api.endpoint import Refused as TooLarge
from dashboard.api.endpoint import read_body
from dashboard.permissions import RESPONDER, VIEWER, person, require, require_api
from probes.engine.summary import NEVER, PERCENTILES
from probes.histogram import bounds
from probes.models import RaceCheck, Target
from probes.race_check_records import Refused, report_of
from probes.race_checks import Request, RequestError
from probes.race_report import FIGURES, Report

MOST_BODY_BYTES = 4096
_TYPES: Mapping[str, tuple[type, str]] = {
    "count": (int, "a whole number"),
    "at_once": (int, "a whole number"),
    "early_send": (bool, "true or false"),
    "location": (str, "text"),
}


@csrf_exempt
@require_POST
@require_api(RESPONDER, "targets")
def start(request: HttpRequest, slug: str) -> HttpResponse:
    """`POST /api/v1/targets/<slug>/race-checks`: 202 with the check.

    400 (a field), 404 (no such target), 409 (one is active, or the target is paused), 429 (too soon after the last).
    """
    target = Target.objects.select_related("environment").filter(slug=slug).first()
    if target is None:
        return _error(404, "target", f"No target is called {slug!r}.")
    try:
        asked = _request(read_body(request, MOST_BODY_BYTES))
        check = race_checks.start(target, asked, person(request).name)
    except TooLarge as refusal:
        return _error(refusal.status, "body", str(refusal))
    except RequestError as error:
        return _error(400, error.field, str(error))
    except Refused as refused:
        return _refused(refused)
    address = reverse("api_race_check", args=[slug, check.pk])
    return JsonResponse(_told(check), status=202, headers={"Location": address})


@require_GET
@require(VIEWER)
def read(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """`GET /api/v1/targets/<slug>/race-checks/<id>`: its state, progress and report."""
    check = RaceCheck.objects.select_related("target").filter(target__slug=slug, pk=number).first()
    if check is None:
        return _error(404, "race_check", f"{slug!r} has no race check {number}.")
    return JsonResponse(_told(check))


@csrf_exempt
@require_POST
@require_api(RESPONDER, "targets")
def cancel(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """`POST /api/v1/targets/<slug>/race-checks/<id>/cancel`: 200 with the check; one that has ended stays as it is."""
    check = RaceCheck.objects.select_related("target").filter(target__slug=slug, pk=number).first()
    if check is None:
        return _error(404, "race_check", f"{slug!r} has no race check {number}.")
    race_checks.cancel(check, person(request).name)
    check.refresh_from_db()
    return JsonResponse(_told(check))


def _request(body: bytes) -> Request:
    try:
        told = json.loads(body or b"{}")
    except ValueError as error:
        raise RequestError("body", "is no JSON. Send an object.") from error
    if not isinstance(told, dict):
        raise RequestError("body", "must be an object.")
    known = [each.name for each in fields(Request)]
    for name, value in told.items():
        if name not in known:
            raise RequestError(str(name), f"is no field. Use {', '.join(known)}.")
        kind, words = _TYPES[name]
        if type(value) is not kind:
            raise RequestError(name, f"must be {words}.")
    return Request(**told)


def _refused(refused: Refused) -> HttpResponse:
    if refused.running is not None:
        return _error(409, "running", refused.message, race_check=refused.running.pk)
    if not refused.wait:
        return _error(409, "paused", refused.message)
    answer = _error(429, "too_soon", refused.message)
    answer["Retry-After"] = str(max(1, math.ceil(refused.wait.total_seconds())))
    return answer


def _error(status: int, code: str, message: str, **more: Any) -> HttpResponse:
    return JsonResponse({"error": {"code": code, "message": message, **more}}, status=status)


def _told(check: RaceCheck) -> dict[str, Any]:
    report = report_of(check, samples=True)
    return {
        "id": check.pk,
        "target": check.target.slug,
        "location": check.location_id,
        "state": check.state,
        "why": check.why,
        "count": check.count,
        "at_once": check.at_once,
        "early_send": check.early_send,
        "asked_by": check.asked_by,
        "asked_at": check.asked_at,
        "started_at": check.started_at,
        "ended_at": check.ended_at,
        "done": check.done,
        "failed": check.failed,
        "report": _report(report) if report else None,
    }


def _report(report: Report) -> dict[str, Any]:
    percentiles = {
        f"{name}_ms": {f"p{q}": _shown(report.percentile_us(name, q)) for q in PERCENTILES} for name in FIGURES
    }
    return {
        **report.to_json(),
        **percentiles,
        "failure_share_bounds_95": bounds(report.failed, report.probes),
        "race_share_bounds_95": bounds(report.race, report.probes),
        "undelivered_share_bounds_95": bounds(report.undelivered, report.expected),
    }


def _shown(us: float) -> float | str | None:
    if math.isnan(us):
        return None
    return NEVER if math.isinf(us) else round(us / 1000, 3)
