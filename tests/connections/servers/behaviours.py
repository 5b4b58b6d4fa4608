"""What an application can do wrong at each stage, as one ASGI application: /gated/NAME behind a gate, /bare/NAME not.

Run by the four servers as `tests.connections.servers.behaviours:app`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from connections.gate import ReadinessGate, readiness
from connections.gate.connection import Application, Scope
from connections.gate.hooks import drain_on_sigterm
from connections.gate.inbound import Receive
from connections.gate.lifecycle import DEADLINES, Deadline, State
from connections.gate.outbound import Send
from examples import bare_asgi

ACCEPT = {"type": "websocket.accept"}
SOON_S = 0.3
"""The deadlines that cases wait for, shortened alike on every server."""
MAX_HELD = 50

Behaviour = Callable[[Scope, Receive, Send], Any]
BEHAVIOURS: dict[str, Behaviour] = {}


class Bug(Exception):  # noqa: N818 - it is one
    """What an application raises here."""


def behaviour(function: Behaviour) -> Behaviour:
    BEHAVIOURS[function.__name__] = function
    return function


@behaviour
async def closes_before_accept(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close", "code": 4403})


@behaviour
async def denies_with_503(scope: Scope, receive: Receive, send: Send) -> None:
    """As the ASGI extension asks: with a response where the server offers it, else by closing."""
    await receive()
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await send({"type": "websocket.http.response.start", "status": 503, "headers": []})
        await send({"type": "websocket.http.response.body", "body": b"later"})
    else:
        await send({"type": "websocket.close"})


@behaviour
async def raises_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    raise Bug


@behaviour
async def raises_before_accept(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise Bug


@behaviour
async def raises_after_accept(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    raise Bug


@behaviour
async def raises_during_setup(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    if "readiness" in scope:
        readiness(scope).authenticated()
    await asyncio.sleep(0.05)
    raise Bug


@behaviour
async def raises_at_the_first_message(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    await receive()
    raise Bug


@behaviour
async def raises_after_its_own_close(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    await send({"type": "websocket.close", "code": 4400})
    raise Bug


@behaviour
async def returns_before_accept(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


@behaviour
async def returns_after_accept(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)


@behaviour
async def returns_at_the_first_message(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    await receive()


@behaviour
async def accepts_twice(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    await send(ACCEPT)
    await receive()


@behaviour
async def never_accepts(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await asyncio.Event().wait()


@behaviour
async def sends_before_accept(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.send", "text": "too early"})


@behaviour
async def sends_an_unknown_type(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    await send({"type": "websocket.shout", "text": "!"})


@behaviour
async def sends_after_its_own_close(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    await send({"type": "websocket.close", "code": 4400})
    await send({"type": "websocket.send", "text": "one more"})


@behaviour
async def closes_twice(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    await send({"type": "websocket.close", "code": 4400})
    await send({"type": "websocket.close", "code": 4401})


@behaviour
async def never_authenticates(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    await receive()


@behaviour
async def fails_a_required_service(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    readiness(scope).authenticated()
    readiness(scope).service_failed("llm", "no answer")
    await receive()


@behaviour
async def reports_half_of_its_services(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    readiness(scope).authenticated()
    await receive()


@behaviour
async def never_ready(scope: Scope, receive: Receive, send: Send) -> None:
    """Sets up for ever."""
    await receive()
    await send(ACCEPT)
    await asyncio.Event().wait()


@behaviour
async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        text = message.get("text")
        said = f"{len(message.get('bytes') or b'')} bytes" if text is None else text
        await send({"type": "websocket.send", "text": said})


BEHAVIOURS["authenticates"] = bare_asgi.chat

DEPENDENCIES: Mapping[str, Any] = {"required": ["llm", "redis"], "authenticates": True}
GATES: Mapping[str, Mapping[str, Any]] = {
    "raises_during_setup": DEPENDENCIES,
    "never_authenticates": DEPENDENCIES,
    "fails_a_required_service": DEPENDENCIES,
    "reports_half_of_its_services": DEPENDENCIES,
    "authenticates": {"required": ["session"], "authenticates": True},
    "never_ready": {"required": ["llm"], "deadlines": DEADLINES},
}
"""How the gates differ from one that declares nothing."""


def _flags(strategy: str, **parameters: Any) -> dict[str, Any]:
    return {"readiness-strategy": strategy, "readiness-parameters": {strategy: parameters}}


def gated(name: str, flags: Mapping[str, Any] | None = None) -> Application:
    short = (State.CONNECTING, State.HANDSHAKE_VALIDATING)
    deadlines = {state: Deadline(SOON_S, DEADLINES[state].consequence) for state in short}
    patient = _flags("dependency_gate", timeout_seconds=60 if name == "never_ready" else SOON_S)
    options = {"deadlines": deadlines, "flags": flags or patient, "grace_s": 0.5, "max_held": MAX_HELD}
    return ReadinessGate(BEHAVIOURS[name], **{**options, **GATES.get(name, {})})


STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    "ack_or_close": _flags("ready_ack", ack_seconds=SOON_S, legacy="close"),
    "ack_or_open": _flags("ready_ack", ack_seconds=SOON_S, legacy="open"),
    "init": _flags("client_init", timeout_seconds=SOON_S),
    "deferred": _flags("deferred_accept", timeout_seconds=SOON_S),
}


def bare(name: str) -> Application:
    return BEHAVIOURS[name]


APPLICATIONS = {(kind.__name__, name): kind(name) for name in BEHAVIOURS for kind in (gated, bare)}
APPLICATIONS |= {(side, name): gated(name, flags) for name in BEHAVIOURS for side, flags in STRATEGIES.items()}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Every behaviour by the first two parts of its path; what follows names the case in the gate's records."""
    if scope["type"] == "websocket":
        side, name = scope["path"].split("/")[1:3]
        await APPLICATIONS[side, name](scope, receive, send)
    elif scope["type"] == "lifespan":
        while (message := await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": f"{message['type']}.complete"})


logging.basicConfig(level=logging.INFO, format="%(message)s")
hooked = drain_on_sigterm(ReadinessGate(echo), grace_s=0.5)
unhooked = ReadinessGate(echo)
ungated = echo
