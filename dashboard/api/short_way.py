"""The short way of a program's request: no session, no page middleware, no thread.

Django's own handler sends signals and closes each response on a thread of the request's, and runs every middleware of
the pages: two thirds of what an answer from memory costs, and a thread for each open event stream. Here a request is
read, the view is awaited on the event loop, and the answer is sent. What protects programs stays: the allowed hosts,
HTTPS where it is served, and the security headers that mean something without a page.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from io import BytesIO
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, set_script_prefix
from django.urls.resolvers import RegexPattern, URLResolver

from dashboard.api import origins
from dashboard.api.endpoint import Refused
from dashboard.api.urls import programs

Application = Callable[[Any, Any, Any], Awaitable[None]]

logger = logging.getLogger(__name__)
STARTS = ("/ofrep/", "/api/", "/healthz", "/readyz")
MOST_BODY_BYTES = 1024 * 1024
"""What is kept of a body; every view refuses less than that."""
_UNENCRYPTED = ("/healthz", "/readyz")
"""Asked from inside the machine."""


def short_way(otherwise: Application) -> Application:
    """An ASGI application that answers programs' addresses (`dashboard.api.urls.programs`), and leaves all else."""
    resolver = URLResolver(RegexPattern(r"^/"), programs)
    headers = _headers()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        match = _match(resolver, scope["path"])
        if match is None:
            await otherwise(scope, receive, send)
        elif (body := await _body(receive)) is not None:
            response = await _answer(match, scope, body)
            for name, value in {**headers, **_readers(scope)}.items():
                response.headers.setdefault(name, value)
            await _send(response, receive, send)

    return application


def _headers() -> dict[str, str]:
    """JSON and event streams load nothing and stand in no frame, whatever a page may do."""
    seconds = settings.SECURE_HSTS_SECONDS
    strict = {"Strict-Transport-Security": f"max-age={seconds}; includeSubDomains; preload"} if seconds else {}
    return {
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "same-origin",
        "X-Frame-Options": "DENY",
        **strict,
    }


def _match(resolver: URLResolver, path: str) -> ResolverMatch | None:
    if path.startswith(STARTS):
        with suppress(Resolver404):
            return resolver.resolve(path)
    return None


async def _body(receive: Any) -> bytes | None:
    """The whole body; of one that is too large, as much as shows it. None: the client has left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if len(body) <= MOST_BODY_BYTES:
            body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


async def _answer(match: ResolverMatch, scope: Any, body: bytes) -> HttpResponseBase:
    if scope["method"] == "OPTIONS" and (said := _readers(scope)):
        return HttpResponse(status=204, headers=origins.permission(said))
    # Addresses in answers are made below the path that a proxy strips.
    set_script_prefix(get_script_prefix(scope))
    try:
        request = ASGIRequest(scope, BytesIO(body))
        if (refused := _refused(request)) is not None:
            return refused
        return cast("HttpResponseBase", await match.func(request, *match.args, **match.kwargs))
    except (UnicodeDecodeError, RequestDataTooBig):
        return Refused(400, "The request cannot be read.").response()
    except Exception:
        logger.exception("%s %s failed", scope["method"], scope["path"])
        return Refused(500, "This is our fault: the server's log has more.").response()


def _readers(scope: Any) -> Mapping[str, str]:
    if not settings.OFREP_ORIGINS:
        return {}
    asker = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), "")
    return origins.headers(scope["path"], asker, settings.OFREP_ORIGINS)


def _refused(request: HttpRequest) -> HttpResponse | None:
    """What is answered to a host that is not ours, and to what came unencrypted where HTTPS is served."""
    try:
        host = request.get_host()
    except DisallowedHost:
        return Refused(400, "This host is not served: see ALLOWED_HOSTS.").response()
    if settings.SECURE_SSL_REDIRECT and not request.is_secure() and request.path not in _UNENCRYPTED:
        return HttpResponsePermanentRedirect(f"https://{host}{request.get_full_path()}")
    return None


async def _send(response: HttpResponseBase, receive: Any, send: Any) -> None:
    if isinstance(response, HttpResponse) and response.status_code not in (204, 304):
        # Without it, the answer would be sent in chunks, and its end in a segment of its own.
        response.headers["Content-Length"] = str(len(response.content))
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    if isinstance(response, StreamingHttpResponse):
        await _stream(response, receive, send)
    else:
        body = cast("HttpResponse", response).content
        await send({"type": "http.response.body", "body": body})


async def _stream(response: StreamingHttpResponse, receive: Any, send: Any) -> None:
    """Send parts as they come, until they end or the client leaves."""
    sending = asyncio.ensure_future(_parts(response, send))
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not sending.done():
            sending.cancel()
        ended, _ = await asyncio.gather(sending, leaving, return_exceptions=True)
        if isinstance(ended, Exception):
            logger.error("an event stream failed", exc_info=ended)


async def _parts(response: StreamingHttpResponse, send: Any) -> None:
    async for part in response:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
