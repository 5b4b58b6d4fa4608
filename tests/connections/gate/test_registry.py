"""Is connection X ready, and why not: asked of a gate that serves."""

import threading

import pytest
from websockets.asyncio.client import connect

from connections.gate import ReadinessGate, State, Step
from connections.gate.errors import UnknownConnection
from tests.connections.gate.applications import Chat, closed, echo, next_json, plain
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.waiting import await_until


async def test_a_connection_in_setup_says_what_it_waits_for_while_its_transport_is_open() -> None:
    """The two answers that are so often one: the socket is fine, the application is not there yet."""
    chat = Chat("llm", "database")
    gate = ReadinessGate(chat, required=["llm", "database"])
    with serving(gate) as server:
        async with connect(server.ws):
            await await_until(lambda: chat.running == 1)
            (name,) = gate.registry.connections()
            answer = gate.registry.explain(name)
            assert (answer.ready, answer.transport, answer.application) == (False, "open", "waiting")
            assert answer.waiting_for == ("database", "llm")
            assert answer.why == "waiting for database, llm"
            assert "is not ready: waiting for database, llm (transport open, application waiting" in str(answer)
            chat.set_up()
            await await_until(lambda: gate.registry.explain(name).ready)
            answer = gate.registry.explain(name)
            assert (answer.ready, answer.application, answer.waiting_for) == (True, "ready", ())
            assert [step.state for step in answer.trail][-1] is State.PROCESSING_READY


async def test_a_degraded_connection_names_what_is_missing() -> None:
    flags = {"readiness-parameters": {"dependency_gate": {"optional_wait_seconds": 0}}}
    gate = ReadinessGate(plain(echo), optional=["search"], flags=flags)
    with serving(gate) as server:
        async with connect(server.ws) as client:
            await next_json(client)
            (name,) = gate.registry.connections()
            await await_until(lambda: gate.registry.explain(name).ready)
            answer = gate.registry.explain(name)
    assert (answer.ready, answer.application, answer.waiting_for) == (True, "degraded", ("search",))


async def test_a_connection_that_ended_is_explained_until_enough_others_have(ended: Records) -> None:
    chat = Chat("llm")
    gate = ReadinessGate(chat, required=["llm"], keep_ended=2)
    with serving(gate) as server:
        for number in range(3):
            async with connect(server.ws):
                pass
            ended(number + 1)
    first, second, third = [record["connection_id"] for record in ended(3)]
    assert gate.registry.connections() == ()
    assert gate.registry.lately_ended() == (second, third)
    answer = gate.registry.explain(third)
    assert (answer.ready, answer.transport, answer.application, answer.cause) == (
        False, "closed", "ended", "client_gone",
    )  # fmt: skip
    assert answer.why == "the client left before it was ready"
    with pytest.raises(UnknownConnection, match="among the last 2 that ended"):
        gate.registry.explain(first)


async def test_listeners_hear_each_transition_once_and_in_order(ended: Records) -> None:
    """Also when one of them raises, and only until they stop listening."""
    heard: list[tuple[str, Step]] = []
    late: list[str] = []
    gate = ReadinessGate(plain(echo))

    def broken(_name: str, _step: Step) -> None:
        raise LookupError("a bug in a listener")

    gate.listen(broken)
    stop = gate.listen(lambda name, step: heard.append((name, step)))
    with serving(gate) as server:
        async with connect(server.ws) as client:
            await next_json(client)
        (record,) = ended()
        stop()
        gate.listen(lambda name, _step: late.append(name))
        async with connect(server.ws) as client:
            await next_json(client)
        other = ended(2)[1]
    assert {name for name, _ in heard} == {record["connection_id"]}
    assert set(late) == {other["connection_id"]}
    assert tuple(step for _, step in heard) == gate.registry.explain(record["connection_id"]).trail
    assert heard[0][1].state is State.CONNECTING


async def test_a_listener_that_raises_is_logged(ended: Records, caplog: pytest.LogCaptureFixture) -> None:
    gate = ReadinessGate(plain(echo))
    gate.listen(lambda _name, _step: 1 / 0)
    with serving(gate) as server:
        async with connect(server.ws) as client:
            assert (await next_json(client))["type"] == "connection_ready"
        ended()
    assert [each for each in caplog.records if "a listener of the gate raised" in each.getMessage()]


async def test_what_a_listener_itself_causes_is_told_after_what_caused_it() -> None:
    """Both listeners hear the same order, whatever one of them does in between."""
    chat = Chat("llm")
    gate = ReadinessGate(chat, required=["llm"])
    first: list[State] = []
    second: list[State] = []

    def reacts(_name: str, step: Step) -> None:
        first.append(step.state)
        if step.state is State.PROCESSING_READY:
            for connection in gate.registry.live():
                connection.begin_drain()

    gate.listen(reacts)
    gate.listen(lambda _name, step: second.append(step.state))
    chat.set_up()
    with serving(gate) as server:
        async with connect(server.ws) as client:
            await next_json(client)
            await await_until(lambda: State.DRAINING in second)
            assert gate.registry.by_state()[State.DRAINING] == 1
            server.server.should_exit = True
            await closed(client)
    assert first == second


async def test_the_registry_may_be_asked_from_another_thread() -> None:
    answers: list[bool] = []
    gate = ReadinessGate(plain(echo))
    with serving(gate) as server:
        async with connect(server.ws):
            await await_until(lambda: gate.registry.by_state()[State.PROCESSING_READY] == 1)
            asker = threading.Thread(
                target=lambda: answers.extend(gate.registry.explain(name).ready for name in gate.registry.connections())
            )
            asker.start()
            asker.join(5)
    assert answers == [True]


def test_options_that_make_no_sense_name_the_field_and_the_cure() -> None:
    with pytest.raises(ValueError, match=r"ReadinessGate\(max_held=0\): give a number of at least 1"):
        ReadinessGate(plain(echo), max_held=0)
    with pytest.raises(ValueError, match=r'give a list of names, such as \["llm"\]'):
        ReadinessGate(plain(echo), required="llm")
    with pytest.raises(TypeError, match="ReadinessGate has no option requires; it has flags, announce, authenticates"):
        ReadinessGate(plain(echo), requires=["llm"])  # type: ignore[call-arg]
