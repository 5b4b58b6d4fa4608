"""The strategy deferred_accept on real sockets: the handshake ends when the application is ready, and not before."""

import asyncio
import json
import threading

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from connections.gate import Check, ReadinessGate, readiness
from connections.gate.connection import Scope
from connections.gate.inbound import Receive
from connections.gate.outbound import Send
from tests.connections.gate.applications import ACCEPT, Chat, closed, echo, next_json, plain
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.waiting import await_until

DEFERRED = {"readiness-strategy": "deferred_accept"}


def within(seconds: float) -> dict[str, object]:
    return {**DEFERRED, "readiness-parameters": {"deferred_accept": {"timeout_seconds": seconds}}}


async def test_the_handshake_ends_when_the_application_is_ready(ended: Records) -> None:
    chat = Chat("llm")
    gate = ReadinessGate(chat, required=["llm"], flags=DEFERRED)
    with serving(gate) as server:
        connecting = asyncio.create_task(_connected(server.ws))
        await await_until(lambda: chat.running == 1)
        (name,) = gate.registry.connections()
        answer = gate.registry.explain(name)
        assert (answer.transport, answer.ready, answer.waiting_for) == ("connecting", False, ("llm",))
        assert not connecting.done()
        chat.set_up()
        async with await connecting as client:
            assert client.response is not None
            assert client.response.headers["Readiness-Strategy"] == "deferred_accept"
            assert (await next_json(client))["type"] == "connection_ready"
            await client.send("hello")
            assert (await next_json(client))["text"] == "hello"
        (record,) = ended()
    assert chat.heard_early == []
    assert list(record["states_ms"])[:5] == [
        "connecting", "handshake_validating", "authenticated", "service_dependency_check", "services_ready",
    ]  # fmt: skip
    assert (record["cause"], record["false_ready"]) == ("client_closed", False)
    assert record["added_ms"] <= record["held_ms"]


async def _connected(url: str) -> ClientConnection:
    return await connect(url, subprotocols=[Subprotocol("chat")], open_timeout=20)


async def test_what_the_application_says_meanwhile_follows_the_accept_in_order(ended: Records) -> None:
    async def welcomes(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "subprotocol": "chat"})
        for number in range(3):
            await send({"type": "websocket.send", "text": json.dumps({"type": "welcome", "number": number})})
        readiness(scope).ready()
        await receive()

    with serving(ReadinessGate(plain(welcomes), required=["llm"], flags=DEFERRED)) as server:
        async with await _connected(server.ws) as client:
            assert client.subprotocol == "chat"
            ready = await next_json(client)
            assert (ready["type"], ready["next_seq"]) == ("connection_ready", 1)
            assert [(await next_json(client))["seq"] for _ in range(3)] == [1, 2, 3]
        ended()


async def test_an_application_that_declares_nothing_is_ready_when_it_asks_for_a_message(ended: Records) -> None:
    with serving(ReadinessGate(plain(echo), flags=DEFERRED)) as server:
        async with await _connected(server.ws) as client:
            await client.send("hello")
            await next_json(client)
            assert await client.recv() == "hello"
        ended()


async def test_a_setup_that_takes_too_long_is_refused_with_503(ended: Records) -> None:
    seen: list[str] = []

    async def half_ready(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        readiness(scope).service_ready("redis")
        seen.append((await receive())["type"])

    gate = ReadinessGate(plain(half_ready), required=["redis", "llm"], flags=within(0.1))
    with serving(gate) as server:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(server.ws)
        (record,) = ended()
    assert refusal.value.response.status_code == 503
    assert refusal.value.response.headers["Retry-After"] == "1"
    assert refusal.value.response.body == b"not ready in time: llm"
    assert (record["cause"], record["closed_by"], record["held_ms"]) == ("not_ready", "gate", None)
    assert seen == ["websocket.disconnect"]


async def test_a_required_check_that_fails_is_refused_with_503(ended: Records) -> None:
    async def down() -> None:
        raise ConnectionRefusedError("nobody there")

    checks = [Check("redis", down, attempts=1)]
    with serving(ReadinessGate(plain(echo), checks=checks, flags=DEFERRED)) as server:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(server.ws)
        assert refusal.value.response.status_code == 503
        assert ended()[0]["failures"] == {"check redis": "ConnectionRefusedError: nobody there"}


async def test_an_application_that_closes_while_deferred_reaches_its_client_with_its_own_code(ended: Records) -> None:
    """A close before the accept would be an HTTP 403 that says nothing."""

    async def turns_away(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.send", "text": "unknown token"})
        await send({"type": "websocket.close", "code": 4401})

    with serving(ReadinessGate(plain(turns_away), required=["llm"], flags=DEFERRED)) as server:
        async with connect(server.ws) as client:
            assert await client.recv() == "unknown token"
            assert await closed(client) == 4401
        assert ended()[0]["cause"] == "self_closed"


@pytest.mark.parametrize(("raises", "cause"), [(True, "application_error"), (False, "application_returned")])
async def test_an_application_that_fails_while_deferred_is_refused_with_500(
    raises: bool, cause: str, ended: Records
) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        if raises:
            raise LookupError("a bug")

    with serving(ReadinessGate(plain(fails), required=["llm"], flags=DEFERRED)) as server:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(server.ws)
        assert refusal.value.response.status_code == 500
        assert ended()[0]["cause"] == cause


async def test_a_client_that_gave_up_while_connecting_is_gone_and_never_an_error(ended: Records) -> None:
    chat = Chat("llm")
    gate = ReadinessGate(chat, required=["llm"], flags=DEFERRED)
    with serving(gate) as server:
        with pytest.raises(TimeoutError):
            await connect(server.ws, open_timeout=0.2)
        await await_until(gate.registry.lately_ended)
        (record,) = ended()
    assert (record["cause"], record["held_ms"], chat.gone) == ("client_gone", None, 1)


async def test_draining_refuses_who_is_still_connecting_with_503(ended: Records) -> None:
    chat = Chat("llm")
    gate = ReadinessGate(chat, required=["llm"], flags=DEFERRED)
    loops: list[asyncio.AbstractEventLoop] = []
    running = threading.Event()

    async def remembers_its_loop(scope: Scope, receive: Receive, send: Send) -> None:
        loops.append(asyncio.get_running_loop())
        running.set()
        await gate(scope, receive, send)

    with serving(remembers_its_loop) as server:
        connecting = asyncio.create_task(_connected(server.ws))
        await await_until(lambda: chat.running == 1)
        asyncio.run_coroutine_threadsafe(gate.drain(0), loops[0])
        with pytest.raises(InvalidStatus) as refusal:
            await connecting
        assert refusal.value.response.status_code == 503
        assert ended()[0]["cause"] == "drained"
