"""Checks that are ready made. None of them imports a driver: the caller gives its own client, pool or engine, which is
also what its connections will use.

    ReadinessGate(app, checks=[redis_check(redis), sql_check(engine), http_check("http://auth:8080/healthz"),
                               tcp_check("llm.internal", 443, required=False)])

`name` is what people and clients read; `required`, `timeout_s` and `ttl_s` are those of `Check`. Anything else is a
`Check` around a coroutine function of your own.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Container
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Protocol, TypedDict, Unpack
from urllib.parse import urlsplit

import httpx

from connections.gate.dependencies.check import Check

SUCCESS = range(200, 400)


class Options(TypedDict, total=False):
    """What every check takes; defaults as of `Check`."""

    required: bool
    timeout_s: float
    ttl_s: float
    attempts: int


class Pings(Protocol):
    """A `redis.asyncio.Redis`, or a cluster, or another client with the same method."""

    def ping(self) -> Awaitable[Any]: ...


def tcp_check(host: str, port: int, *, name: str = "", **options: Unpack[Options]) -> Check:
    """Something accepts connections there."""

    async def knock() -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        with suppress(OSError):  # it was there: how it takes our leave does not matter
            await writer.wait_closed()

    return Check(name or f"{host}:{port}", knock, **options)


def http_check(url: str, *, name: str = "", accepted: Container[int] = SUCCESS, **options: Unpack[Options]) -> Check:
    """`GET url` answers with a status in `accepted`; its body is not read, redirects are not followed, and a proxy of
    the environment is not used."""
    tls = httpx.create_ssl_context()

    async def get() -> None:
        limit = options.get("timeout_s", 2.0)
        async with (
            httpx.AsyncClient(verify=tls, timeout=limit, trust_env=False) as client,
            client.stream("GET", url) as response,
        ):
            if response.status_code not in accepted:
                raise RuntimeError(f"it answered {response.status_code}")

    return Check(name or urlsplit(url).hostname or url, get, **options)


def redis_check(client: Pings, *, name: str = "redis", **options: Unpack[Options]) -> Check:
    """`PING` is answered. Give the asynchronous client: a synchronous one would stop the event loop, and is refused. A
    client that tries again by itself spends the budget of the check doing so."""

    async def ping() -> None:
        answer = client.ping()
        if not isawaitable(answer):
            raise TypeError("its ping() is synchronous; give a redis.asyncio.Redis")
        await answer

    return Check(name, ping, **options)


def sql_check(source: Any, *, name: str = "database", statement: str = "SELECT 1", **options: Unpack[Options]) -> Check:
    """`statement` can be executed. `source` is what the application has: an SQLAlchemy AsyncEngine, an asyncpg pool, a
    psycopg AsyncConnectionPool, a coroutine function that connects (`partial(psycopg.AsyncConnection.connect, dsn)`),
    or any DB-API function that connects (`partial(sqlite3.connect, path)`), which is called in a thread of its own.
    """
    return Check(name, _asker(source, statement), **options)


def _asker(source: Any, statement: str) -> Callable[[], Awaitable[Any]]:
    if hasattr(source, "fetchval"):
        return lambda: source.fetchval(statement)
    if hasattr(source, "connection"):
        return lambda: _through(source.connection(), "execute", statement)
    if hasattr(source, "connect") and not callable(source):
        return lambda: _through(source.connect(), "exec_driver_sql", statement)
    if asyncio.iscoroutinefunction(getattr(source, "func", source)):
        return lambda: _connected(source, statement)
    if callable(source):
        return _InThread(source, statement)
    raise TypeError(f"sql_check: {source!r} is no engine, pool or function that connects; give one of them")


async def _through(lent: Any, method: str, statement: str) -> None:
    async with lent as connection:
        await getattr(connection, method)(statement)


async def _connected(connect: Callable[[], Awaitable[Any]], statement: str) -> None:
    connection = await connect()
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


class _InThread:
    """Calls a blocking driver in a thread. One that hangs is not joined by a second: it is still the same answer."""

    def __init__(self, connect: Callable[[], Any], statement: str) -> None:
        self._connect = connect
        self._statement = statement
        self._thread: threading.Thread | None = None

    async def __call__(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            raise TimeoutError("the check before has not come back yet")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[None] = loop.create_future()

        def run() -> None:
            failure = self._ask()
            with suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(_settle, answer, failure)

        self._thread = threading.Thread(target=run, name="readywire-sql-check", daemon=True)
        self._thread.start()
        await answer

    def _ask(self) -> Exception | None:
        try:
            connection = self._connect()
            try:
                connection.cursor().execute(self._statement)
            finally:
                connection.close()
        except Exception as failure:  # noqa: BLE001 - a driver's; raised again where the check is awaited
            return failure
        return None


def _settle(answer: "asyncio.Future[None]", failure: Exception | None) -> None:
    if answer.done():
        return
    if failure is None:
        answer.set_result(None)
    else:
        answer.set_exception(failure)
