"""The strategies on real sockets: when each opens, what it does to a client that does not play along."""

import asyncio
import json
import threading
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from connections.gate import ReadinessGate, readiness
from connections.gate.connection import Scope
from connections.gate.inbound import Receive
from connections.gate.outbound import Send
from connections.gate.strategies import STRATEGIES
from tests.connections.gate.applications import ACCEPT, Chat, closed, echo, next_json, plain
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.waiting import await_until


def flags(strategy: str, **parameters: Any) -> dict[str, Any]:
    return {"readiness-strategy": strategy, "readiness-parameters": {strategy: parameters}}


async def acknowledge(client: ClientConnection) -> None:
    nonce = (await next_json(client))["nonce"]
    await client.send(json.dumps({"type": "ready_ack", "nonce": nonce}))


@pytest.mark.parametrize("name", sorted(STRATEGIES))
async def test_under_every_strategy_a_client_that_waits_for_ready_is_served(name: str, ended: Records) -> None:
    chat = Chat("llm")
    chat.set_up()
    with serving(ReadinessGate(chat, required=["llm"], flags=flags(name))) as server:
        async with connect(server.ws) as client:
            await client.send("first")
            await acknowledge(client)
            assert (await next_json(client))["text"] == "first"
        (record,) = ended()
    assert (record["strategy"], record["cause"], record["problems"]) == (name, "client_closed", [])


async def test_client_init_opens_with_the_clients_first_frame_whatever_is_ready(ended: Records) -> None:
    chat = Chat("llm")
    with serving(ReadinessGate(chat, required=["llm"], flags=flags("client_init"))) as server:
        async with connect(server.ws) as client:
            await client.send("hello")
            assert (await next_json(client))["type"] == "connection_ready"
            assert (await next_json(client))["text"] == "hello"
            assert chat.heard_early == ["hello"]
        ended()


async def test_client_init_closes_4408_for_a_client_that_says_nothing(ended: Records) -> None:
    quick = flags("client_init", timeout_seconds=0.1)
    with serving(ReadinessGate(plain(echo), flags=quick)) as server:
        async with connect(server.ws) as client:
            assert await closed(client) == 4408
        (record,) = ended()
    assert (record["cause"], record["why"]) == ("not_ready", "the client sent nothing within 0.1 s")


async def test_ready_ack_holds_until_the_client_has_answered(ended: Records) -> None:
    chat = Chat("llm")
    chat.set_up()
    gate = ReadinessGate(chat, required=["llm"], flags=flags("ready_ack", ack_seconds=30))
    with serving(gate) as server:
        async with connect(server.ws) as client:
            await client.send("hello")
            nonce = (await next_json(client))["nonce"]
            answer = gate.registry.explain(gate.registry.connections()[0])
            assert (answer.ready, answer.why) == (False, "waiting for the client's ready_ack")
            await client.send('{"type":"ready_ack","nonce":"guessed"}')
            await (await client.ping())
            assert chat.heard == []
            await client.send(json.dumps({"type": "ready_ack", "nonce": nonce}))
            assert (await next_json(client))["text"] == "hello"
        (record,) = ended()
    assert record["confirmed"]
    assert record["states_ms"]["services_ready"] > 0


