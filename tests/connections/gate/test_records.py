"""Told once, told well: one record per connection end, one per race pattern, and no secret in either."""

import asyncio
import json
import logging
import re
from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from connections.gate import Cause, Check, ConnectionRecord, Pattern, RacePattern, ReadinessGate, State, readiness
from connections.gate.connection import Application, Scope
from connections.gate.inbound import Receive
from connections.gate.lifecycle import DEADLINES, SEND_STALL
from connections.gate.outbound import Send
from dashboard.env import BASE_DIR
from tests.connections.gate.applications import ACCEPT, Chat, closed, echo, next_json, plain
from tests.connections.gate.conftest import Records, told
from tests.support.asgi import serving
from tests.support.connection_records import connection_ended
from tests.support.waiting import await_until

SHORT = {"readiness-parameters": {"dependency_gate": {"timeout_seconds": 0.1}}}


def races(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [each for each in told(caplog) if each["event"] == "race_pattern"]


async def leaves_during_setup(_scope: Scope, receive: Receive, send: Send) -> None:
    await send(ACCEPT)
    while (await receive())["type"] == "websocket.receive":
        pass


async def closes_itself(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send(ACCEPT)
    await send({"type": "websocket.close", "code": 4401})


async def refuses(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close"})


async def half_ready(scope: Scope, receive: Receive, send: Send) -> None:
    await send(ACCEPT)
    readiness(scope).service_ready("redis")
    await receive()


@pytest.mark.parametrize(
    ("application", "cause", "closed_by"),
    [
        (leaves_during_setup, "client_gone", "client"),
        (closes_itself, "self_closed", "application"),
        (refuses, "never_accepted", "application"),
        (half_ready, "not_ready", "gate"),
    ],
)
async def test_the_four_causes_are_told_apart(
    application: Application, cause: str, closed_by: str, ended: Records
) -> None:
    """What one error text used to say for all of them."""
    with serving(ReadinessGate(plain(application), required=["redis", "llm"], flags=SHORT)) as server:
        try:
            async with connect(server.ws) as client:
                if application is not leaves_during_setup:
                    await closed(client)
        except InvalidStatus:
            assert application is refuses
        (record,) = ended()
    assert (record["cause"], record["closed_by"]) == (cause, closed_by)
    assert record["why"]
    assert record["ended_at"] > 1.7e9


async def test_a_client_that_leaves_during_setup_is_one_pattern(
    ended: Records, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(ReadinessGate(Chat("llm"), required=["llm"])) as server:
        async with connect(server.ws):
            pass
        (record,) = ended()
    (race,) = races(caplog)
    assert (race["pattern"], race["connection_id"]) == ("client_gone_during_setup", record["connection_id"])
    assert record["patterns"] == ["client_gone_during_setup"]


async def test_early_messages_are_told_once_however_many_there_were(
    ended: Records, caplog: pytest.LogCaptureFixture
) -> None:
    """At once, not when the connection ends hours later."""
    chat = Chat("llm")
    with serving(ReadinessGate(chat, required=["llm"])) as server:
        async with connect(server.ws) as client:
            for number in range(5):
                await client.send(str(number))
            await (await client.ping())
            chat.set_up()
            await await_until(lambda: len(races(caplog)) == 1)
        ended()
    (race,) = races(caplog)
    assert race["pattern"] == "early_message_held"
    assert race["why"].endswith("held, the application gets them now")
    assert race["state"] == "processing_ready"
    assert race["at_ms"] > 0


async def test_opening_too_early_is_told(ended: Records, caplog: pytest.LogCaptureFixture) -> None:
    chat = Chat("llm")
    with serving(ReadinessGate(chat, required=["llm"], flags={"readiness-strategy": "immediate"})) as server:
        async with connect(server.ws) as client:
            await next_json(client)
            await client.send("early")
            await next_json(client)
            chat.set_up()
            await await_until(lambda: chat.is_set_up)
        ended()
    (race,) = races(caplog)
    assert race["pattern"] == "opened_too_early"
    assert [each.levelno for each in caplog.records if each.name == "readywire.gate.races"] == [logging.WARNING]


async def test_holding_too_long_is_told(ended: Records, caplog: pytest.LogCaptureFixture) -> None:
    flags = {"readiness-strategy": "fixed_delay", "readiness-parameters": {"fixed_delay": {"milliseconds": 200}}}
    chat = Chat("llm")
    chat.set_up()
    with serving(ReadinessGate(chat, required=["llm"], flags=flags)) as server:
        async with connect(server.ws) as client:
            await next_json(client)
        (record,) = ended()
    assert record["patterns"] == ["held_too_long"]
    assert races(caplog)[0]["why"] == "fixed_delay held on although the application was ready"


async def test_sends_to_a_client_that_left_are_one_pattern(ended: Records, caplog: pytest.LogCaptureFixture) -> None:
    async def answers_nobody(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        while (await receive())["type"] == "websocket.receive":
            pass
        for _ in range(3):
            await send({"type": "websocket.send", "text": "an answer"})

    with serving(ReadinessGate(plain(answers_nobody))) as server:
        async with connect(server.ws) as client:
            await next_json(client)
        (record,) = ended()
    assert record["undelivered"] == 3
    assert [race["pattern"] for race in races(caplog)] == ["send_after_gone"]


async def test_listeners_get_records_and_races_as_data(ended: Records) -> None:
    records: list[ConnectionRecord] = []
    seen: list[RacePattern] = []
    gate = ReadinessGate(Chat("llm"), required=["llm"])
    gate.listen_to_records(records.append)
    gate.listen_to_races(seen.append)
    with serving(gate) as server:
        async with connect(server.ws):
            pass
        ended()
    assert [record.cause for record in records] == ["client_gone"]
    assert [race.pattern for race in seen] == [Pattern.CLIENT_GONE_DURING_SETUP]


async def test_a_record_carries_no_secret(ended: Records, caplog: pytest.LogCaptureFixture) -> None:
    """Not from the address, the headers, the messages, an exception, or what a service said when it failed."""

    async def leaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "subprotocol": "chat"})
        readiness(scope).service_failed("llm", "401 for https://api.example?key=hunter2-reason")
        await receive()
        raise LookupError("hunter2-exception")

    async def refused() -> None:
        raise ConnectionRefusedError("redis://:hunter2-check@cache:6379 refused")

    gate = ReadinessGate(plain(leaks), required=["llm"], checks=[Check("cache", refused, attempts=1)])
    with serving(gate) as server:
        address = f"{server.ws}/hunter2?token=hunter2-query"
        headers = {"Authorization": "Bearer hunter2-header"}
        async with connect(address, subprotocols=["chat"], additional_headers=headers) as client:  # type: ignore[list-item]
            with suppress(ConnectionClosed):
                await client.send("hunter2-message")
            await closed(client)
        (record,) = ended()
    text = json.dumps(told(caplog))
    assert record["failures"]["llm"] == "401 for https://api.example?[redacted]"
    assert record["path"] == "/hunter2"
    for where in ("query", "header", "message", "exception", "reason", "check"):
        assert f"hunter2-{where}" not in text


def test_records_are_one_line_of_json_with_the_fields_of_their_class(caplog: pytest.LogCaptureFixture) -> None:
    record = connection_ended("immediate", Cause.CLIENT_GONE)
    line = record.to_json()
    assert "\n" not in line
    assert list(json.loads(line)) == ["event", *(field.name for field in fields(ConnectionRecord))]


# --- applications that do it wrong ------------------------------------------------------------------------------------


async def sends_before_accept(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "websocket.send", "text": "hello"})


async def accepts_twice(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send(ACCEPT)
    await send(ACCEPT)


async def raises_after_ready(scope: Scope, receive: Receive, send: Send) -> None:
    await send(ACCEPT)
    readiness(scope).ready()
    await receive()
    raise LookupError("a bug")


async def raises_during_setup(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send(ACCEPT)
    raise LookupError("a bug")


async def returns_after_ready(scope: Scope, receive: Receive, send: Send) -> None:
    await send(ACCEPT)
    readiness(scope).ready()
    await receive()


async def raises_when_the_client_leaves(scope: Scope, receive: Receive, send: Send) -> None:
    await send(ACCEPT)
    readiness(scope).ready()
    while (await receive())["type"] == "websocket.receive":
        pass
    raise LookupError("a bug")


async def refuses_after_its_accept(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send(ACCEPT)
    await send({"type": "websocket.http.response.start", "status": 403, "headers": []})


@pytest.mark.parametrize(
    ("application", "code", "cause", "error", "patterns"),
    [
        (accepts_twice, 1011, "application_error", "IllegalTransition", ["out_of_order"]),
        (raises_during_setup, 1011, "application_error", "LookupError", []),
        (raises_after_ready, 1011, "application_error", "LookupError", []),
        (returns_after_ready, 1011, "application_returned", "", []),
        (refuses_after_its_accept, 1011, "application_error", "OutOfOrder", ["out_of_order"]),
    ],
)
async def test_what_an_application_does_wrong_after_its_accept_closes_1011_with_the_cause(
    application: Application, code: int, cause: str, error: str, patterns: list[str], ended: Records
) -> None:
    with serving(ReadinessGate(plain(application), required=["llm"])) as server:
        async with connect(server.ws) as client:
            with suppress(ConnectionClosed):
                await client.send("hello")
            assert await closed(client) == code
        (record,) = ended()
    assert (record["cause"], record["error"]) == (cause, error)
    assert [each for each in record["patterns"] if each != "early_message_held"] == patterns


async def test_an_accept_that_came_twice_is_in_the_record(ended: Records) -> None:
    """The refused transition, with the state it was asked in: the place of the bug."""
    with serving(ReadinessGate(plain(accepts_twice), required=["llm"])) as server:
        async with connect(server.ws) as client:
            await closed(client)
        (record,) = ended()
    assert record["refused_transitions"] == ["service_dependency_check -> accepted"]


async def test_a_message_before_the_accept_is_refused_with_500_and_named(ended: Records) -> None:
    """Servers disagree on it; behind the gate the application meets one error that says what comes first."""
    raised: list[BaseException] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await sends_before_accept(scope, receive, send)
        except RuntimeError as error:
            raised.append(error)
            raise

    with serving(ReadinessGate(plain(application))) as server:
        with pytest.raises(InvalidStatus) as refusal:
            await connect(server.ws)
        (record,) = ended()
    assert refusal.value.response.status_code == 500
    assert str(raised[0]) == "websocket.send before websocket.accept: accept the connection first"
    assert (record["cause"], record["error"]) == ("never_accepted", "OutOfOrder")
    assert record["patterns"] == ["out_of_order", "never_accepted"]


async def test_an_application_that_goes_on_after_its_mistake_keeps_its_connection(ended: Records) -> None:
    """A refused transition changes nothing: who catches the error may go on."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(RuntimeError):
            await sends_before_accept(scope, receive, send)
        await echo(scope, receive, send)

    with serving(ReadinessGate(plain(application))) as server:
        async with connect(server.ws) as client:
            await next_json(client)
            await client.send("hello")
            assert await asyncio.wait_for(client.recv(), 5) == "hello"
        assert ended()[0]["cause"] == "client_closed"


async def test_what_an_application_raises_over_a_client_that_left_after_ready_is_the_servers_to_see(
    ended: Records, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(ReadinessGate(plain(raises_when_the_client_leaves))) as server:
        async with connect(server.ws) as client:
            await next_json(client)
        (record,) = ended()
        assert (record["cause"], record["error"]) == ("client_closed", "LookupError")
        await await_until(lambda: "Exception in ASGI application" in caplog.text)


# --- the documentation ------------------------------------------------------------------------------------------------

GATE = (BASE_DIR / "docs" / "gate.md").read_text()


def section(title: str, before: str) -> set[str]:
    """Everything in code style between two headings."""
    text = GATE.partition(title)[2].partition(before)[0]
    return set(re.findall(r"`([\w.]+)`", text))


def test_every_field_cause_and_pattern_is_in_the_documentation() -> None:
    ends = section("### How a connection ended", "### Race patterns")
    races = section("### Race patterns", "### What an application does wrong")
    assert {field.name for field in fields(ConnectionRecord)} <= ends
    assert {cause.value for cause in Cause} <= ends
    assert {field.name for field in fields(RacePattern)} <= races
    assert {pattern.value for pattern in Pattern} <= races


def test_every_state_and_deadline_is_in_the_documentation() -> None:
    table = GATE.partition("## The life of a connection")[2].partition("## Is connection")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    told = {state: row for row in rows for state in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert set(told) - {"connection_ready"} == {state.value for state in State}
    for state, deadline in (*DEADLINES.items(), *((state, SEND_STALL) for state in State if state.open)):
        assert f"{deadline.seconds:g} s" in told[state.value].split("|")[3]
