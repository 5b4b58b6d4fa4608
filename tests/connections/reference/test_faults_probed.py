"""Every fault against the real probe engine: the kind that the table names is what a probe reports, and a probe after
the fault's end finds nothing."""

import asyncio
import contextlib
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from connections.gate.strategies import STRATEGIES
from connections.reference.faults import FAULTS, Fault
from probes.engine.outcome import FailureKind
from probes.engine.script import CRITICAL_EVENTS
from tests.connections.gate.applications import closed, next_json
from tests.connections.reference.practising import Practised, practised
from tests.connections.reference.test_reference import FIVE, said

NEEDS_THE_DEADLINE = {"slow_setup", "slow_accept", "silence"}
"""Faults that a probe names only when its deadline has passed."""
PROBED = sorted(set(STRATEGIES) - {"client_init"})
"""The clients of the one that is left out speak first, probes do not."""


def deadline_of(fault: Fault) -> float:
    return 2.0 if fault.name in NEEDS_THE_DEADLINE else 20.0


async def assert_clean(service: Practised) -> None:
    outcome = await service.probe(20.0)
    assert outcome.ok, outcome.detail


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_the_probe_reports_the_kind_that_the_table_names(fault: Fault) -> None:
    with practised() as service:
        await assert_clean(service)
        assert service.start(fault.name).status_code == 201
        outcome = await service.probe(deadline_of(fault), events_within_s=0.5)
        assert outcome.kind == FailureKind(fault.kind), outcome.detail
        assert service.end(fault.name).status_code == 200
        await assert_clean(service)


@pytest.mark.parametrize("name", ["slow_setup", "dependency_down", "silence"])
async def test_the_kind_is_the_tables_under_every_strategy(name: str) -> None:
    """What a holding strategy reports as not ready, or closes cleanly, is a broken promise of one that opens early; one
    that lets the accept wait shows it during the upgrade. A service of each at once: the deadlines pass together."""
    with contextlib.ExitStack() as stack:
        services = {strategy: stack.enter_context(practised(strategy)) for strategy in PROBED}
        for service in services.values():
            service.start(name)
        outcomes = await asyncio.gather(*(service.probe(2.0) for service in services.values()))
    found = {strategy: outcome.kind for strategy, outcome in zip(services, outcomes, strict=True)}
    assert found == {strategy: FailureKind(FAULTS[name].kind_under(strategy)) for strategy in PROBED}


def test_every_kind_of_the_table_is_a_kind_of_failure() -> None:
    for fault in FAULTS.values():
        assert {fault.kind, *filter(None, (fault.kind_if_early, fault.kind_if_deferred))} <= set(FailureKind)


@pytest.mark.parametrize("fault", ["events_lost", "events_twice", "events_swapped"])
@pytest.mark.parametrize("event", CRITICAL_EVENTS)
async def test_every_event_that_may_be_chosen_gives_the_same_kind(fault: str, event: str) -> None:
    offered = next(each.choices for each in FAULTS[fault].parameters if each.name == "event")
    with practised() as service:
        answer = service.start(fault, event=event)
        assert answer.status_code == (201 if event in offered else 400)
        if event in offered:
            outcome = await service.probe(20.0)
            assert outcome.kind == FailureKind(FAULTS[fault].kind), outcome.detail
            assert event in outcome.events.defects


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_refusal_carries_the_status_that_was_asked_for(status: int) -> None:
    with practised() as service:
        service.start("refuse_upgrades", status=status)
        outcome = await service.probe(20.0)
    assert (outcome.kind, outcome.http_status) == (FailureKind.UPGRADE_REJECTED, status)


async def test_several_faults_at_once_are_all_seen() -> None:
    with practised() as service:
        service.start("events_lost", event="agent_thinking")
        service.start("events_twice", event="tool_executing")
        outcome = await service.probe(20.0)
    assert outcome.kind is FailureKind.EVENT_LOST
    assert FailureKind.EVENT_DUPLICATED in outcome.also


async def test_a_fault_of_some_connections_meets_about_that_share() -> None:
    with practised() as service:
        service.start("refuse_upgrades", percent=50)
        outcomes = [await service.probe(20.0) for _ in range(40)]
    refused = sum(outcome.kind is FailureKind.UPGRADE_REJECTED for outcome in outcomes)
    assert 4 <= refused <= 36  # outside of it once in 10^7 runs
    assert all(outcome.ok for outcome in outcomes if outcome.kind is not FailureKind.UPGRADE_REJECTED)


# --- open connections -------------------------------------------------------------------------------------------------


async def test_ending_slow_setup_lets_those_who_wait_in_at_once() -> None:
    """Nobody sleeps on after the end: the message held meanwhile is answered."""
    with practised() as service:
        service.start("slow_setup", seconds=60)
        async with connect(f"{service.ws}/ws/chat") as client:
            await client.send(said("r1"))
            service.end("slow_setup")
            heard = [(await next_json(client))["type"] for _ in range(6)]
    assert heard == ["connection_ready", *FIVE]


async def test_an_open_connection_degrades_while_a_dependency_is_down_and_recovers() -> None:
    with practised() as service:
        async with connect(f"{service.ws}/ws/chat") as client:
            assert (await next_json(client))["type"] == "connection_ready"
            service.start("dependency_down", service="redis")
            await client.send(said("r1"))
            degraded = await next_json(client)
            assert (degraded["type"], degraded["missing"]) == ("connection_degraded", ["redis"])
            service.end("dependency_down")
            assert (await next_json(client))["type"] == "connection_recovered"
            await client.send(said("r2"))
            assert [(await next_json(client))["type"] for _ in FIVE] == FIVE


async def test_a_new_connection_is_closed_1013_while_a_dependency_is_down() -> None:
    with practised() as service:
        service.start("dependency_down", service="llm")
        async with connect(f"{service.ws}/ws/chat") as client:
            assert await closed(client) == 1013


async def test_silence_falls_on_open_connections_too_and_lifts() -> None:
    with practised() as service:
        async with connect(f"{service.ws}/ws/chat") as client:
            await next_json(client)
            service.start("silence")
            await client.send(said("unheard"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.recv(), 0.3)
            service.end("silence")
            await client.send(said("heard"))
            heard = [await next_json(client)]
            while (heard[-1]["type"], heard[-1]["run_id"]) != ("agent_completed", "heard"):
                heard.append(await next_json(client))
    assert [event["type"] for event in heard if event["run_id"] == "heard"] == FIVE
    assert heard[0]["seq"] > 1, "what was silenced had been numbered"


async def test_an_event_that_waits_to_be_overtaken_is_not_lost_when_the_fault_ends() -> None:
    with practised() as service:
        async with connect(f"{service.ws}/ws/chat") as client:
            await next_json(client)
            service.start("events_swapped", event="tool_completed")
            await client.send(said("r1"))
            assert (await next_json(client))["type"] == "agent_started"
            service.end()
            numbers = [json.loads(await client.recv())["seq"] for _ in range(4)]
    assert sorted(numbers) == [2, 3, 4, 5]


async def test_1011_comes_after_the_first_event() -> None:
    with practised() as service:
        service.start("close_1011")
        async with connect(f"{service.ws}/ws/chat") as client:
            await client.send(said("r1"))
            heard = [(await next_json(client))["type"] for _ in range(2)]
            with pytest.raises(ConnectionClosedError, match=r"1011.*Internal error"):
                await client.recv()
    assert heard == ["connection_ready", "agent_started"]