async def test_an_answer_that_arrives_before_the_servers_send_returns_is_not_lost() -> None:
    """Servers send from other tasks and threads: the client may be faster."""
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    opened = asyncio.Event()

    async def waits_for_its_first_message(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        assert (await receive())["text"] == "hello"
        opened.set()
        await receive()

    async def send(message: Any) -> None:
        if "connection_ready" in message.get("text", ""):
            nonce = json.loads(message["text"])["nonce"]
            await incoming.put({"type": "websocket.receive", "text": json.dumps({"type": "ready_ack", "nonce": nonce})})
            await incoming.put({"type": "websocket.receive", "text": "hello"})
            await await_until(incoming.empty, what="the gate has read both")

    gate = ReadinessGate(plain(waits_for_its_first_message), flags=flags("ready_ack", ack_seconds=30))
    await incoming.put({"type": "websocket.connect"})
    served = asyncio.create_task(gate({"type": "websocket", "path": "/"}, incoming.get, send))
    await asyncio.wait_for(opened.wait(), 5)
    await incoming.put({"type": "websocket.disconnect", "code": 1000})
    await asyncio.wait_for(served, 5)


async def test_a_client_that_knows_nothing_of_the_ready_frame_is_opened_unconfirmed(ended: Records) -> None:
    with serving(ReadinessGate(plain(echo), flags=flags("ready_ack", ack_seconds=0.1))) as server:
        async with connect(server.ws) as client:
            await client.send("hello")
            await next_json(client)
            assert await client.recv() == "hello"
        (record,) = ended()
    assert (record["confirmed"], record["cause"]) == (False, "client_closed")


async def test_or_closed_4408_where_the_parameters_say_so(ended: Records) -> None:
    strict = flags("ready_ack", ack_seconds=0.1, legacy="close")
    with serving(ReadinessGate(plain(echo), flags=strict)) as server:
        async with connect(server.ws) as client:
            assert await closed(client) == 4408
        (record,) = ended()
    assert record["why"] == "the client did not answer connection_ready within 0.1 s"


async def test_with_client_ack_off_or_no_frames_of_the_gate_nobody_waits_for_an_answer(ended: Records) -> None:
    strict = flags("ready_ack", ack_seconds=30, legacy="close")
    for more in ({"flags": {**strict, "client-ack": False}}, {"flags": strict, "announce": False}):
        with serving(ReadinessGate(plain(echo), number_events=False, **more)) as server:
            async with connect(server.ws) as client:
                await client.send("hello")
                while await asyncio.wait_for(client.recv(), 5) != "hello":
                    pass
    assert {record["cause"] for record in ended(2)} == {"client_closed"}


async def test_a_service_that_fails_while_the_client_is_asked_degrades_once_open(ended: Records) -> None:
    failed = threading.Event()

    async def loses_its_search(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        readiness(scope).service_ready("search")
        await await_until(lambda: readiness(scope).state == "services_ready")
        readiness(scope).service_failed("search", "it went away")
        failed.set()
        await receive()

    gate = ReadinessGate(plain(loses_its_search), optional=["search"], flags=flags("ready_ack", ack_seconds=30))
    with serving(gate) as server:
        async with connect(server.ws) as client:
            ready = await next_json(client)
            await await_until(failed.is_set)
            await client.send(json.dumps({"type": "ready_ack", "nonce": ready["nonce"]}))
            assert ready["mode"] == "normal"
            assert (await next_json(client))["missing"] == ["search"]


async def test_an_adaptive_gate_learns_how_long_its_application_needs(ended: Records) -> None:
    """Ten setups of at least 50 ms: the eleventh connection is held that long, though its setup takes none."""
    pause = 0.05
    adaptive = flags("adaptive_delay", factor=1.0)
    adaptive["readiness-parameters"]["progressive_delay"] = {"steps_ms": [1]}

    async def takes_time(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await asyncio.sleep(pause)
        readiness(scope).service_ready("llm")
        await receive()

    with serving(ReadinessGate(plain(takes_time), required=["llm"], flags=adaptive)) as server:
        for _ in range(10):
            async with connect(server.ws) as client:
                await next_json(client)
                await client.send("bye")
                await closed(client)
        ended(10)
        pause = 0.0
        async with connect(server.ws) as client:
            await next_json(client)
        assert ended(11)[-1]["held_ms"] >= 50


async def test_a_change_of_flags_reaches_the_next_connection_and_leaves_open_ones_alone(ended: Records) -> None:
    from connections.gate.selection import Snapshot, StaticFlags

    source = StaticFlags(flags("immediate"))
    with serving(ReadinessGate(plain(echo), flags=source)) as server:
        async with connect(server.ws) as before:
            assert (await next_json(before))["strategy"] == "immediate"
            source._snapshot = Snapshot(StaticFlags(flags("fixed_delay", milliseconds=1)).snapshot().flags, 2)
            async with connect(server.ws) as after:
                ready = await next_json(after)
                assert (ready["strategy"], ready["flags_revision"]) == ("fixed_delay", 2)
            await before.send("still here")
            assert await before.recv() == "still here"
    assert {record["strategy"] for record in ended(2)} == {"immediate", "fixed_delay"}
