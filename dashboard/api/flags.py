"""Flags for programs: read what an environment serves and served, change values, go back, kill and lift."""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from connections.flags import control, reading
from connections.flags.errors import UnknownVersion
from connections.models import Environment, Revision, Version
from dashboard.api.acting import Asked, BadRequest, act, by_method, reads

PAGE = 50
MOST_SECONDS = 366 * 86_400


def _environments(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"environments": [_environment(stage) for stage in Environment.objects.all()]})


def _one(request: HttpRequest, environment: str) -> HttpResponse:
    return JsonResponse(_environment(reading.environment(environment)))


def _flags(request: HttpRequest, environment: str) -> HttpResponse:
    return _version_answer(environment, None)


def _change(request: HttpRequest, environment: str) -> HttpResponse:
    def perform(asked: Asked) -> Version:
        values = asked.fields.get("values", {})
        if not values or not all(isinstance(variant, str) for variant in values.values()):
            raise BadRequest("values", "values is an object: a variant's name for each flag.")
        if asked.expected_version is None:
            raise BadRequest("If-Match", "Say which version you saw: If-Match, or expected_version.", 428)
        return control.change(
            environment, values, author=asked.author, reason=asked.reason, expected_version=asked.expected_version
        )

    return act(request, perform, fields={"values": (dict, "an object")})


def _kill(request: HttpRequest, environment: str, key: str) -> HttpResponse:
    def perform(asked: Asked) -> Revision:
        seconds = asked.fields.get("for_seconds")
        if seconds is not None and not 1 <= seconds <= MOST_SECONDS:
            raise BadRequest("for_seconds", f"for_seconds lies between 1 and {MOST_SECONDS}.")
        until = None if seconds is None else timezone.now() + timedelta(seconds=seconds)
        return control.kill(environment, key, author=asked.author, reason=asked.reason, expires_at=until)

    return act(request, perform, fields={"for_seconds": (int, "a whole number")})


def _lift(request: HttpRequest, environment: str, key: str) -> HttpResponse:
    def perform(asked: Asked) -> Revision:
        kind = asked.fields.get("kind", "kill")
        return control.lift(environment, key, kind, author=asked.author, reason=asked.reason)

    return act(request, perform, fields={"kind": (str, "kill or breaker")})


def _versions(request: HttpRequest, environment: str) -> HttpResponse:
    rows = Version.objects.filter(environment=reading.environment(environment)).order_by("-number")
    return _page(request, "versions", rows, _version)


def _revisions(request: HttpRequest, environment: str) -> HttpResponse:
    rows = Revision.objects.filter(environment=reading.environment(environment)).select_related("version")
    return _page(request, "revisions", rows.order_by("-number"), _revision)


def _old_version(request: HttpRequest, environment: str, number: int) -> HttpResponse:
    return _version_answer(environment, number)


def _revert(request: HttpRequest, environment: str, number: int) -> HttpResponse:
    def perform(asked: Asked) -> Version:
        return control.revert(
            environment, number, author=asked.author, reason=asked.reason, expected_version=asked.expected_version
        )

    return act(request, perform)


def _known_good(request: HttpRequest, environment: str, number: int) -> HttpResponse:
    def perform(asked: Asked) -> dict[str, Any]:
        marked = reading.known_good(reading.environment(environment).key)
        changed = marked is None or marked.number != number
        if changed:
            control.mark_known_good(environment, number, author=asked.author)
        return {"changed": changed, "environment": environment, "known_good": number}

    return act(request, perform)


def _environment(stage: Environment) -> dict[str, Any]:
    flags, good = reading.flag_set(stage.key), reading.known_good(stage.key)
    return {
        "key": stage.key,
        "name": stage.name,
        "is_production": stage.is_production,
        "reason_required": stage.reason_required,
        "revision": flags.revision,
        "version": flags.version,
        "known_good": good.number if good else None,
        "layers": [layer.as_json() for layer in flags.layers],
        "served": {key: body.get("defaultVariant") for key, body in flags.served.items()},
    }


def _version_answer(environment: str, number: int | None) -> HttpResponse:
    """A version and its definitions; its ETag is what `If-Match` takes."""
    flags = reading.flag_set(environment, number)
    row = Version.objects.filter(environment_id=environment, number=flags.version).first()
    if row is None:
        raise UnknownVersion(flags.version, flags.version)
    told = {**_version(row), "flags": flags.definitions}
    return JsonResponse(told, headers={"ETag": f'"{flags.version}"'})


def _version(row: Version) -> dict[str, Any]:
    return {
        "version": row.number,
        "kind": row.kind,
        "author": row.author,
        "reason": row.reason,
        "at": row.created_at,
        "set_hash": row.set_hash,
        "known_good": row.known_good_at is not None,
    }


def _revision(row: Revision) -> dict[str, Any]:
    return {
        "revision": row.number,
        "version": row.version.number,
        "cause": row.cause,
        "author": row.author,
        "reason": row.reason,
        "at": row.at,
        "summary": row.summary,
        "layers": row.layers,
    }


def _page(request: HttpRequest, name: str, rows: Any, told: Any) -> HttpResponse:
    """Up to PAGE rows, newest first; `next`: what to send as `?before=` for the rows after them."""
    before = request.GET.get("before", "")
    if before:
        if not (before.isascii() and before.isdigit() and len(before) < 16):
            raise BadRequest("before", "before is the number of a row.")
        rows = rows.filter(number__lt=int(before))
    found = list(rows[: PAGE + 1])
    following = found[PAGE - 1].number if len(found) > PAGE else None
    return JsonResponse({name: [told(row) for row in found[:PAGE]], "next": following})


environments = reads(_environments)
environment = reads(_one)
flags = by_method(GET=_flags, POST=_change)
kill = by_method(POST=_kill)
lift = by_method(POST=_lift)
versions = reads(_versions)
version = reads(_old_version)
revert = by_method(POST=_revert)
known_good = by_method(POST=_known_good)
revisions = reads(_revisions)
