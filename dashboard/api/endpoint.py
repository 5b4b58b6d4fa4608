"""What every interface for programs shares: methods, body limits, JSON refusals, no cookies and so no CSRF."""

import functools
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from connections.flags import ofrep
from connections.flags.evaluation import ErrorCode
from dashboard.revisions import Unavailable

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], Coroutine[Any, Any, HttpResponseBase]]


class Refused(Exception):  # noqa: N818 (the answer to a request, not a fault of ours)
    """A request answered with an error: its status and a JSON body that OFREP clients understand."""

    def __init__(
        self,
        status: int,
        details: str,
        *,
        code: ErrorCode = ErrorCode.GENERAL,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(details)
        self.status = status
        self.body = ofrep.failure(code, details, key)
        self.headers = dict(headers or {})

    def response(self) -> HttpResponse:
        return json_response(ofrep.dump(self.body), status=self.status, headers=self.headers)


def endpoint(*methods: str) -> Callable[[View[P]], View[P]]:
    """Make a coroutine an interface: only `methods`, and every refusal as JSON."""

    def decorate(view: View[P]) -> View[P]:
        async def answered(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            try:
                if request.method not in methods:
                    allowed = ", ".join(methods)
                    raise Refused(405, f"Use {allowed} here.", headers={"Allow": allowed})
                return await view(request, *args, **kwargs)
            except Refused as refusal:
                return refusal.response()
            except Unavailable:
                return Refused(503, "The database does not answer yet.", headers={"Retry-After": "1"}).response()

        functools.update_wrapper(answered, view)
        exempt: View[P] = csrf_exempt(answered)
        return exempt

    return decorate


def read_body(request: HttpRequest, most: int) -> bytes:
    """The whole body. Raises Refused (413) above `most` bytes."""
    too_large = Refused(413, f"The body is larger than {most} bytes.")
    declared = request.headers.get("Content-Length", "0")
    if declared.isascii() and declared.isdigit() and int(declared) > most:
        raise too_large
    body: bytes = request.read(most + 1)
    if len(body) > most:
        raise too_large
    return body


def json_response(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """JSON that caches must ask about again each time."""
    return HttpResponse(
        body,
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-cache", **(headers or {})},
    )


def answer_response(answer: ofrep.Answer) -> HttpResponse:
    """An OFREP answer over HTTP; 304 carries its ETag and no body."""
    if answer.body is None:
        return HttpResponse(status=answer.status, headers={"Cache-Control": "no-cache", **answer.headers})
    return json_response(answer.body, status=answer.status, headers=answer.headers)
