"""What a gate does when a connection takes too long, sends too much, or must go."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from connections.gate import EndedBeforeReady, Priority, ReadinessGate, readiness
from connections.gate.connection import Scope
from connections.gate.inbound import Receive
from connections.gate.lifecycle import State
from connections.gate.outbound import Send
from tests.connections.gate.applications import ACCEPT, Chat, closed, echo, next_json, plain, soon
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.waiting import await_until


@contextmanager
def never_reading(port: int) -> Iterator[None]:
    """A client that upgrades and then reads nothing, with little room on its side."""
    request = (
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.sendall(request.encode())
        yield


async def test_a_setup_that_does_not_finish_closes_1013_and_names_what_is_missing(ended: Records) -> None:
    flags = {"readiness-parameters": {"dependency_gate": {"timeout_seconds": 0.1}}}

    async def half_ready(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        readiness(scope).service_ready("redis")
        with pytest.raises(EndedBeforeReady, match="not_ready"):
            await readiness(scope).wait_ready()

    with serving(ReadinessGate(plain(half_ready), required=["redis", "llm"], flags=flags)) as server:
        async with connect(server.ws) as client:
            assert await closed(client) == 1013
            assert client.close_reason == "not ready in time: llm"
        (record,) = ended()
    assert (record["cause"], record["error"], record["held_ms"]) == ("not_ready", "", None)


async def test_a_failed_required_check_closes_1013_and_a_passed_one_opens(ended: Records) -> None:
    from connections.gate import Check

    async def down() -> None:
        raise ConnectionRefusedError("nobody there")

    async def up() -> None:
        return

    with serving(ReadinessGate(plain(echo), checks=[Check("redis", down)])) as server:
        async with connect(server.ws) as client:
            assert await closed(client) == 1013
        assert ended()[0]["failures"] == {"check redis": "ConnectionRefusedError: nobody there"}
    with serving(ReadinessGate(plain(echo), checks=[Check("redis", up)])) as server:
        async with connect(server.ws) as client:
            assert (await next_json(client))["mode"] == "normal"


async def test_slow_authentication_closes_4408_only_where_it_was_promised(ended: Records) -> None:
    deadlines = soon(State.HANDSHAKE_VALIDATING)
    with serving(ReadinessGate(plain(echo), authenticates=True, deadlines=deadlines)) as server:
        async with connect(server.ws) as client:
            assert await closed(client) == 4408
        assert ended()[0]["cause"] == "not_ready"


async def test_declared_services_that_nobody_ever_marks_do_not_close_good_connections(ended: Records) -> None:
    """A forgotten line of code holds until the deadline, opens degraded, and is named to the client."""
    flags = {"readiness-parameters": {"dependency_gate": {"timeout_seconds": 0.1}}}
    with serving(ReadinessGate(plain(echo), required=["llm"], flags=flags)) as server:
        async with connect(server.ws) as client:
            assert (await next_json(client))["mode"] == "degraded"
            assert (await next_json(client))["missing"] == ["llm"]
            await client.send("hello")
            assert await client.recv() == "hello"
        ended()


async def test_marks_may_come_from_another_thread() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await asyncio.to_thread(readiness(scope).service_ready, "llm")
        await receive()

    with serving(ReadinessGate(plain(application), required=["llm"])) as server:
        async with connect(server.ws) as client:
            assert (await next_json(client))["type"] == "connection_ready"


async def test_a_flood_during_setup_closes_1013(ended: Records) -> None:
    """A person's words are never dropped silently: the client is told to come back."""
    with serving(ReadinessGate(Chat("llm"), required=["llm"], max_held=10)) as server:
        async with connect(server.ws) as client:
            for number in range(11):
                await client.send(str(number))
            assert await closed(client) == 1013
        (record,) = ended()
    assert record["cause"] == "overflow"
    assert (record["messages"]["held"], record["messages"]["refused"]) == (10, 1)


async def test_less_important_messages_make_room_during_setup(ended: Records) -> None:
    def priority_of(message: Any) -> Priority:
        return Priority.LOW if message["text"] == "typing" else Priority.CRITICAL

    chat = Chat("llm")
    with serving(ReadinessGate(chat, required=["llm"], max_held=3, priority_of=priority_of)) as server:
        async with connect(server.ws) as client:
            for text in ("typing", "one", "typing", "two", "three"):
                await client.send(text)
            await asyncio.sleep(0)
            await (await client.ping())
            chat.set_up()
            await next_json(client)
            assert [(await next_json(client))["text"] for _ in range(3)] == ["one", "two", "three"]
        assert ended()[0]["messages"]["evicted"] == 2


