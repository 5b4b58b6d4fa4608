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
from connections.reference.control import LOOPBACK, Control
from connections.reference.practice import Practice
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
            "faults": [running.name for running in state.practice.faults.on(state.practice.now())],
        }
    )


def create_app(
    environment: str,
    *,
    instance: str,
    flags: Flags | Mapping[str, Any] | None = None,
    tokens: Mapping[str, str] | None = None,
    practice: Practice | None = None,
    control_token: str = "",
    control_host: str = LOOPBACK,
) -> ReadinessGate:
    """The service of `environment` (one of `services.SETUP_SECONDS`). `tokens` maps names of users to their tokens.

    `practice` holds the faults, which the control call switches: see `control.Control` for token and host. Faults of
    the wire need a `wire.FaultyWire` with the same `practice` around what this returns.
    """
    practice = Practice() if practice is None else practice
    control = Control(practice, control_token, control_host)
    routes = [Route("/healthz", healthz), WebSocketRoute("/ws/chat", chat), *control.routes()]
    application = Starlette(routes=routes)
    if flags is None or isinstance(flags, Mapping):
        flags = StaticFlags(flags, environment=environment)
    gate = ReadinessGate(application, flags=flags, required=SERVICES, authenticates=True)
    application.state.environment = environment
    application.state.instance = instance
    application.state.tokens = dict(tokens or {})
    application.state.gate = gate
    application.state.practice = practice
    return gate
