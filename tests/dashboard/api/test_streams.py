"""Event streams over real HTTP: who missed a change is told, however the change got here."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis

from tests.dashboard.api.conftest import Web
from tests.support.servers import free_port, redis_server_binary
from tests.support.waiting import wait_until

DEFINITIONS = "/api/v1/definitions/stream"
NEVER = "600000"
"""Milliseconds between polls where only Redis may bring the change."""


class Events:
    """The events of one open stream."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines

    def next(self) -> dict[str, Any]:
        """The next event: its fields, with `data` read as JSON. StopIteration where the stream ends first."""
        fields: dict[str, Any] = {}
        while True:
            line = next(self._lines)
            name, _, value = line.partition(": ")
            if line == "" and "data" in fields:
                return {**fields, "data": json.loads(fields["data"])}
            if name:
                fields[name] = value


@contextmanager
def listening(web: Web, path: str = DEFINITIONS, environment: str = "staging", **headers: str) -> Iterator[Events]:
    credentials = {} if "token=" in path else web.headers(environment)
    with httpx.stream("GET", web.url + path, headers={**credentials, **headers}, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield Events(answer.iter_lines())


def stream_of_ofrep(web: Web, environment: str) -> str:
    bulk = web.post("/ofrep/v1/evaluate/flags", {}, environment).json()
    path: str = bulk["eventStreams"][0]["endpoint"]["requestUri"]
    return path


@pytest.mark.parametrize("held", ["", "0", "17", "nonsense"])
def test_the_current_event_is_sent_at_connect_to_whoever_holds_another_revision(web: Web, held: str) -> None:
    """The web client fetches nothing after a reconnect by itself: without this, a change during the drop is lost."""
    with listening(web, environment="production", **({"Last-Event-ID": held} if held else {})) as events:
        event = events.next()
    assert (event["id"], event["event"]) == ("1", "message")
    assert event["data"]["type"] == "refetchEvaluation"
    assert event["data"]["revision"] == 1
    assert isinstance(event["data"]["lastModified"], int)
    assert event["data"]["etag"] == web.get("/api/v1/definitions").headers["ETag"]


def test_whoever_holds_the_current_revision_hears_only_of_the_next(web: Web) -> None:
    held = web.revision("staging")
    with listening(web, **{"Last-Event-ID": str(held)}) as events:
        web.toggle("staging")
        assert events.next()["id"] == str(held + 1)


def test_an_event_carries_the_definitions_for_those_who_ask_for_them(web: Web) -> None:
    """A watched server then asks nothing: a fleet's questions at the same moment would take longer than telling it."""
    with listening(web, f"{DEFINITIONS}?with=definitions") as events:
        first = events.next()["data"]
        web.toggle("staging")
        second = events.next()["data"]
    body = web.get("/api/v1/definitions", "staging").json()
    assert {name: second[name] for name in body} == body
    assert first["revision"] < second["revision"]
    with listening(web) as events:
        assert "flags" not in events.next()["data"]


def test_the_ofrep_stream_needs_no_header_and_tells_the_same(web: Web) -> None:
    held = web.revision("staging")
    with listening(web, stream_of_ofrep(web, "staging")) as events:
        assert events.next()["id"] == str(held)
        web.toggle("staging")
        event = events.next()
    assert (event["id"], event["data"]["type"]) == (str(held + 1), "refetchEvaluation")


def test_other_environments_are_not_heard(web: Web) -> None:
    held, other = web.revision("staging"), web.revision("development")
    with listening(web, **{"Last-Event-ID": str(held)}) as events:
        web.toggle("development")
        wait_until(lambda: web.revision("development") == other + 1)
        web.toggle("staging")
        assert events.next()["data"]["etag"] == web.get("/api/v1/definitions", "staging").headers["ETag"]


def test_a_revoked_key_ends_its_streams(web: Web) -> None:
    key = web.daphne.server_key("staging", "short-lived")
    bulk = httpx.post(f"{web.url}/ofrep/v1/evaluate/flags", headers={"X-API-Key": key}).json()
    with listening(web, bulk["eventStreams"][0]["endpoint"]["requestUri"]) as events:
        events.next()
        web.daphne.manage("server_key", "revoke", key)
        with pytest.raises(StopIteration):
            events.next()


def test_streams_that_clients_leave_cost_nothing_afterwards(own_web: Callable[..., Web]) -> None:
    """Each open stream costs the process a connection and no thread; it goes when the client does."""
    web = own_web()
    web.get("/api/v1/definitions", "staging")
    wait_until(lambda: "last used" in web.daphne.manage("server_key", "list"), what="every thread has started")
    process = psutil.Process(web.daphne.process.pid)

    def held() -> tuple[int, int]:
        return process.num_fds(), process.num_threads()

    before = held()
    with httpx.Client(headers=web.headers("staging"), timeout=20) as client:
        answers = [client.send(client.build_request("GET", web.url + DEFINITIONS), stream=True) for _ in range(20)]
        assert held()[0] >= before[0] + 20
        assert held()[1] <= before[1] + 1
        for answer in answers:
            answer.close()
    wait_until(lambda: held() <= before, seconds=15, what=f"{before} again")
    assert "Traceback" not in "\n".join(web.daphne.lines)


@contextmanager
def redis_on(port: int, folder: Path) -> Iterator[None]:
    command = [redis_server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as client:
            wait_until(lambda: _answers(client), what="redis-server answers")
        yield
    finally:
        process.kill()
        process.wait(10)


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _redis_state(web: Web) -> str:
    state: str = httpx.get(f"{web.url}/readyz", timeout=10).json()["redis"]
    return state


def test_redis_brings_a_change_before_the_poll_and_is_found_again_after_a_restart(
    own_web: Callable[..., Web], tmp_path: Path
) -> None:
    """The poll is ten minutes here, so only Redis can have brought these changes."""
    port = free_port()
    web = own_web(REVISION_POLL_MILLISECONDS=NEVER, redis_url=f"redis://127.0.0.1:{port}/0")
    with listening(web, **{"Last-Event-ID": "1"}) as events:
        with redis_on(port, tmp_path):
            wait_until(lambda: _redis_state(web) == "answers", seconds=40)
            web.serve_strategy("staging", "immediate")
            assert events.next()["id"] == "2"
        wait_until(lambda: _redis_state(web) != "answers")
        web.serve_strategy("staging", "fixed_delay")
        with redis_on(port, tmp_path):
            # Nobody announced revision 3 to this Redis: it is read because Redis came back.
            assert events.next()["id"] == "3"


def test_without_redis_the_poll_brings_the_change(web: Web) -> None:
    assert _redis_state(web) != "answers"
    held = web.revision("staging")
    with listening(web, **{"Last-Event-ID": str(held)}) as events:
        web.toggle("staging")
        assert events.next()["id"] == str(held + 1)
