"""What every interface that changes flags shares: the body, the version that was seen, doing it once, refusals in JSON.

- `If-Match: "12"`, or `expected_version` in the body: refused (412, 409) where another version is served by then.
- `Idempotency-Key`: the same request sent again within a day is answered with its first answer, and nothing is done.
- What is so already is no error: 200 with `"changed": false`.
- What waits for a second person: 202 with the proposal.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from connections.flags.errors import (
    FlagError,
    NeedsSecondPerson,
    NoKnownGood,
    NothingToChange,
    StaleVersion,
    UnknownEnvironment,
    UnknownFlag,
    UnknownPlan,
    UnknownVersion,
)
from connections.flags.versions import FlagDiff
from connections.models import Revision, Version
from dashboard.acts import LONGEST_REASON
from dashboard.api.endpoint import Refused, read_body
from dashboard.api.second_person import proposed
from dashboard.permissions import RESPONDER, VIEWER, person, require, require_api
from dashboard.submissions import once

MOST_BODY_BYTES = 64 * 1024
NOT_FOUND = (UnknownEnvironment, UnknownFlag, UnknownPlan, UnknownVersion)
_TAG = re.compile(r'\s*"?([0-9]{1,15})"?\s*')
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

View = Callable[..., HttpResponseBase]


class BadRequest(Exception):  # noqa: N818 - the answer to a request, not a fault of ours
    """A request that is not understood. `field`: what in it."""

    def __init__(self, field: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.field, self.status = field, status


@dataclass(frozen=True)
class Asked:
    """A request to act: who, why, with which fields, and the version that they saw; None: they did not say."""

    author: str
    reason: str
    fields: Mapping[str, Any]
    expected_version: int | None


Perform = Callable[[Asked], Version | Revision | dict[str, Any]]


def reads(view: View) -> View:
    """An interface that reads, for scope read: GET alone."""
    return by_method(GET=view)


def by_method(*, what: str = "flags", scope: str = "", **views: View) -> View:
    """One address, a view for each method: GET for scope read, POST for scope act. Others are answered 405.

    `what` is changed; tokens of `scope`, where one is given, may do so too.
    """
    may_act = require_api(RESPONDER, what, scope=scope)
    guarded = {
        name: require(VIEWER)(_refusing(view)) if name == "GET" else may_act(_refusing(view))
        for name, view in views.items()
    }
    allowed = ", ".join([*guarded, "HEAD"] if "GET" in guarded else guarded)

    @csrf_exempt  # require_api looks itself: a Bearer token needs none
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        view = guarded.get("GET" if request.method == "HEAD" else str(request.method))
        if view is None:
            refused = error(405, "method", f"Use {allowed} here.")
            refused["Allow"] = allowed
            return refused
        answer = view(request, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "no-cache")
        return answer

    return answered


def act(
    request: HttpRequest, perform: Perform, *, fields: Mapping[str, tuple[type, str]] | None = None
) -> HttpResponse:
    """Carry out a request once. `fields`: what its body may hold beside reason and expected_version, by name."""
    raw = read_body(request, MOST_BODY_BYTES)
    asked = _asked(request, raw, fields or {})
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return _answer(_performed(request, perform, asked))
    if not _KEY.fullmatch(key):
        raise BadRequest("Idempotency-Key", "A key has 1 to 255 visible characters, without spaces.")
    print_of = hashlib.sha256(raw + b"\n" + request.headers.get("If-Match", "").encode()).hexdigest()
    place = hashlib.sha256(f"{asked.author}\n{request.path}\n{key}".encode("utf-8", "surrogatepass")).hexdigest()
    done = once(place, asked.author, lambda: {"asked": print_of, **_performed(request, perform, asked)})
    if done.result["asked"] != print_of:
        raise BadRequest("Idempotency-Key", "This key came before with another request. Use a new one.", 422)
    answer = _answer(done.result)
    if done.again:
        answer["Idempotent-Replayed"] = "true"
    return answer


def _answer(result: Mapping[str, Any]) -> HttpResponse:
    return JsonResponse(result["answer"], status=result["status"])


def told_diffs(diffs: tuple[FlagDiff, ...]) -> list[dict[str, Any]]:
    """Differences as JSON."""
    return [
        {
            "flag": one.flag,
            "before": one.before,
            "after": one.after,
            "fields": {change.field: {"before": change.before, "after": change.after} for change in one.fields},
        }
        for one in diffs
    ]


def error(status: int, code: str, message: str, **more: Any) -> JsonResponse:
    """A refusal."""
    return JsonResponse({"error": {"code": code, "message": message, **more}}, status=status)


def _performed(request: HttpRequest, perform: Perform, asked: Asked) -> dict[str, Any]:
    """The answer and its status, as JSON that can be given again. Raises FlagError and BadRequest."""
    try:
        made = perform(asked)
    except NothingToChange as nothing:
        return {"status": 200, "answer": {"changed": False, "message": nothing.message}}
    except NeedsSecondPerson as needed:
        waits = proposed(request, needed)
        told = json.loads(waits.content)
        if waits.status_code != 202:
            raise BadRequest("reason", told["error"]["message"]) from None
        return {"status": 202, "answer": {"changed": False, **told}}
    if isinstance(made, dict):
        return {"status": 200, "answer": made}
    revision = made if isinstance(made, Revision) else Revision.objects.filter(version=made).latest("number")
    answer = {
        "changed": True,
        "environment": revision.environment_id,
        "version": revision.version.number,
        "revision": revision.number,
        "summary": revision.summary,
    }
    return {"status": 200, "answer": answer}


def _asked(request: HttpRequest, raw: bytes, fields: Mapping[str, tuple[type, str]]) -> Asked:
    known: dict[str, tuple[type, str]] = {
        "reason": (str, "text"),
        "expected_version": (int, "a whole number"),
        **fields,
    }
    try:
        body = json.loads(raw or b"{}")
    except (ValueError, RecursionError) as failed:
        raise BadRequest("body", "The body is no JSON. Send an object.") from failed
    if not isinstance(body, dict):
        raise BadRequest("body", "The body must be an object.")
    for name, value in body.items():
        if name not in known:
            raise BadRequest(str(name)[:100], f"There is no such field. Use {', '.join(known)}.")
        if type(value) is not known[name][0]:
            raise BadRequest(name, f"{name} must be {known[name][1]}.")
    reason = body.get("reason", "")
    if len(reason) > LONGEST_REASON or "\x00" in reason or not _is_text(reason):
        raise BadRequest("reason", f"A reason is text of at most {LONGEST_REASON} characters.")
    expected = _expected(request, body.get("expected_version"))
    rest = {name: value for name, value in body.items() if name in fields}
    return Asked(person(request).name, reason, rest, expected)


def _is_text(reason: str) -> bool:
    """Half a surrogate pair is none, and no database keeps it."""
    return not any("\ud800" <= character <= "\udfff" for character in reason)


def _expected(request: HttpRequest, in_body: int | None) -> int | None:
    tag = request.headers.get("If-Match")
    if tag is None or tag.strip() == "*":
        return in_body
    found = _TAG.fullmatch(tag)
    if found is None:
        raise BadRequest("If-Match", 'If-Match is the ETag of the flags: a version, like "12".')
    if in_body is not None and in_body != int(found[1]):
        raise BadRequest("expected_version", "If-Match and expected_version name two versions.")
    return int(found[1])


def _refusing(view: View) -> View:
    """Whatever is wrong is told in JSON."""

    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except BadRequest as wrong:
            return error(wrong.status, "request", str(wrong), field=wrong.field)
        except Refused as refused:
            return error(refused.status, "body", str(refused))
        except StaleVersion as stale:
            return _stale(request, stale)
        except FlagError as refused:
            return _refused(refused)

    return inner


def _stale(request: HttpRequest, stale: StaleVersion) -> HttpResponse:
    status = 412 if "If-Match" in request.headers else 409
    told = {"current": stale.current, "theirs": told_diffs(stale.theirs), "yours": told_diffs(stale.yours)}
    return error(status, "stale", str(stale), field=stale.field, **told)


def _refused(refused: FlagError) -> HttpResponse:
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(refused).__name__).lower()
    status = 404 if isinstance(refused, NOT_FOUND) else 409 if isinstance(refused, NoKnownGood) else 422
    return error(status, code, str(refused), field=refused.field)
