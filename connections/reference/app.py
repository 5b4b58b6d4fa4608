"""The reference application: Starlette behind a ReadinessGate."""

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute

from connections.gate import ReadinessGate
from connections.gate.selection import Flags, StaticFlags
from connections.reference.chat import chat
from connections.reference.services import SERVICES


async def healthz(request: Request) -> JSONResponse:
    """Who this is, and which flags it holds."""
    state = request.app.state
    held = state.gate.flags.snapshot()
    return JSONResponse(
        {
            "status": "ok",
            "instance": state.instance,
            "environment": state.environment,
            "flags": {"revision": held.revision, "origin": held.origin},
            "connections": state.gate.open_connections,
        }
    )


def create_app(
    environment: str,
    *,
    instance: str,
    flags: Flags | Mapping[str, Any] | None = None,
    tokens: Mapping[str, str] | None = None,
) -> ReadinessGate:
    """The service of `environment` (one of `services.SETUP_SECONDS`). `tokens` maps names of users to their tokens."""
    application = Starlette(routes=[Route("/healthz", healthz), WebSocketRoute("/ws/chat", chat)])
    if flags is None or isinstance(flags, Mapping):
        flags = StaticFlags(flags, environment=environment)
    gate = ReadinessGate(application, flags=flags, required=SERVICES, authenticates=True)
    application.state.environment = environment
    application.state.instance = instance
    application.state.tokens = dict(tokens or {})
    application.state.gate = gate
    return gate
