"""A reference service whose faults can be switched over HTTP, and the probe that looks at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from connections.reference.app import create_app
from connections.reference.practice import Practice
from connections.reference.wire import FaultyWire
from probes.engine.client import run_probe
from probes.engine.guardrails import Policy
from probes.engine.outcome import Outcome
from probes.engine.script import Script, TargetSpec
from tests.support.asgi import serving

TOKEN = "rwc_" + "k" * 43  # the token of these services alone


@dataclass
class Practised:
    """A running service."""

    ws: str
    http: httpx.Client

    def start(self, name: str, lasts_s: float = 60.0, **parameters: Any) -> httpx.Response:
        return self.http.post(
            "/control/faults", json={"name": name, "lasts_s": lasts_s, "parameters": parameters, "by": "ada"}
        )

    def end(self, name: str = "") -> httpx.Response:
        return self.http.delete("/control/faults" + (f"/{name}" if name else ""))

    async def probe(self, deadline_s: float = 5.0, **script: Any) -> Outcome:
        """What the engine finds with the chat's own script."""
        url = f"{self.ws}/ws/chat"
        spec = TargetSpec(target_id=1, slug="chat", url=url, deadline_s=deadline_s, script=Script(**script))
        return await run_probe(spec, policy=Policy(allow_private=True))


@contextmanager
def practised(strategy: str = "dependency_gate", *, token: str = TOKEN) -> Iterator[Practised]:
    practice = Practice()
    gate = create_app(
        "production",
        instance="production-chat-1",
        flags={"readiness-strategy": strategy},
        practice=practice,
        control_token=token,
    )
    authorization = {"Authorization": f"Bearer {TOKEN}"}
    with (
        serving(FaultyWire(gate, practice), lifespan="auto") as served,
        httpx.Client(base_url=served.http, headers=authorization, timeout=10) as http,
    ):
        yield Practised(served.ws, http)
