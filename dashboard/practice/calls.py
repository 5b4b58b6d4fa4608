"""The control calls of the reference services. They leave from async views, each within `CALL_SECONDS`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from django.conf import settings

from connections.reference.faults import FAULTS, MAX_BY

CALL_SECONDS = 2.0
"""The longest a call may take in all; the service is on this machine."""
NEVER_LONGER_S = 3600.0


class Away(Exception):  # noqa: N818 - named as the fact it states
    """The service cannot be asked. `message` is a sentence; `cure` says what to do about it, without a full stop."""

    def __init__(self, message: str, cure: str) -> None:
        super().__init__(f"{message} {cure}.")
        self.message = message
        self.cure = cure


class Refused(Exception):  # noqa: N818 - as above
    """The service understood, and said no: `field`, `message` and `cure` are its own."""

    def __init__(self, status: int, field: str, message: str, cure: str) -> None:
        super().__init__(f"{field}: {message}; {cure}")
        self.status = status
        self.field = field
        self.message = message
        self.cure = cure


@dataclass(frozen=True, slots=True)
class On:
    """One fault that a service has on."""

    fault: str
    parameters: Mapping[str, Any]
    remaining_s: float
    by: str


def port_of(environment: str) -> int | None:
    """Where the reference service of `environment` listens, on 127.0.0.1; None where there is none."""
    staging, production = settings.REFERENCE_PORTS
    return {"staging": staging, "production": production}.get(environment)


async def faults_on(environment: str) -> list[On]:
    """The faults that the service has on. Raises Away."""
    told = await _call("GET", environment)
    try:
        return [_on(each) for each in told["faults"]]
    except (KeyError, TypeError, ValueError) as error:
        raise _strange(environment) from error


async def start(environment: str, fault: str, parameters: Mapping[str, Any], lasts_s: float, by: str) -> On:
    """Switch a fault on. Raises Away, or Refused with what the service says."""
    body = {"name": fault, "parameters": dict(parameters), "lasts_s": lasts_s, "by": _printable(by)}
    told = await _call("POST", environment, body=body)
    try:
        return _on(told["fault"])
    except (KeyError, TypeError, ValueError) as error:
        raise _strange(environment) from error


async def end(environment: str, fault: str = "") -> None:
    """Switch one fault off, or all. That it had ended already is no error. Raises Away."""
    try:
        await _call("DELETE", environment, f"/{fault}" if fault else "")
    except Refused as refused:
        if refused.status != 404:
            raise Away(f"The service refused: {refused.message}.", refused.cure) from refused


async def _call(method: str, environment: str, path: str = "", body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    port = port_of(environment)
    url = f"http://127.0.0.1:{port}/control/faults{path}"
    headers = {"Authorization": f"Bearer {settings.READYWIRE_CONTROL_TOKEN}"}
    try:
        async with asyncio.timeout(CALL_SECONDS), httpx.AsyncClient(trust_env=False, timeout=CALL_SECONDS) as client:
            answer = await client.request(method, url, headers=headers, json=body)
    except (httpx.HTTPError, TimeoutError) as error:
        log = settings.DATA_DIR / "logs" / f"{environment}.log"
        raise Away(
            f"The {environment} service does not answer on 127.0.0.1:{port}.",
            f"Start it with make serve, or read why it stopped: {log}",
        ) from error
    return _understood(environment, answer)


def _understood(environment: str, answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
        if answer.is_success and isinstance(told, dict):
            return told
        error = told["error"]
        field, message, cure = (str(error[name])[:300] for name in ("field", "message", "cure"))
    except (KeyError, TypeError, ValueError) as problem:
        raise _strange(environment) from problem
    if answer.status_code in (401, 403) or field == "token":
        raise Away(
            f"The {environment} service does not take our control token.",
            "It was started with another one, or with none. Restart make serve: it gives both the same",
        )
    raise Refused(answer.status_code, field, message, cure)


def _strange(environment: str) -> Away:
    return Away(
        f"Something else than the reference service answers on 127.0.0.1:{port_of(environment)}.",
        "Look what listens there, or set REFERENCE_PORTS to other ports and restart make serve",
    )


def _printable(name: str) -> str:
    """A person's name as the service takes it."""
    return "".join(letter for letter in name if letter.isprintable())[:MAX_BY]


def _on(told: Mapping[str, Any]) -> On:
    if told["name"] not in FAULTS:
        raise ValueError(told["name"])
    remaining_s = min(max(0.0, float(told["remaining_s"])), NEVER_LONGER_S)
    return On(str(told["name"]), dict(told["parameters"]), remaining_s, str(told["by"])[:150])
