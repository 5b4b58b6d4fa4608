"""What the gate records of its own judgement, against what the application said: opened too early, held too long,
and how much was added."""

import asyncio
from typing import Any

from websockets.asyncio.client import connect

from connections.gate import Check, ReadinessGate, readiness
from connections.gate.connection import Scope
from connections.gate.inbound import Receive
from connections.gate.outbound import Send
from tests.connections.gate.applications import ACCEPT, Chat, closed, echo, next_json, plain
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.waiting import await_until


async def ready_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    """Marks everything in the instant after accept."""
    await send(ACCEPT)
    readiness(scope).ready()
    while (await receive())["type"] == "websocket.receive":
        pass


def delayed(milliseconds: float) -> dict[str, Any]:
    return {
        "readiness-strategy": "fixed_delay",
        "readiness-parameters": {"fixed_delay": {"milliseconds": milliseconds}},
    }


async def test_held_after_the_application_was_ready_is_false_not_ready_and_measured(ended: Records) -> None:
    with serving(ReadinessGate(plain(ready_at_once), required=["llm"], flags=delayed(400))) as server:
        async with connect(server.ws) as client:
            await next_json(client)
        (record,) = ended()
    assert record["false_not_ready"]
    assert 100 < record["added_ms"] <= record["held_ms"]
    assert not record["false_ready"]


async def test_opened_before_the_application_was_ready_adds_nothing_and_is_false_ready(ended: Records) -> None:
    chat = Chat("llm")
    with serving(ReadinessGate(chat, required=["llm"], flags={"readiness-strategy": "immediate"})) as server:
        async with connect(server.ws) as client:
            await client.send("early")
            await await_until(lambda: chat.heard_early == ["early"])
            chat.set_up()
            await await_until(lambda: chat.is_set_up)
        (record,) = ended()
    assert record["false_ready"]
    assert (record["false_not_ready"], record["added_ms"]) == (False, 0.0)


async def test_turned_away_though_the_application_was_ready_is_false_not_ready(ended: Records) -> None:
    """The strictness regression, as a figure: a check that is too strict closes what could have answered."""

    async def too_strict() -> None:
        raise TypeError("a mistake in the check itself")

    gate = ReadinessGate(plain(ready_at_once), required=["llm"], checks=[Check("version", too_strict)])
    with serving(gate) as server:
        async with connect(server.ws) as client:
            assert await closed(client) == 1013
        (record,) = ended()
    assert (record["false_not_ready"], record["added_ms"]) == (True, None)


async def test_a_client_that_leaves_while_held_for_nothing_counts_too(ended: Records) -> None:
    with serving(ReadinessGate(plain(ready_at_once), required=["llm"], flags=delayed(10_000))) as server:
        async with connect(server.ws):
            await asyncio.sleep(0.1)  # the client's patience: longer than the tolerance
        (record,) = ended()
    assert (record["cause"], record["false_not_ready"]) == ("client_gone", True)


async def test_a_client_that_leaves_during_setup_is_nobodys_misjudgement(ended: Records) -> None:
    with serving(ReadinessGate(Chat("llm"), required=["llm"])) as server:
        async with connect(server.ws):
            pass
        (record,) = ended()
    assert (record["false_ready"], record["false_not_ready"], record["added_ms"]) == (False, False, None)


async def test_an_application_that_says_nothing_leaves_the_question_open(ended: Records) -> None:
    with serving(ReadinessGate(plain(echo), flags=delayed(100))) as server:
        async with connect(server.ws) as client:
            await next_json(client)
        (record,) = ended()
    assert (record["false_ready"], record["false_not_ready"], record["added_ms"]) == (False, False, None)
