"""The control call: who may switch faults on and off, and the words in which refusals are told.

    GET    /control/faults         which are on
    POST   /control/faults         {"name": "slow_setup", "lasts_s": 300, "parameters": {"seconds": 6}, "by": "ada"}
    DELETE /control/faults[/NAME]  end one, or all

Every call carries `Authorization: Bearer TOKEN`. Answers are JSON; a refusal is {"error": {field, message, cure}}.
"""

import ipaddress
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from connections.reference.faults import DEFAULT_SECONDS, MAX_BY, FaultError
from connections.reference.practice import Practice
from connections.reference.running import Running

PATH = "/control/faults"
MAX_BODY = 4096
"""Bytes of a request's body; the longest sensible one has 300."""
LOOPBACK = "loopback"
"""The control host that stands for every loopback address."""

_MEMBERS = ("name", "lasts_s", "parameters", "by")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="readywire practice"'}

Handler = Callable[[Request], Awaitable[JSONResponse]]


class Control:
    """The control call of one service.

    `token`: without one every call is refused. `host`: the address on which calls are taken; `LOOPBACK` for all
    loopback ones, 0.0.0.0 or :: for any.
    """

    def __init__(self, practice: Practice, token: str, host: str = LOOPBACK) -> None:
        self.practice = practice
        self._token = token
        self._host = host

    def routes(self) -> list[Route]:
        """The routes for a Starlette application."""
        guarded = {
            "GET": (PATH, self._show),
            "POST": (PATH, self._start),
            "DELETE": (PATH, self._end_all),
        }
        routes = [Route(path, self._guard(handler), methods=[method]) for method, (path, handler) in guarded.items()]
        return [*routes, Route(PATH + "/{name}", self._guard(self._end), methods=["DELETE"])]

    def _guard(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> JSONResponse:
            refused = self._refused(request)
            if refused is not None:
                return refused
            try:
                return await handler(request)
            except FaultError as error:
                return _error(error.status, error.field, error.message, error.cure)

        return guarded

    def _refused(self, request: Request) -> JSONResponse | None:
        if not self._taken_on(request.scope.get("server")):
            return _error(403, "host", "control calls are not taken on this address", "call on loopback")
        if not self._token:
            return _error(404, "token", "this service takes no faults", "start it with READYWIRE_CONTROL_TOKEN set")
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # Header values are latin-1 as they come; compare_digest takes text only where it is ASCII.
        if scheme.lower() != "bearer" or not secrets.compare_digest(given.strip().encode(), self._token.encode()):
            cure = "send the header Authorization: Bearer TOKEN, with READYWIRE_CONTROL_TOKEN of the service"
            return _error(401, "Authorization", "no control token, or the wrong one", cure, _CHALLENGE)
        return None

    def _taken_on(self, server: tuple[str, int | None] | None) -> bool:
        # Our own end of the connection says by which address the call came; the caller's end may be a proxy's word.
        try:
            address = ipaddress.ip_address(server[0] if server else "")
        except ValueError:
            return False
        if self._host == LOOPBACK:
            return address.is_loopback
        host = ipaddress.ip_address(self._host)
        return host.is_unspecified or address == host

    async def _show(self, request: Request) -> JSONResponse:
        return JSONResponse(self._state(request))

    async def _start(self, request: Request) -> JSONResponse:
        asked = await _body(request)
        running = self.practice.start(
            asked.get("name"),
            _object(asked.get("parameters", {}), "parameters"),
            lasts_s=asked.get("lasts_s", DEFAULT_SECONDS),
            by=_words(asked.get("by", "")),
        )
        return JSONResponse({"fault": self._told(running)}, status_code=201)

    async def _end(self, request: Request) -> JSONResponse:
        return JSONResponse({"ended": [self.practice.end(request.path_params["name"]).name]})

    async def _end_all(self, request: Request) -> JSONResponse:
        return JSONResponse({"ended": [running.name for running in self.practice.end_all()]})

    def _state(self, request: Request) -> dict[str, Any]:
        state = request.app.state
        on = self.practice.faults.on(self.practice.now())
        return {
            "instance": state.instance,
            "environment": state.environment,
            "faults": [self._told(running) for running in on],
        }

    def _told(self, running: Running) -> dict[str, Any]:
        return {
            "name": running.name,
            "parameters": dict(running.parameters),
            "lasts_s": running.until - running.since,
            "remaining_s": round(running.until - self.practice.now(), 1),
            "by": running.by,
        }


async def _body(request: Request) -> dict[str, Any]:
    """The request's JSON object. Raises FaultError."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            raise FaultError("body", f"longer than {MAX_BODY} bytes", "send name, lasts_s, parameters and by, no more")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise FaultError("body", "it is no JSON", 'send an object such as {"name": "slow_setup"}') from None
    asked = _object(value, "body")
    for name in asked:
        if name not in _MEMBERS:
            raise FaultError(name, "there is no such member", f"give {', '.join(_MEMBERS)}")
    return asked


def _object(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FaultError(field, f"{str(value)[:40]!r} is no object", "send a JSON object")
    return value


def _words(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_BY or not value.isprintable():
        raise FaultError("by", "it is no name", f"give at most {MAX_BY} printable characters, or leave it out")
    return value


def _error(status: int, field: str, message: str, cure: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"field": field, "message": message, "cure": cure}}, status, headers)
