"""What the gate is for: nothing reaches an application that is not ready, and nothing is lost."""

import asyncio

from websockets.asyncio.client import connect

from connections.gate import ReadinessGate
from connections.gate.connection import Scope
from connections.gate.inbound import Receive
from connections.gate.outbound import Send
from tests.connections.gate.applications import ACCEPT, Chat, echo, next_json, plain
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.waiting import await_until


async def test_messages_sent_during_setup_arrive_complete_and_in_order(ended: Records) -> None:
    """200 frames, the first the instant the upgrade is through: each is answered, none reached the app early."""
    chat = Chat("llm")
    with serving(ReadinessGate(chat, required=["llm"])) as server:
        async with connect(server.ws) as client:
            for number in range(200):
                await client.send(str(number))
            assert chat.heard == chat.heard_early == []
            chat.set_up()
            assert (await next_json(client))["type"] == "connection_ready"
            answers = [await next_json(client) for _ in range(200)]
        (record,) = ended()
    assert [answer["text"] for answer in answers] == [str(number) for number in range(200)]
    assert [answer["seq"] for answer in answers] == list(range(1, 201))
    assert chat.heard_early == []
    assert record["messages"] == {
        "accepted": 200, "delivered": 200, "evicted": 0, "expired": 0, "refused": 0, "held": 0, "held_bytes": 0,
    }  # fmt: skip
    assert (record["cause"], record["false_ready"]) == ("client_closed", False)


async def test_immediate_lets_messages_reach_an_application_that_is_not_ready(ended: Records) -> None:
    """The baseline does what its name says, and the record calls it a false ready."""
    chat = Chat("llm")
    with serving(ReadinessGate(chat, required=["llm"], flags={"readiness-strategy": "immediate"})) as server:
        async with connect(server.ws) as client:
            await client.send("early")
            assert (await next_json(client))["strategy"] == "immediate"
            assert (await next_json(client))["text"] == "early"
            chat.set_up()
            await await_until(lambda: chat.is_set_up)
        (record,) = ended()
    assert chat.heard_early == ["early"]
    assert record["false_ready"]


async def test_a_fixed_delay_opens_without_knowing_anything(ended: Records) -> None:
    flags = {"readiness-strategy": "fixed_delay", "readiness-parameters": {"fixed_delay": {"milliseconds": 60}}}
    chat = Chat("llm")
    with serving(ReadinessGate(chat, required=["llm"], flags=flags)) as server:
        async with connect(server.ws) as client:
            assert (await next_json(client))["phases_ms"]["service_dependency_check"] >= 60
            await client.send("early")
            await next_json(client)
        ended()
    assert chat.heard_early == ["early"]


async def test_an_application_that_knows_nothing_of_the_gate_works_unchanged(ended: Records) -> None:
    """No marks, no lifespan, no declared services: asking for the first message means ready."""
    with serving(ReadinessGate(plain(echo))) as server:
        async with connect(server.ws) as client:
            assert (await next_json(client))["type"] == "connection_ready"
            await client.send("hello")
            assert await client.recv() == "hello"
        assert ended()[0]["cause"] == "client_closed"


async def test_a_cancelled_receive_loses_no_message() -> None:
    """Applications poll with timeouts: a wait that is given up must leave the message where it was."""

    async def impatient(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        heard = 0
        while heard < 50:
            try:
                message = await asyncio.wait_for(receive(), 0.001)
            except TimeoutError:
                continue
            heard += 1
            await send({"type": "websocket.send", "text": message["text"]})
        await send({"type": "websocket.close"})

    with serving(ReadinessGate(plain(impatient), announce=False)) as server:
        async with connect(server.ws) as client:
            for number in range(50):
                await client.send(str(number))
                await asyncio.sleep(0.0015)
            assert [await client.recv() for _ in range(50)] == [str(number) for number in range(50)]
