"""`/api/v1/openapi.json`: what programs may ask, as OpenAPI 3.1 (spec.openapis.org/oas/v3.1.0). Open to everybody.

OFREP is somebody else's contract (open-feature/protocol, 0.3.0) and is named here, not copied.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse

from connections.gate.version import VERSION
from dashboard.api.endpoint import endpoint, json_response

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_COUNTS: Json = {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": _COUNT}}
_SERVER: Json = {"security": [{"serverKey": []}, {"serverKeyHeader": []}]}
_TOKEN: Json = {"security": [{"apiToken": []}]}

_REFUSALS = {
    400: "The body or a field of it is wrong; the message names the field and the cure.",
    401: "No credential that works.",
    403: "A credential of another kind, or a scope that is too narrow.",
    404: "No such thing; the message names it.",
    409: "Not now: one is active already, the target is paused, or somebody came between.",
    412: "Another version is served than `If-Match` names; the body tells what changed.",
    413: "The body is too large.",
    422: "The flags do not allow it, or the idempotency key came before with another request.",
    428: "The version that was seen is missing: `If-Match`, or `expected_version`.",
    429: "Too many requests, or too soon: `Retry-After` says when.",
    503: "The database does not answer yet.",
}


@endpoint("GET", "HEAD")
async def schema(request: HttpRequest) -> HttpResponse:
    """`GET /api/v1/openapi.json`."""
    return json_response(_body())


@cache
def _body() -> bytes:
    return json.dumps(document(), separators=(",", ":")).encode()


def document() -> Json:
    """The OpenAPI document."""
    from dashboard.api import openapi_acting  # it is built with what stands below

    return {
        "openapi": "3.1.0",
        "info": {"title": "Readywire", "version": VERSION, "description": "For watched servers and programs."},
        "paths": {**_definitions(), **_reports(), **_race_checks(), **_ofrep(), **_operations()}
        | openapi_acting.paths(),
        "components": {"schemas": _schemas() | openapi_acting.schemas(), "securitySchemes": _credentials()},
    }


def _credentials() -> Json:
    made = "`manage.py {}` prints one."
    key = {"description": "A server key. " + made.format("server_key create")}
    return {
        "serverKey": {"type": "http", "scheme": "bearer", **key},
        "serverKeyHeader": {"type": "apiKey", "in": "header", "name": "X-API-Key", **key},
        "apiToken": {"type": "http", "scheme": "bearer", "description": "A token. " + made.format("api_token create")},
    }


def _definitions() -> Json:
    flags = {"type": "object", "description": "flagd's flag definitions by key"}
    members = {"environment": _TEXT, "revision": _COUNT, "flags": flags}
    etag = {"If-None-Match": "the ETag of what is held"}
    since = {"Last-Event-ID": "the revision that is held"}
    whole = {"name": "with", "in": "query", "description": '"definitions": each event carries them', "schema": _TEXT}
    return {
        "/api/v1/definitions": {
            "get": _operation(
                "The flag definitions of the key's environment",
                _answers(200, _object(members), 401, 403, 429, 503) | {"304": {"description": "Nothing has changed."}},
                headers=etag,
                **_SERVER,
            )
        },
        "/api/v1/definitions/stream": {
            "parameters": [whole],
            "get": _operation(
                "An event stream that says when they change",
                _stream() | _refused(401, 403, 429, 503),
                headers=since,
                **_SERVER,
            ),
        },
    }


def _reports() -> Json:
    body = {"content": {"application/json": {"schema": _ref("ServerReport")}}, "required": True}
    answers = {"204": {"description": "It is stored."}} | _refused(400, 401, 403, 413, 429, 503)
    said = "A watched server says what it holds, and what its connections met"
    return {"/api/v1/servers/report": {"post": _operation(said, answers, requestBody=body, **_SERVER)}}


def _race_checks() -> Json:
    root = "/api/v1/targets/{slug}/race-checks"
    slug, number = _path("slug", _TEXT), _path("number", _COUNT)
    body = {"content": {"application/json": {"schema": _ref("RaceCheckRequest")}}}
    check = _ref("RaceCheck")
    start = _answers(202, check, 400, 401, 403, 404, 409, 413, 429)
    return {
        root: {"parameters": [slug], "post": _operation("Start a race check", start, requestBody=body, **_TOKEN)},
        f"{root}/{{number}}": {
            "parameters": [slug, number],
            "get": _operation("Its state, progress and report", _answers(200, check, 401, 403, 404), **_TOKEN),
        },
        f"{root}/{{number}}/cancel": {
            "parameters": [slug, number],
            "post": _operation(
                "Cancel it; one that has ended stays as it is", _answers(200, check, 401, 403, 404), **_TOKEN
            ),
        },
    }


def _ofrep() -> Json:
    source = {"url": "https://github.com/open-feature/protocol", "description": "OFREP 0.3.0"}
    evaluated = {"200": {"description": "As OFREP says."}} | _refused(400, 401, 403, 413, 429, 503)
    unchanged = {"304": {"description": "Nothing has changed."}}
    single, bulk = "Evaluate one flag", "Evaluate every flag"
    return {
        "/ofrep/v1/evaluate/flags": {"post": _operation(bulk, evaluated | unchanged, externalDocs=source, **_SERVER)},
        "/ofrep/v1/evaluate/flags/{key}": {
            "parameters": [_path("key", _TEXT)],
            "post": _operation(single, evaluated | _refused(404), externalDocs=source, **_SERVER),
        },
        "/ofrep/v1/events": {
            "get": _operation("The event stream that a bulk answer names", _stream() | _refused(401), security=[])
        },
    }


def _operations() -> Json:
    state = _object({"status": _TEXT})
    return {
        "/healthz": {"get": _operation("The process answers", _answers(200, state), security=[])},
        "/readyz": {"get": _operation("It can serve", _answers(200, state, 503), security=[])},
        "/metrics": {"get": _operation("Figures for Prometheus", _figures() | _refused(401, 403), **_TOKEN)},
        "/api/v1/openapi.json": {"get": _operation("This document", _answers(200, {"type": "object"}), security=[])},
    }


def _schemas() -> Json:
    told = {
        "instance": _TEXT | {"minLength": 1, "maxLength": 200},
        "library_version": _TEXT | {"minLength": 1, "maxLength": 40},
        "held_revision": _COUNT,
        "held_seconds": {"type": "number", "minimum": 0, "description": "for how long the revision has been held"},
        "run": _TEXT | {"maxLength": 40, "description": "names the process"},
        "run_seconds": {"type": "number", "minimum": 0, "description": "how long it has been counting"},
        "ending": {"type": "boolean", "description": "it is the process's last report"},
        "evaluations": _COUNTS | {"description": "{flag: {variant: n}}, since the process began"},
        "connections": _COUNTS | {"description": "{strategy: {cause: n}}, since the process began"},
        "readiness": _COUNTS | {"description": "{strategy: {figure: n}}, since the process began"},
    }
    asked = {"count": _COUNT, "at_once": _COUNT, "early_send": {"type": "boolean"}, "location": _TEXT}
    check = {
        "id": _COUNT, "target": _TEXT, "state": _TEXT, "why": _TEXT, "asked_by": _TEXT, "done": _COUNT,
        "failed": _COUNT, "report": {"type": ["object", "null"]}, **asked,
        **{f"{step}_at": {"type": ["string", "null"], "format": "date-time"} for step in ("asked", "started", "ended")},
    }  # fmt: skip
    error = _object({"error": _object({"code": _TEXT, "message": _TEXT})}) | {"additionalProperties": True}
    return {
        "ServerReport": _object(told, required=["instance", "library_version", "held_revision"]),
        "RaceCheckRequest": _object(asked, required=[]) | {"additionalProperties": False},
        "RaceCheck": _object(check),
        "Error": error | {"required": []},
    }


def _operation(summary: str, responses: Json, *, headers: Mapping[str, str] | None = None, **more: Any) -> Json:
    named = [
        {"name": name, "in": "header", "description": what, "schema": _TEXT} for name, what in (headers or {}).items()
    ]
    return {"summary": summary, "responses": responses, **({"parameters": named} if named else {}), **more}


def _answers(status: int, schema: Json, *refusals: int) -> Json:
    good = {"description": "OK", "content": {"application/json": {"schema": schema}}}
    return {str(status): good, **_refused(*refusals)}


def _refused(*statuses: int) -> Json:
    content = {"application/json": {"schema": _ref("Error")}}
    return {str(status): {"description": _REFUSALS[status], "content": content} for status in statuses}


def _stream() -> Json:
    content = {"text/event-stream": {"schema": _TEXT}}
    return {"200": {"description": "Server-sent events (WHATWG HTML)", "content": content}}


def _figures() -> Json:
    return {"200": {"description": "Prometheus's text format, 0.0.4", "content": {"text/plain": {"schema": _TEXT}}}}


def _path(name: str, schema: Json) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _object(members: Json, *, required: list[str] | None = None) -> Json:
    return {"type": "object", "properties": members, "required": list(members) if required is None else required}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
