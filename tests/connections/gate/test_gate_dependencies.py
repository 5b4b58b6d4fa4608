"""What a gate does with the services that its connections need: real sockets, a real Redis that stops and returns."""

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from connections.gate import Check, ReadinessGate, redis_check, tcp_check
from tests.connections.gate.applications import closed, echo, next_json, plain
from tests.connections.gate.conftest import Records
from tests.support.asgi import serving
from tests.support.servers import free_port, listens, redis_server_binary
from tests.support.waiting import await_until, wait_until


class RedisServer:
    """A real redis-server that can be stopped and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [redis_server_binary(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen([*command, "--dir", str(self._folder)], stdout=subprocess.DEVNULL)
        wait_until(lambda: listens(self.port), what="redis-server listens")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def check(self, *, required: bool = True) -> Check:
        return redis_check(redis.asyncio.Redis(port=self.port), required=required, ttl_s=0)


@pytest.fixture
def server_of_redis(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


async def test_a_required_service_that_is_down_closes_1013_and_serves_again_when_it_is_back(
    server_of_redis: RedisServer, ended: Records
) -> None:
    with serving(ReadinessGate(plain(echo), checks=[server_of_redis.check()])) as server:
        async with connect(server.ws) as client:
            assert (await next_json(client))["mode"] == "normal"
        server_of_redis.stop()
        async with connect(server.ws) as client:
            assert await closed(client) == 1013
            assert client.close_reason == "required and failed: check redis"
        assert ended(2)[1]["failures"].keys() == {"check redis"}
        server_of_redis.start()
        await _served_again(server.ws)


async def _served_again(url: str) -> None:
    """A failed answer is valid for a moment: clients come back, as 1013 tells them to."""
    async with asyncio.timeout(10):
        while True:
            async with connect(url) as client:
                with suppress(ConnectionClosed):
                    await client.send("hello")
                    while await client.recv() != "hello":
                        pass
                    return


async def test_an_optional_service_that_is_down_opens_degraded_and_its_recovery_is_told(
    server_of_redis: RedisServer, ended: Records
) -> None:
    server_of_redis.stop()
    gate = ReadinessGate(plain(echo), checks=[server_of_redis.check(required=False)])
    with serving(gate) as server:
        async with connect(server.ws) as client:
            assert (await next_json(client))["mode"] == "degraded"
            assert (await next_json(client))["missing"] == ["check redis"]
            await client.send("still served")
            assert await client.recv() == "still served"
            server_of_redis.start()
            assert (await next_json(client))["type"] == "connection_recovered"
        (record,) = ended()
    assert record["states_ms"].keys() >= {"graceful_degradation", "processing_ready"}


async def test_a_service_that_stops_and_comes_back_is_told_to_everyone_who_is_connected(
    server_of_redis: RedisServer, ended: Records
) -> None:
    """Noticed by the next connection's check; told to all; watched until it is back. Nobody is cut off for it."""
    gate = ReadinessGate(plain(echo), checks=[server_of_redis.check(required=False)])
    with serving(gate) as server:
        async with connect(server.ws) as one, connect(server.ws) as other:
            for client in (one, other):
                assert (await next_json(client))["mode"] == "normal"
            server_of_redis.stop()
            async with connect(server.ws) as newcomer:
                assert (await next_json(newcomer))["mode"] == "degraded"
                for client in (one, other):
                    assert (await next_json(client))["type"] == "connection_degraded"
            server_of_redis.start()
            for client in (one, other):
                assert (await next_json(client))["type"] == "connection_recovered"
    assert {record["cause"] for record in ended(3)} == {"client_closed"}


async def test_without_degraded_mode_an_optional_service_that_is_down_closes_1013(ended: Records) -> None:
    down = tcp_check("127.0.0.1", free_port(), name="search", required=False)
    with serving(ReadinessGate(plain(echo), checks=[down], flags={"degraded-mode": False})) as server:
        async with connect(server.ws) as client:
            assert await closed(client) == 1013
        ended()


@pytest.mark.parametrize("flags", [{"dependency-validation": False}, {"readiness-strategy": "immediate"}])
async def test_nothing_is_checked_where_no_check_counts(flags: dict[str, Any], ended: Records) -> None:
    down = tcp_check("127.0.0.1", free_port(), name="search")
    with serving(ReadinessGate(plain(echo), checks=[down], flags=flags)) as server:
        async with connect(server.ws) as client:
            assert (await next_json(client))["mode"] == "normal"
        assert ended()[0]["failures"] == {}


async def test_a_check_that_has_not_answered_yet_holds_and_never_rejects(ended: Records) -> None:
    """Unknown is not "no": the client's words wait with it."""
    go = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def slow() -> None:
        loops.append(asyncio.get_running_loop())
        await go.wait()

    with serving(ReadinessGate(plain(echo), checks=[Check("llm", slow, timeout_s=30)])) as server:
        async with connect(server.ws) as client:
            await client.send("hello")
            await await_until(lambda: loops)
            await (await client.ping())
            loops[0].call_soon_threadsafe(go.set)
            assert (await next_json(client))["type"] == "connection_ready"
            assert await client.recv() == "hello"
        ended()


async def test_fifty_connections_at_once_are_one_question_per_service(ended: Records) -> None:
    asked: list[str] = []

    async def count() -> None:
        asked.append("redis")
        await asyncio.sleep(0)

    with serving(ReadinessGate(plain(echo), checks=[Check("redis", count, ttl_s=60)])) as server:
        clients = [await connect(server.ws) for _ in range(50)]
        for client in clients:
            assert (await next_json(client))["mode"] == "normal"
        for client in clients:
            await client.close()
        ended(50)
    assert asked == ["redis"]
