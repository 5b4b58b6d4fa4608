"""A message of ours that its protocol cannot carry is our error, and names the field: the target is not charged."""

from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from probes.engine.outcome import FailureKind, Outcome
from probes.engine.script import Script
from tests.probes.engine.conftest import Probe
from tests.support.scripted import scripted

CONNACK = b"\x20\x02\x00\x00"
CONNECTED = "CONNECTED\nversion:1.2\n\n\0"


async def broker(connection: ServerConnection) -> None:
    """Greets whoever speaks MQTT or STOMP, and keeps quiet."""
    with suppress(ConnectionClosed):
        first = await connection.recv()
        await connection.send(CONNACK if isinstance(first, bytes) else CONNECTED)
        await connection.wait_closed()


async def probed(probe: Probe, preset: str, token: str, **changes: Any) -> Outcome:
    script = Script.from_json({"preset": preset, "auth": "message", **changes})
    async with scripted(broker, subprotocols=["mqtt", "v12.stomp"]) as url:
        outcome: Outcome = await probe(url, script=script, token=token)
    return outcome


def connect(**fields: str) -> dict[str, Any]:
    return {"send": {"type": "connect", "client_id": "rw-{nonce}", **fields}}


LONG = "t" * 65_536


@pytest.mark.parametrize(
    ("changes", "phase", "field", "why"),
    [
        (
            {"steps": [connect(username="probe", password="{token}"), "claim", "trigger"]},
            "claimed",
            "steps[0], with the target's token in it,",
            "connect: password has 65536 bytes, and MQTT carries 65535",
        ),
        (
            {"steps": [connect(), "claim", {"send": {"type": "subscribe", "topic": "{token}"}}, "trigger"]},
            "ready",
            "steps[2], with the target's token in it,",
            "subscribe: topic has 65536 bytes",
        ),
        (
            {
                "steps": [connect(), "claim", "trigger"],
                "trigger": {"type": "publish", "topic": "{token}", "payload": "{nonce}"},
            },
            "ready",
            "trigger, with the target's token in it,",
            "publish: topic has 65536 bytes",
        ),
    ],
    ids=["before the claim", "in answer to the claim", "the trigger"],
)
async def test_a_token_too_long_for_mqtt_is_ours(
    probe: Probe, changes: dict[str, Any], phase: str, field: str, why: str
) -> None:
    """Also where it is sent in answer to a message of the target; the socket is left politely."""
    outcome = await probed(probe, "mqtt", LONG, **changes)
    assert (outcome.kind, outcome.phase) == (FailureKind.PROBE_ERROR, phase), outcome
    assert outcome.kind is not None
    assert outcome.kind.ours
    assert field in outcome.detail
    assert why in outcome.detail
    assert (outcome.close_code, outcome.closed_by) == (1000, "us")
    assert LONG not in str(outcome.to_message())


async def test_a_token_with_a_line_end_does_not_fit_a_stomp_login(probe: Probe) -> None:
    """CONNECT headers cannot be escaped (STOMP 1.2); the token is hidden."""
    headers = {"accept-version": "1.2", "host": "/", "login": "probe", "passcode": "{token}"}
    steps = [{"send": {"type": "connect", "headers": headers}}, "claim", "trigger"]
    outcome = await probed(probe, "stomp", "top\nsecret", steps=steps)
    assert outcome.kind is FailureKind.PROBE_ERROR, outcome
    assert (
        "steps[0], with the target's token in it, does not fit: a header of connect holds a line end" in outcome.detail
    )
    assert "secret" not in str(outcome.to_message())


async def test_half_a_character_cannot_be_sent(probe: Probe) -> None:
    """JSON can name a lone surrogate; UTF-8 cannot carry it."""
    script = Script(claimed="upgrade", trigger="\ud800 {nonce}", events=())
    async with scripted(broker) as url:
        outcome = await probe(url, script=script)
    assert outcome.kind is FailureKind.PROBE_ERROR, outcome
    assert "trigger does not fit: it holds half a character" in outcome.detail
