"""The ready-made checks, against what they check: real servers and drivers, up, down, and back."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import redis
import redis.asyncio
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.ext.asyncio import create_async_engine

from connections.gate import Check, http_check, redis_check, sql_check, tcp_check
from connections.gate.dependencies import run_check
from tests.support.asgi import serving
from tests.support.gate import gated
from tests.support.postgresql import binaries, postgresql
from tests.support.servers import free_port


async def passes(check: Check) -> bool:
    return (await run_check(check, attempts=1)).ok


async def error_of(check: Check) -> str:
    return (await run_check(check, attempts=1)).error


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    """A TCP port that accepts and says nothing."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def answers(scope: Any, receive: Any, send: Any) -> None:
    """HTTP: the status that the path names; /0 never answers."""
    status = int(scope["path"].strip("/"))
    if status == 0:
        await receive()
        await receive()
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_a_port_that_accepts_passes_and_a_closed_one_fails() -> None:
    async with listening() as port:
        assert await passes(tcp_check("127.0.0.1", port))
    assert "Connect call failed" in await error_of(tcp_check("127.0.0.1", free_port()))


@pytest.mark.parametrize(("status", "ok"), [(200, True), (204, True), (302, True), (404, False), (503, False)])
async def test_an_http_status_decides(status: int, ok: bool) -> None:
    with serving(answers) as server:
        assert await passes(http_check(f"{server.http}/{status}")) is ok


async def test_which_http_statuses_pass_can_be_said_and_the_wrong_one_is_named() -> None:
    with serving(answers) as server:
        assert await passes(http_check(f"{server.http}/401", accepted={401}))
        assert await error_of(http_check(f"{server.http}/503")) == "RuntimeError: it answered 503"


async def test_an_http_server_that_never_answers_fails_in_time() -> None:
    with serving(answers) as server:
        assert "0.1 s" in await error_of(http_check(f"{server.http}/0", timeout_s=0.1))


async def test_redis_passes_while_it_answers_and_again_when_it_is_back(redis_url: str) -> None:
    with gated(redis_url) as (url, gate):
        async with redis.asyncio.Redis.from_url(url) as client:
            check = redis_check(client)
            assert await passes(check)
            gate.close()
            assert "ConnectionError" in await error_of(check)
            gate.open()
            assert (await run_check(check)).ok


async def test_a_synchronous_redis_client_is_refused_with_its_cure(redis_client: "redis.Redis") -> None:
    assert "give a redis.asyncio.Redis" in await error_of(redis_check(redis_client))  # type: ignore[arg-type]


async def test_sqlite_passes_and_a_missing_table_does_not(tmp_path: Path) -> None:
    connect = partial(sqlite3.connect, tmp_path / "chat.db")
    assert await passes(sql_check(connect))
    assert "no such table: answers" in await error_of(sql_check(connect, statement="SELECT 1 FROM answers"))


async def test_a_blocking_driver_that_hangs_neither_stops_the_loop_nor_piles_up_threads(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    check = sql_check(
        partial(sqlite3.connect, path, timeout=60), statement="SELECT * FROM sqlite_master", timeout_s=0.1
    )
    assert "no answer within 0.1 s" in await error_of(check)
    assert "has not come back yet" in await error_of(check)
    holder.execute("COMMIT")
    holder.close()
    assert (await run_check(Check("database", check.call, attempts=20, timeout_s=10))).ok


async def test_an_sqlalchemy_engine_is_asked_through_a_connection_of_its_pool(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'chat.db'}")
    try:
        assert await passes(sql_check(engine))
        assert "no such table: answers" in await error_of(sql_check(engine, statement="SELECT 1 FROM answers"))
    finally:
        await engine.dispose()


@pytest.mark.skipif(binaries() is None, reason="PostgreSQL is not installed")
async def test_postgresql_passes_however_it_is_reached_and_fails_when_it_is_gone() -> None:
    with postgresql() as url:
        async with asyncpg.create_pool(url) as asyncpg_pool, AsyncConnectionPool(url, open=False) as psycopg_pool:
            assert await passes(sql_check(asyncpg_pool))
            assert await passes(sql_check(psycopg_pool))
            assert "UndefinedTable" in await error_of(sql_check(psycopg_pool, statement="SELECT 1 FROM answers"))
            assert "UndefinedTable" in await error_of(sql_check(asyncpg_pool, statement="SELECT 1 FROM answers"))
        asynchronous = sql_check(partial(psycopg.AsyncConnection.connect, url))
        blocking = sql_check(partial(psycopg.connect, url))
        assert await passes(asynchronous)
        assert await passes(blocking)
    assert "OperationalError" in await error_of(asynchronous)
    assert "OperationalError" in await error_of(blocking)


def test_what_is_no_database_is_refused_at_once_with_the_cure() -> None:
    with pytest.raises(TypeError, match="no engine, pool or function that connects; give one of them"):
        sql_check("postgresql://localhost/chat")


async def test_options_are_those_of_a_check() -> None:
    check = tcp_check("llm.internal", 443, name="llm", required=False, timeout_s=1, ttl_s=5)
    assert (check.name, check.required, check.timeout_s, check.ttl_s) == ("llm", False, 1, 5)
    assert tcp_check("llm.internal", 443).name == "llm.internal:443"
    assert http_check("http://auth:8080/healthz").name == "auth"
