"""What a flag source reports back, to a real flag server."""

import multiprocessing
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from connections.gate import Cause, FlagSource, ReadinessGate
from connections.gate.counters import added
from tests.support.asgi import serving
from tests.support.connection_records import connection_ended
from tests.support.flag_server import KEY, FlagServer, flag_server, strategy
from tests.support.flag_sources import following, holds, waiting
from tests.support.waiting import await_until, wait_until


def test_a_new_revision_is_confirmed_at_once() -> None:
    """Not with the next batch: the page shows who holds what within the second."""
    flags = FlagServer()
    with flag_server(flags) as served, following(served.http, report_every_s=60):
        wait_until(lambda: flags.reports)
        flags.change(strategy("immediate"))
        wait_until(lambda: flags.reports[-1]["held_revision"] == 2)
    assert set(flags.reports[0]) == {
        "instance", "library_version", "held_revision", "held_seconds", "run", "run_seconds", "evaluations",
        "connections",
    }  # fmt: skip
    assert flags.reports[0]["instance"] == "staging-chat-1"
    assert 0 <= flags.reports[-1]["held_seconds"] < 10


async def test_connections_and_evaluations_are_counted_by_strategy_cause_and_variant() -> None:
    flags = FlagServer()
    with (
        flag_server(flags) as served,
        following(served.http) as source,
        serving(ReadinessGate(waiting(), flags=source, required=["llm"])) as chat,
    ):
        await await_until(holds(source, 1))
        for _ in range(5):
            async with connect(chat.ws):
                pass
        await await_until(lambda: flags.counted("dependency_gate") == {"client_gone": 5})
    assert flags.reports[-1]["evaluations"]["readiness-strategy"] == {"dependency_gate": 5}


async def test_counts_of_reports_that_did_not_arrive_are_in_the_next() -> None:
    flags = FlagServer()
    with (
        flag_server(flags) as served,
        following(served.http) as source,
        serving(ReadinessGate(waiting(), flags=source, required=["llm"])) as chat,
    ):
        await await_until(lambda: bool(flags.reports))
        flags.status = 500
        async with connect(chat.ws):
            pass
        asked = len(flags.requests)
        await await_until(lambda: len(flags.requests) > asked + 5)
        flags.status = 200
        await await_until(lambda: flags.counted("dependency_gate") == {"client_gone": 1})


def test_stopping_sends_the_last_counts() -> None:
    flags = FlagServer()
    with flag_server(flags) as served:
        with following(served.http, report_every_s=60) as source:
            wait_until(lambda: flags.reports)
            source.ended(connection_ended("immediate", Cause.DRAINED))
        assert flags.counted("immediate") == {"drained": 1}


def test_a_source_that_says_nothing_new_still_says_that_it_lives() -> None:
    flags = FlagServer()
    with flag_server(flags) as served, following(served.http, alive_every_s=0.1):
        wait_until(lambda: len(flags.reports) >= 3)
    assert [report["connections"] for report in flags.reports] == [{}] * len(flags.reports)


async def test_the_readiness_that_an_application_tells_is_counted_by_strategy() -> None:
    """Of the connections that opened and whose application told: those that opened before a required service was
    there, and those that were held although all was there. An application that marks nothing tells nothing."""
    flags = FlagServer()
    with flag_server(flags) as served, following(served.http) as source:
        await await_until(holds(source, 1))
        told: list[dict[str, Any]] = [
            {"held_ms": 4.0, "added_ms": 0.0},
            {"held_ms": 4.0, "false_ready": True},
            {"held_ms": 90.0, "added_ms": 80.0, "false_not_ready": True},
            {"held_ms": None, "false_not_ready": True},
        ]
        for fields in told:
            source.ended(connection_ended("immediate", Cause.CLIENT_GONE, **fields))
        source.ended(connection_ended("fixed_delay", Cause.CLIENT_GONE, held_ms=4.0))
        await await_until(lambda: flags.counted("fixed_delay") == {"client_gone": 1})
    figures = {"opened": 3, "false_ready": 1, "false_not_ready": 2, "added_1": 1, "added_100": 1}
    assert flags.reports[-1]["readiness"] == {"immediate": figures}


