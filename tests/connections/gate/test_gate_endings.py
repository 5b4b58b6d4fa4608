"""Who ended a gated connection, and what each side is told of it."""

import asyncio
import logging
import threading

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from connections.gate import ReadinessGate, readiness
from connections.gate.connection import Application, Scope
from connections.gate.errors import ClientGone
from connections.gate.inbound import Receive
from connections.gate.lifecycle import State
from connections.gate.outbound import Send
from tests.connections.gate.applications import ACCEPT, Chat, closed, plain, soon
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.waiting import await_until


async def test_a_client_that_leaves_during_setup_is_gone_and_never_an_error(
    ended: Records, caplog: pytest.LogCaptureFixture
) -> None:
    """Its disconnect is seen while the setup goes on, reaches the application, and is nobody's fault."""
    chat = Chat("llm")
    with serving(ReadinessGate(chat, required=["llm"])) as server:
        for _ in range(20):
            async with connect(server.ws) as client:
                await client.send("is anybody there?")
        records = ended(20)
        assert chat.gone == 20
    assert {record["cause"] for record in records} == {"client_gone"}
    assert {record["messages"]["delivered"] for record in records} == {0}
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


async def test_a_setup_that_does_not_notice_is_cancelled_after_the_grace(ended: Records) -> None:
    cancelled = threading.Event()

    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    with serving(ReadinessGate(plain(stubborn), grace_s=0.05)) as server:
        async with connect(server.ws):
            pass
        assert ended()[0]["cause"] == "client_gone"
    assert cancelled.is_set()


async def test_what_an_application_raises_over_a_client_that_left_is_kept_in_the_record_only(
    ended: Records, caplog: pytest.LogCaptureFixture
) -> None:
    """Frameworks raise on a disconnect (Starlette: WebSocketDisconnect); under load that is a log full of nothing."""

    async def raises(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        assert (await receive())["type"] == "websocket.disconnect"
        raise LookupError("the client has left")

    with serving(ReadinessGate(plain(raises), required=["llm"])) as server:
        async with connect(server.ws):
            pass
        (record,) = ended()
    assert (record["cause"], record["error"]) == ("client_gone", "LookupError")
    assert not [each for each in caplog.records if each.name.startswith("uvicorn")]


async def test_sends_to_a_client_that_left_do_nothing_and_then_raise(ended: Records) -> None:
    """At once would trip Starlette into "Need to call accept first"; never would let a pure sender run for ever."""
    raised: list[BaseException] = []
    ready = threading.Event()

    async def sender(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        readiness(scope).ready()
        await readiness(scope).wait_ready()
        ready.set()
        await readiness(scope).wait_client_gone()
        try:
            while True:
                await send({"type": "websocket.send", "text": "tick"})
        except ConnectionError as error:
            raised.append(error)

    with serving(ReadinessGate(plain(sender), grace_s=0.05)) as server:
        async with connect(server.ws):
            await await_until(ready.is_set)
        (record,) = ended()
    assert isinstance(raised[0], ClientGone)
    assert record["undelivered"] > 1
    assert record["cause"] == "client_closed"


async def test_an_application_that_raises_closes_1011_and_the_server_hears_of_it(
    ended: Records, caplog: pytest.LogCaptureFixture
) -> None:
    """Servers disagree on the wire (1006, 1011, 1005); behind the gate it is 1011 on all."""

    async def raises(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        raise LookupError("a bug")

    with serving(ReadinessGate(plain(raises))) as server:
        async with connect(server.ws) as client:
            assert await closed(client) == 1011
        (record,) = ended()
    assert (record["cause"], record["error"], record["closed_by"]) == ("application_error", "LookupError", "gate")
    assert any("Exception in ASGI application" in each.message for each in caplog.records)


async def test_an_application_that_returns_without_closing_closes_1011(ended: Records) -> None:
    async def returns(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)

    with serving(ReadinessGate(plain(returns))) as server:
        async with connect(server.ws) as client:
            assert await closed(client) == 1011
        assert ended()[0]["cause"] == "application_returned"


async def test_an_application_that_closes_is_the_one_who_closed(ended: Records) -> None:
    async def closes(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send({"type": "websocket.close", "code": 4401, "reason": "unknown token"})

    with serving(ReadinessGate(plain(closes), required=["llm"])) as server:
        async with connect(server.ws) as client:
            assert await closed(client) == 4401
        (record,) = ended()
    assert (record["cause"], record["close_code"], record["closed_by"]) == ("self_closed", 4401, "application")


async def never_accepts(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close", "code": 4403})


async def denies(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.http.response.start", "status": 418, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"a teapot"})


async def returns_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    return


async def raises_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("a bug")


@pytest.mark.parametrize(
    ("application", "status"),
    [(never_accepts, 503), (refuses, 403), (denies, 418), (returns_at_once, 500), (raises_at_once, 500)],
)
async def test_what_is_never_accepted_is_refused_with_a_status(
    application: Application, status: int, ended: Records
) -> None:
    gate = ReadinessGate(plain(application), deadlines=soon(State.CONNECTING), grace_s=0.05)
    with serving(gate) as server:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(server.ws)
        (record,) = ended()
    assert refusal.value.response.status_code == status
    assert record["cause"] == "never_accepted"


async def test_an_application_that_accepts_twice_is_told_and_closed_1011(ended: Records) -> None:
    async def accepts_twice(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await send(ACCEPT)

    with serving(ReadinessGate(plain(accepts_twice))) as server:
        async with connect(server.ws) as client:
            assert await closed(client) == 1011
        assert ended()[0]["error"] == "IllegalTransition"
