"""What a gate tells the client, on real sockets."""

import asyncio
import json
import random
import threading
from typing import Any

from websockets.asyncio.client import connect

from connections.gate import ReadinessGate, readiness
from connections.gate.connection import Scope
from connections.gate.inbound import Receive
from connections.gate.outbound import Send
from tests.connections.gate.applications import ACCEPT, Chat, echo, next_json, plain
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.waiting import await_until


async def test_the_client_is_told_when_and_by_what_it_became_ready() -> None:
    """On the accept and again in the frame: some servers drop accept headers."""
    chat = Chat("llm")
    chat.set_up()
    with serving(ReadinessGate(chat, required=["llm"])) as server:
        async with connect(server.ws) as client:
            ready = await next_json(client)
            assert client.response is not None
            assert client.response.headers["Readiness-Strategy"] == "dependency_gate"
            assert "Readiness-Revision" not in client.response.headers
    phases = ready.pop("phases_ms")
    assert set(phases) >= {"handshake_validating", "service_dependency_check"}
    assert ready == {
        "type": "connection_ready",
        "connection_id": ready["connection_id"],
        "epoch": ready["connection_id"][:8],
        "next_seq": 1,
        "mode": "normal",
        "strategy": "dependency_gate",
        "flags_revision": None,
        "nonce": ready["nonce"],
    }


async def test_under_immediate_the_ready_frame_is_the_first_after_the_accept() -> None:
    """Before the welcome that many applications send at once: a client can rely on its place."""

    async def welcomes(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": '{"type":"welcome"}'})
        await receive()

    with serving(ReadinessGate(plain(welcomes), flags={"readiness-strategy": "immediate"})) as server:
        async with connect(server.ws) as client:
            assert (await next_json(client))["next_seq"] == 1
            assert (await next_json(client))["seq"] == 1


async def test_the_acknowledgement_is_taken_and_never_reaches_the_application(ended: Records) -> None:
    with serving(ReadinessGate(plain(echo))) as server:
        async with connect(server.ws) as client:
            ready = await next_json(client)
            await client.send(json.dumps({"type": "ready_ack", "nonce": ready["nonce"]}))
            await client.send("hello")
            assert await client.recv() == "hello"
        (record,) = ended()
    assert record["confirmed"]
    assert record["messages"]["accepted"] == 1


async def test_a_wrong_acknowledgement_confirms_nothing(ended: Records) -> None:
    with serving(ReadinessGate(plain(echo))) as server:
        async with connect(server.ws) as client:
            await client.send('{"type":"ready_ack","nonce":"guess"}')
            await next_json(client)
        assert not ended()[0]["confirmed"]


async def test_a_missing_optional_service_degrades_says_so_and_recovers(ended: Records) -> None:
    recover = threading.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        ready = readiness(scope)
        ready.service_failed("search", "index is rebuilding")
        ready.service_ready("llm")
        await await_until(recover.is_set)
        ready.service_ready("search")
        await receive()

    with serving(ReadinessGate(plain(application), required=["llm"], optional=["search"])) as server:
        async with connect(server.ws) as client:
            assert (await next_json(client))["mode"] == "degraded"
            assert (await next_json(client))["missing"] == ["search"]
            recover.set()
            assert (await next_json(client))["type"] == "connection_recovered"
        (record,) = ended()
    assert record["failures"] == {"search": "index is rebuilding"}
    assert record["state_reached"] == "processing_ready"


async def test_events_sent_by_several_tasks_are_numbered_in_the_order_of_the_wire() -> None:
    """Also where the server takes its time over some of them, as one does whose client reads slowly."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        event = {"type": "websocket.send", "text": '{"type":"agent_thinking"}'}
        await asyncio.gather(*(send(dict(event)) for _ in range(100)), send({"type": "websocket.send", "bytes": b"{}"}))
        await receive()

    gate = ReadinessGate(plain(application), announce=False)

    async def takes_its_time(scope: Scope, receive: Receive, send: Send) -> None:
        async def slowly(message: Any) -> None:
            await asyncio.sleep(random.choice([0, 0, 0.001]))
            await send(message)

        await gate(scope, receive, slowly)

    with serving(takes_its_time) as server:
        async with connect(server.ws) as client:
            frames = [await client.recv() for _ in range(101)]
    assert frames.count(b"{}") == 1
    assert [json.loads(f)["seq"] for f in frames if f != b"{}"] == list(range(1, 101))


async def test_a_gate_that_should_be_silent_is(ended: Records) -> None:
    """A protocol that cannot bear foreign frames or members gets none."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": '{"type": "x"}'})
        await receive()

    with serving(ReadinessGate(plain(application), announce=False, number_events=False)) as server:
        async with connect(server.ws) as client:
            assert await client.recv() == '{"type": "x"}'
