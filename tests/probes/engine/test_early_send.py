"""The early-send variant: the first message leaves when the 101 arrives, and must be answered exactly once."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from probes.engine.outcome import FailureKind, Outcome
from probes.engine.script import Script, ScriptError
from tests.connections.reference.test_reference import reference
from tests.probes.engine.conftest import Probe
from tests.support.asgi import serving
from tests.support.chat_server import ChatServer, Events, run_of

EARLY = Script(early_send=True)
ECHO = Script(subprotocols=(), claimed="upgrade", trigger="{nonce}", events=(), early_send=True)


def sent(outcome: Outcome) -> list[str]:
    """The run ids of our messages, in order."""
    ours = [frame.text for frame in outcome.frames if frame.direction == "out" and "user_message" in frame.text]
    return [json.loads(text)["run_id"] for text in ours]


async def test_a_guarded_service_answers_the_early_message_exactly_once(probe: Probe) -> None:
    """The gate holds it until somebody can answer: no second message is needed."""
    with reference("production", "dependency_gate") as served:
        outcome = await probe(f"{served.ws}/ws/chat", script=EARLY)
    assert outcome.ok, outcome
    assert len(sent(outcome)) == 1
    assert outcome.marks["trigger_sent"] < outcome.marks["claimed"] <= outcome.marks["ready"]
    assert outcome.events.delivered == 5


async def test_an_unguarded_service_loses_it_and_that_is_an_accept_race(probe: Probe) -> None:
    """It claims to be ready at once, loses the first message in silence, and answers the same message sent later."""
    with reference("staging", "immediate") as served:
        outcome = await probe(f"{served.ws}/ws/chat", script=EARLY, deadline_s=4.0)
    assert outcome.kind is FailureKind.ACCEPT_RACE, outcome
    assert outcome.phase == "ready"
    assert "the early one was lost" in outcome.detail
    assert len(sent(outcome)) == 2
    assert "ready" not in outcome.marks
    assert outcome.marks["control_sent"] < outcome.marks["control_answered"]
    assert (outcome.events.delivered, len(outcome.events.expected)) == (0, 5)


async def test_without_early_send_the_same_service_under_the_gate_is_well(probe: Probe) -> None:
    """Slow setup alone is no race."""
    with reference("staging", "dependency_gate") as served:
        outcome = await probe(f"{served.ws}/ws/chat", script=EARLY, deadline_s=4.0)
    assert outcome.ok, outcome


async def racing(websocket: WebSocket) -> None:
    """Handles messages with an object of its own that was never accepted, and tells its user what went wrong."""
    await websocket.accept()
    with suppress(WebSocketDisconnect):
        while True:
            await websocket.receive_text()
            try:
                await WebSocket(websocket.scope, websocket.receive, websocket.send).receive_text()
            except RuntimeError as error:
                await websocket.send_json({"type": "error", "message": str(error)})


async def test_the_races_own_words_are_the_evidence(probe: Probe) -> None:
    """Starlette's real text, from a real Starlette."""
    with serving(Starlette(routes=[WebSocketRoute("/", racing)])) as served:
        outcome = await probe(f"{served.ws}/", script=ECHO)
    assert outcome.kind is FailureKind.ACCEPT_RACE, outcome
    assert 'Need to call "accept" first' in outcome.detail


async def deaf_at_first(websocket: WebSocket) -> None:
    """An echo that loses what comes before its setup is done."""
    await websocket.accept()
    opened = asyncio.get_running_loop().time()
    with suppress(WebSocketDisconnect):
        while True:
            text = await websocket.receive_text()
            if asyncio.get_running_loop().time() - opened > 0.3:
                await websocket.send_text(text)


async def test_an_echo_service_is_judged_too(probe: Probe) -> None:
    """The echo of the second message proves that the first was lost."""
    with serving(Starlette(routes=[WebSocketRoute("/", deaf_at_first)])) as served:
        outcome = await probe(f"{served.ws}/", script=ECHO, deadline_s=2.0)
    assert outcome.kind is FailureKind.ACCEPT_RACE, outcome


async def test_a_service_that_answers_nothing_at_all_is_no_race(probe: Probe) -> None:
    """The second message was lost as well: not the moment, but the service is at fault."""
    async with ChatServer(answer=lambda _run: []).run() as server:
        outcome = await probe(server.url, script=EARLY, deadline_s=2.0)
    assert outcome.kind is FailureKind.FALSE_READY, outcome
    assert len(sent(outcome)) == 2


async def test_an_early_message_that_is_answered_twice_is_a_duplicate(probe: Probe) -> None:
    """Held and handed over twice: exactly once is once."""

    def twice(run_id: str) -> Events:
        again = [{**event, "seq": event["seq"] + 5} for event in run_of(run_id)]
        return [*run_of(run_id), *again]

    async with ChatServer(answer=twice).run() as server:
        outcome = await probe(server.url, script=EARLY)
    assert outcome.kind is FailureKind.EVENT_DUPLICATED, outcome


async def echo_twice(websocket: WebSocket) -> None:
    await websocket.accept()
    with suppress(WebSocketDisconnect):
        text = await websocket.receive_text()
        await websocket.send_text(text)
        await asyncio.sleep(0.1)  # the second answer is an afterthought
        await websocket.send_text(text)
        await websocket.receive_text()


async def test_an_early_message_that_is_echoed_twice_is_a_duplicate(probe: Probe) -> None:
    """Told with the number of answers."""
    with serving(Starlette(routes=[WebSocketRoute("/", echo_twice)])) as served:
        outcome = await probe(f"{served.ws}/", script=ECHO)
    assert outcome.kind is FailureKind.EVENT_DUPLICATED, outcome
    assert "2 times" in outcome.detail


async def test_a_service_that_answers_late_is_slow_and_not_racing(probe: Probe) -> None:
    """The second message is already on its way when the first is answered: both are, and none is lost."""
    server = ChatServer()
    held: list[Any] = []

    def answer(run_id: str) -> Events:
        held.append(run_id)
        if len(held) < 2:
            return []
        second = [{**event, "seq": event["seq"] + 5, **({"last_seq": 10} if "last_seq" in event else {})}
                  for event in run_of(run_id)]  # fmt: skip
        return [*run_of(held[0]), *second]

    server.answer = answer
    async with server.run():
        outcome = await probe(server.url, script=EARLY, deadline_s=2.0)
    assert outcome.ok, outcome


@pytest.mark.parametrize("value", ["yes", 1])
def test_early_send_is_true_or_false(value: Any) -> None:
    """Nothing else is guessed at."""
    with pytest.raises(ScriptError, match="early_send: must be true or false"):
        Script.from_json({"early_send": value})


def test_early_send_needs_a_message() -> None:
    """A target that only listens has none."""
    with pytest.raises(ScriptError, match="early_send: has no message"):
        Script.from_json({"early_send": True, "trigger": "", "events": []})