def test_what_a_strategy_added_is_counted_by_its_upper_bound() -> None:
    assert [added(ms) for ms in (0.0, 1.0, 1.1, 20.0, 4999.0, 5001.0)] == [
        "added_1",
        "added_1",
        "added_2",
        "added_20",
        "added_5000",
        "added_more",
    ]


def test_a_process_names_itself_says_how_long_it_counts_and_when_it_ends() -> None:
    """So that the flag server tells a restart, and worker processes of one name, from counts that go on."""
    flags = FlagServer()
    with flag_server(flags) as served:
        for _ in range(2):
            with following(served.http, alive_every_s=0.05):
                heard = len(flags.reports)
                wait_until(partial(flags.reported, heard + 3))
    first, second = flags.reports[0]["run"], flags.reports[-1]["run"]
    assert first != second
    for run in (first, second):
        told = [report for report in flags.reports if report["run"] == run]
        assert [report.get("ending", False) for report in told] == [False] * (len(told) - 1) + [True]
        assert [report["run_seconds"] for report in told] == sorted(report["run_seconds"] for report in told)


def test_a_forked_worker_counts_and_reports_for_itself() -> None:
    """A server that loads the application and then forks: no worker repeats what its parent counted."""
    flags = FlagServer()
    with flag_server(flags) as served:
        with following(served.http, report_every_s=0.05) as source:
            source.ended(connection_ended("immediate", Cause.DRAINED))
            wait_until(lambda: flags.counted("immediate") == {"drained": 1})
            parent = flags.reports[-1]["run"]
            ended, tell = multiprocessing.Pipe(duplex=False)

            def work(tell: Connection) -> None:
                source.start()
                source.ended(connection_ended("immediate", Cause.CLIENT_GONE))
                source.stop()
                tell.send("done")

            child = multiprocessing.get_context("fork").Process(target=work, args=(tell,))
            child.start()
            assert ended.poll(10)
            child.join(10)
        of_child = [report for report in flags.reports if report["run"] != parent]
        assert of_child[-1]["connections"] == {"immediate": {"client_gone": 1}}


async def test_the_last_counts_are_told_when_the_servers_lifespan_ends() -> None:
    """Without a word from the application: the server's own shutdown is enough."""
    flags = FlagServer()
    with flag_server(flags) as served:
        source = FlagSource(served.http, KEY, "chat-1", report_every_s=60)
        gate = ReadinessGate(Starlette(routes=[WebSocketRoute("/", talking)]), flags=source)
        with serving(gate, lifespan="on") as chat:
            await await_until(lambda: bool(flags.reports))
            async with connect(chat.ws) as client:
                await client.recv()
        assert flags.counted("dependency_gate") == {"client_closed": 1}
        assert flags.reports[-1]["ending"]


async def test_the_last_counts_are_told_when_a_drain_has_closed_everything() -> None:
    """Daphne runs no lifespan: draining has to do."""
    flags = FlagServer()
    with flag_server(flags) as served:
        source = FlagSource(served.http, KEY, "chat-1", report_every_s=60)

        async def drain(_: Request) -> Response:
            return Response(str(await gate.drain()))

        application = Starlette(routes=[WebSocketRoute("/", talking), Route("/drain", drain)])
        gate = ReadinessGate(application, flags=source)
        with serving(gate) as chat:
            async with connect(chat.ws) as client, httpx.AsyncClient(trust_env=False) as http:
                await client.recv()
                await await_until(lambda: bool(flags.reports))
                assert (await http.get(f"{chat.http}/drain")).text == "1"
        assert flags.counted("dependency_gate") == {"drained": 1}
        assert flags.reports[-1]["ending"]


async def talking(websocket: WebSocket) -> None:
    """Accepts, and answers whatever is said until the client leaves."""
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
