"""The gate on real sockets, under a real ASGI server."""

import asyncio
import json
import logging
import random
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from connections.gate import EndedBeforeReady, Priority, ReadinessGate, readiness
from connections.gate.connection import Application, Scope
from connections.gate.errors import ClientGone
from connections.gate.inbound import Receive
from connections.gate.lifecycle import DEADLINES, Deadline, State
from connections.gate.outbound import Send
from connections.gate.version import VERSION
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.waiting import await_until

ACCEPT = {"type": "websocket.accept"}


def soon(state: State, seconds: float = 0.1) -> dict[State, Deadline]:
    """The deadline of `state`, shortened."""
    return {state: Deadline(seconds, DEADLINES[state].consequence)}


class Chat:
    """An ASGI application whose setup goes on until `set_up` is set, beside a message loop that runs from accept on."""

    def __init__(self, *services: str) -> None:
        self.services = services
        self.heard: list[str] = []
        self.heard_early: list[str] = []
        self.is_set_up = False
        self.gone = 0
        self.running = 0
        self._go = threading.Event()

    def set_up(self) -> None:
        """Let the setup finish, from any thread."""
        self._go.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        self.running += 1
        setup = asyncio.create_task(self._setup(scope))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                (self.heard if self.is_set_up else self.heard_early).append(message["text"])
                await send({"type": "websocket.send", "text": json.dumps({"type": "echo", "text": message["text"]})})
            self.gone += 1
        finally:
            self.running -= 1
            setup.cancel()

    async def _setup(self, scope: Scope) -> None:
        await await_until(self._go.is_set)
        self.is_set_up = True
        for service in self.services:
            readiness(scope).service_ready(service)


def plain(conversation: Callable[[Scope, Receive, Send], Any]) -> Application:
    """An application that takes the connect and then does as told."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await conversation(scope, receive, send)

    return application


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Accepts and echoes until the client leaves; knows nothing of any gate."""
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def next_json(client: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await asyncio.wait_for(client.recv(), 5))
    return message


async def closed(client: ClientConnection) -> int | None:
    """Read on until the connection closes; returns its code."""
    async with asyncio.timeout(5):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else None


# --- the cure ---------------------------------------------------------------------------------------------------------


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


# --- what the client is told ------------------------------------------------------------------------------------------


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


# --- who ended it -----------------------------------------------------------------------------------------------------


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


# --- when it takes too long -------------------------------------------------------------------------------------------


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


# --- too much ---------------------------------------------------------------------------------------------------------


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


# --- going away -------------------------------------------------------------------------------------------------------


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
        assert {record["cause"] for record in ended(2)} == {"drained"}


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


# --- installation -----------------------------------------------------------------------------------------------------


def test_the_gate_brings_nothing_of_the_dashboard_with_it() -> None:
    """A watched server installs httpx, httpx-sse and mmh3, and no more."""
    program = "import sys, connections.gate; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    assert {"httpx", "httpx_sse", "mmh3"} <= loaded
    assert not loaded & {"django", "celery", "channels", "redis", "starlette", "uvicorn", "websockets", "plotly"}


def test_the_version_that_servers_report_is_the_projects() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION


async def test_asking_for_readiness_without_a_gate_says_what_to_do() -> None:
    with pytest.raises(LookupError, match="wrap it in ReadinessGate"):
        readiness({"type": "websocket"})
