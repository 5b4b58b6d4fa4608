"""The reference chat: its failure is real, and so is the cure."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from connections.reference.__main__ import tokens_of
from connections.reference.app import create_app
from tests.connections.gate.applications import closed, next_json
from tests.support.asgi import Served, serving
from tests.support.flag_server import KEY, FlagServer, flag_server, strategy
from tests.support.servers import free_port
from tests.support.waiting import await_until

CHAT = Subprotocol("readywire.chat.v1")
FIVE = ["agent_started", "agent_thinking", "tool_executing", "tool_completed", "agent_completed"]


def said(run_id: str, text: str = "hello") -> str:
    return json.dumps({"type": "user_message", "run_id": run_id, "text": text})


@contextmanager
def reference(environment: str = "production", strategy_name: str = "dependency_gate", **more: Any) -> Iterator[Served]:
    flags = {"readiness-strategy": strategy_name}
    app = create_app(environment, instance=f"{environment}-chat-1", flags=flags, **more)
    with serving(app, lifespan="auto") as served:
        yield served


def chat(served: Served, *subprotocols: str) -> connect:
    return connect(f"{served.ws}/ws/chat", subprotocols=[CHAT, *map(Subprotocol, subprotocols)])


async def answer(client: ClientConnection) -> list[dict[str, Any]]:
    return [await next_json(client) for _ in FIVE]


async def test_a_message_sent_at_once_is_answered_in_five_numbered_events() -> None:
    """Behind the dependency gate the first words of a user are held until somebody can answer them."""
    with reference() as served:
        async with chat(served) as client:
            await client.send(said("r1"))
            assert client.subprotocol == CHAT
            assert (await next_json(client))["type"] == "connection_ready"
            events = await answer(client)
            await client.send(said("r2"))
            more = await answer(client)
    assert [event["type"] for event in events] == [event["type"] for event in more] == FIVE
    assert [event["seq"] for event in (*events, *more)] == list(range(1, 11))
    assert (events[-1]["last_seq"], more[-1]["last_seq"]) == (5, 10)
    assert {event["run_id"] for event in events} == {"r1"}
    assert events[2]["call_id"] == events[3]["call_id"] != more[2]["call_id"]


async def test_under_immediate_the_first_message_is_lost_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    """The origin's fault: the handler meets services that do not exist yet, and a broad except hides it. A message
    sent later is answered, on the same connection."""
    with reference("staging", "immediate") as served:
        async with chat(served) as client:
            assert (await next_json(client))["type"] == "connection_ready"
            await client.send(said("early"))
            await await_until(lambda: "was not answered" in caplog.text)
            assert "NoneType" in caplog.text
            for attempt in range(100):
                await client.send(said(f"later-{attempt}"))
                try:
                    event = json.loads(await asyncio.wait_for(client.recv(), 0.1))
                except TimeoutError:
                    continue
                break
    assert event["type"] == "agent_started"
    assert event["run_id"].startswith("later-")


async def test_a_token_names_its_user_and_is_never_echoed() -> None:
    with reference(tokens={"ada": "s3cret"}) as served:
        async with chat(served, "bearer.s3cret") as client:
            await client.send(said("r1"))
            await next_json(client)
            assert [event["type"] for event in await answer(client)] == FIVE
            assert client.response is not None
            assert "s3cret" not in str(client.response.headers)


@pytest.mark.parametrize("token", ["bearer.wrong", "bearer.", "bearer.S3CRET"])
async def test_a_wrong_token_closes_4401(token: str) -> None:
    with reference(tokens={"ada": "s3cret"}) as served:
        async with chat(served, token) as client:
            assert await closed(client) == 4401


@pytest.mark.parametrize("text", ["", "{", "5", "[]", '{"type":"user_message"}', '{"type":5}', '{"type":"else"}'])
async def test_a_malformed_message_is_survived(text: str) -> None:
    with reference() as served:
        async with chat(served) as client:
            await client.send(text)
            await client.send(said("r1"))
            await next_json(client)
            assert [event["type"] for event in await answer(client)] == FIVE


def test_health_says_who_it_is_and_which_flags_it_holds() -> None:
    with reference("staging") as served:
        health = httpx.get(f"{served.http}/healthz").json()
    assert health == {
        "status": "ok",
        "instance": "staging-chat-1",
        "environment": "staging",
        "flags": {"revision": None, "origin": "static"},
        "connections": 0,
        "faults": [],
    }


def test_users_are_read_from_name_and_token_pairs() -> None:
    assert tokens_of("ada=s3=cret, bob=x ,,carol=") == {"ada": "s3=cret", "bob": "x"}


# --- as a process -----------------------------------------------------------------------------------------------------


@contextmanager
def process(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python -m connections.reference` on a free port; gives the process and its address."""
    command = [sys.executable, "-m", "connections.reference", "--port", "0", *arguments]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("READYWIRE_")}
    child = subprocess.Popen(
        command, env={**clean, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        found = re.search(r"ws://\S+", child.stdout.readline())
        assert found, "it did not say where it listens"
        yield child, found.group()
    finally:
        child.kill()
        child.wait(5)


async def test_sigterm_ends_it_promptly_with_1012_for_its_clients() -> None:
    with process("--environment", "staging") as (child, url):
        async with connect(url) as ready, connect(url) as in_setup:
            await next_json(ready)
            child.send_signal(signal.SIGTERM)
            assert [await closed(ready), await closed(in_setup)] == [1012, 1012]
        assert child.wait(5) == 0
        assert child.stderr is not None
        records = [json.loads(line) for line in child.stderr if '"connection_end"' in line]
    assert [(record["cause"], record["closed_by"]) for record in records] == [("drained", "gate")] * 2


async def test_an_answer_in_flight_is_finished_before_the_service_goes() -> None:
    """What was begun is finished, what was not begun is left to the next server: no answer is cut in two."""
    heard: list[str] = []
    with process("--environment", "production") as (child, url):
        async with connect(url) as client:
            await next_json(client)
            for number in range(200):
                await client.send(said(f"r{number}"))
            heard.append((await next_json(client))["type"])
            child.send_signal(signal.SIGTERM)
            with suppress(ConnectionClosed):
                while True:
                    heard.append((await next_json(client))["type"])
    assert 5 <= len(heard) < 1000
    assert heard == FIVE * (len(heard) // 5)


def test_a_port_in_use_is_one_clear_line() -> None:
    with process() as (_, url):
        port = url.rpartition(":")[2].partition("/")[0]
        command = [sys.executable, "-m", "connections.reference", "--port", port]
        second = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr.splitlines() == [
        f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --port"
    ]


async def test_its_flags_come_from_the_environment_and_survive_a_restart(tmp_path: Path) -> None:
    """READYWIRE_URL, READYWIRE_KEY and READYWIRE_CACHE; the second process starts while the flag server is dead."""
    flags, port = FlagServer(), free_port()
    flags.change(strategy("immediate"))
    settings = {
        "READYWIRE_URL": f"http://127.0.0.1:{port}",
        "READYWIRE_KEY": KEY,
        "READYWIRE_CACHE": str(tmp_path),
    }
    with flag_server(flags, port=port), process("--environment", "staging", **settings) as (child, url):
        await await_until(lambda: bool(flags.reports))
        assert flags.reports[0]["instance"] == "staging-chat-1"
        async with connect(url) as client:
            assert (await next_json(client))["strategy"] == "immediate"
        child.send_signal(signal.SIGTERM)
        assert child.wait(5) == 0
        assert flags.counted("immediate") == {"client_closed": 1}
    with process("--environment", "staging", **settings) as (child, url):
        async with connect(url) as client:
            assert (await next_json(client))["flags_revision"] == 2
