"""Deploys for programs: one line in CI marks one, and what is marked is listed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone

from connections import deploys as marking
from connections.deploys import BadDeploy, Told
from connections.models import Deploy
from dashboard.api.acting import Asked, BadRequest, act, by_method
from dashboard.models import ApiToken
from dashboard.queries.deploys import older_than

PAGE = 50
_FIELDS: dict[str, tuple[type, str]] = {
    "environment": (str, "an environment's key"),
    "service": (str, "a service's name"),
    "version": (str, "a version"),
    "link": (str, "an address"),
    "who": (str, "a name"),
    "at": (str, "a moment"),
}
_NEEDED = ("environment", "service", "version")


def _mark(request: HttpRequest) -> HttpResponse:
    return act(request, _perform, fields=_FIELDS)


def _perform(asked: Asked) -> dict[str, Any]:
    fields = asked.fields
    for name in _NEEDED:
        if not fields.get(name, "").strip() or not fields[name].isprintable():
            raise BadRequest(name, f"Say the {name}, as text.")
    told = Told(fields["service"], fields["version"], fields.get("link", ""), fields.get("who", ""), _moment(fields))
    now = timezone.now()
    try:
        marked = marking.mark(fields["environment"], told, author=asked.author, now=now, reason=asked.reason)
    except BadDeploy as bad:
        raise BadRequest(bad.field, str(bad)) from bad
    message = {} if marked.new else {"message": "This deploy was marked before."}
    return {"changed": marked.new, "deploy": _told(marked.deploy), **message}


def _moment(fields: Mapping[str, Any]) -> datetime | None:
    """When it was; None: now."""
    text = fields.get("at")
    if text is None:
        return None
    wrong = BadRequest("at", "at is a moment with its offset, like 2026-11-20T02:31:40Z.")
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise wrong
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong from None


def _list(request: HttpRequest) -> HttpResponse:
    rows = Deploy.objects.all()
    for name, column in (("environment", "environment_id"), ("service", "service")):
        value = request.GET.get(name, "")
        if not value.isprintable():
            raise BadRequest(name, f"No {name} is called that.")
        if value:
            rows = rows.filter(**{column: value})
    page = list(_older(request, rows)[: PAGE + 1])
    more = page[PAGE - 1].pk if len(page) > PAGE else None
    return JsonResponse({"deploys": [_told(row) for row in page[:PAGE]], "next": more})


def _older(request: HttpRequest, rows: QuerySet[Deploy]) -> QuerySet[Deploy]:
    before = request.GET.get("before")
    if before is None:
        return rows
    older = older_than(before, rows)
    if older is None:
        raise BadRequest("before", "before is `next` of the page before.")
    return older


def _told(row: Deploy) -> dict[str, Any]:
    told = marking.as_told(row)
    return {"id": row.pk, "environment": row.environment_id, **told, "told_by": row.told_by}


deploys = by_method(what="deploys", scope=ApiToken.Scope.DEPLOY, GET=_list, POST=_mark)