async def test_a_slow_application_slows_its_client_down_and_loses_nothing(ended: Records) -> None:
    """Once open, a full buffer pauses the reading, as the bare server would; and large messages still pass."""
    heard: list[int] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        while (message := await receive())["type"] == "websocket.receive":
            heard.append(len(message["text"]))
            await asyncio.sleep(0.002)
            if len(heard) == 60:
                await send({"type": "websocket.send", "text": "all"})

    with serving(ReadinessGate(plain(slow), max_held=3, max_held_bytes=100, announce=False)) as server:
        async with connect(server.ws) as client:
            for number in range(60):
                await client.send("x" * (number * 10))
            assert await asyncio.wait_for(client.recv(), 5) == "all"
        (record,) = ended()
    assert heard == [number * 10 for number in range(60)]
    assert record["backpressure"] > 0


async def test_draining_closes_1012_and_refuses_newcomers_with_503(ended: Records) -> None:
    open_chat = Chat("llm")
    gate = ReadinessGate(open_chat, required=["llm"])
    loops: list[asyncio.AbstractEventLoop] = []

    async def remembers_its_loop(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        await gate(scope, receive, send)

    with serving(remembers_its_loop) as server:
        async with connect(server.ws) as in_setup:
            await await_until(lambda: open_chat.running == 1)
            open_chat.set_up()
            await next_json(in_setup)
            open_chat._go.clear()
            open_chat.is_set_up = False
            async with connect(server.ws) as still_in_setup:
                await await_until(lambda: open_chat.running == 2)
                drained = asyncio.run_coroutine_threadsafe(gate.drain(0.05), loops[0])
                assert await closed(in_setup) == 1012
                assert await closed(still_in_setup) == 1012
                assert await asyncio.wrap_future(drained) == 2
        with pytest.raises(InvalidStatus) as refusal:
            await connect(server.ws)
        assert refusal.value.response.status_code == 503
        assert {record["cause"] for record in ended(3)} == {"drained"}


async def test_a_server_that_stops_without_draining_is_told_apart_from_its_clients(ended: Records) -> None:
    """uvicorn closes 1012 by itself on SIGTERM; that is nobody's abandonment."""
    chat = Chat("llm")
    with serving(ReadinessGate(chat, required=["llm"])) as server:
        async with connect(server.ws) as client:
            await await_until(lambda: chat.running == 1)
            server.server.should_exit = True
            assert await closed(client) == 1012
        (record,) = ended()
    assert (record["cause"], record["closed_by"]) == ("drained", "server")


async def test_a_client_that_never_reads_is_given_up_and_named(ended: Records) -> None:
    """Its application is blocked in a send until then, as without a gate; afterwards it is torn down."""
    filler = "x" * 100_000

    async def talkative(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        while True:
            await send({"type": "websocket.send", "text": filler})

    gate = ReadinessGate(plain(talkative), announce=False, send_stall_s=0.4, deadlines=soon(State.CLOSING))
    with serving(gate) as server, never_reading(server.port):
        (record,) = await asyncio.to_thread(ended)
    assert (record["cause"], record["close_code"], record["closed_by"]) == ("send_stalled", 1013, "gate")
    assert record["error"] == ""


async def test_a_client_that_never_reads_costs_the_droppable_events_alone(ended: Records) -> None:
    """An application that streams what may be dropped is not slowed by it, and every message is accounted for."""
    event = json.dumps({"type": "agent_thinking", "text": "x" * 100_000})
    told: list[int] = []

    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        for number in range(200):
            await send({"type": "websocket.send", "text": event})
            told.append(number)
        await readiness(scope).wait_client_gone()

    priorities = {"agent_thinking": Priority.LOW}
    with serving(ReadinessGate(plain(streams), event_priorities=priorities, max_held=10)) as server:
        with never_reading(server.port):
            await await_until(lambda: len(told) == 200)
        (record,) = await asyncio.to_thread(ended)
    queued = record["queued"]
    assert queued["accepted"] == queued["delivered"] + queued["evicted"] + queued["expired"] + queued["held"]
    assert queued["refused"] > 100
