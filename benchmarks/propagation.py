"""How soon every watched server holds a change: `python -m benchmarks.propagation [--clients 200] [--toggles 100]`.

Runs the web server alone (with a Redis of its own; `--without-redis`, only the poll brings a change) and, in processes
of their own, the watched servers: ten are the gate's own `FlagSource`, the others do as it does with as little work as
can be, so that two hundred fit on one machine: they follow the event stream, read the definitions, and report.

Changes staging again and again, every fifth time by an emergency rollback. Printed: the time from the commit until each
held the revision, as each saw it and as the flags page tells it. Then event streams are cut by force at the same moment
as a change, half of them a `FlagSource`'s, and counted is who never came to hold it.
"""

import argparse
import asyncio
import json
import logging
import os
import queue
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.support.daphne import Daphne
from tests.support.servers import free_port, redis_server_binary
from tests.support.waiting import wait_until

LONGEST_S = 20.0
RECONNECT_S = 0.1
PER_CLIENT_KEY = 10_000
"""Requests a second that the one key of all clients may make: the limit is not what is measured."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--real", type=int, default=10, help="of them, the gate's own flag source")
    parser.add_argument("--toggles", type=int, default=100)
    parser.add_argument("--drops", type=int, default=50, help="event streams cut by force")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="between two changes")
    parser.add_argument("--without-redis", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--follow", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--really", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if told := arguments.follow or arguments.really:
        url, key, clients = told
        asyncio.run((_follow if arguments.follow else _follow_really)(url, key, int(clients)))
        return 0
    figures = _measure(arguments)
    _print(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))
    return 0


# --- the watched servers, in processes of their own ----------------------------------------------------------------


def _tell(instance: str, revision: int | None) -> None:
    # In one write: `print` from several threads mixes lines and their ends.
    os.write(1, f"{json.dumps([instance, revision, time.time()])}\n".encode())


async def _follow_really(url: str, key: str, clients: int) -> None:
    """So many flag sources: print a JSON line whenever one of them holds another revision."""
    from connections.gate import FlagSource

    class Watched(FlagSource):
        def _learned(self, snapshot: Any, before: Any) -> None:
            super()._learned(snapshot, before)
            _tell(self.instance, snapshot.revision)

    sources = [Watched(url, key, f"real-{number:03}") for number in range(clients)]
    for source in sources:
        source.start()
    await asyncio.to_thread(sys.stdin.read)
    for source in sources:
        source.stop()


class Plain(asyncio.Protocol):
    """One watched server's event stream, and its reports over a connection of their own."""

    def __init__(self, port: int, key: str, instance: str) -> None:
        self._port, self._key, self.instance = port, key, instance
        self.revision = 0
        self._read = b""
        self._stream: asyncio.Transport | None = None
        self._reports: asyncio.Transport | None = None

    async def follow(self) -> None:
        """Open the event stream; it opens again whenever it ends."""
        loop = asyncio.get_running_loop()
        if self._reports is None:
            self._reports, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", self._port)
        self._read = b""
        await loop.create_connection(lambda: self, "127.0.0.1", self._port)

    def cut(self) -> None:
        """Reset the event stream."""
        if self._stream is not None:
            self._stream.abort()

    def connection_made(self, transport: Any) -> None:
        self._stream = transport
        head = f"GET /api/v1/definitions/stream?with=definitions HTTP/1.1\r\nLast-Event-ID: {self.revision}\r\n"
        transport.write(f"{head}{self._headers}\r\n".encode())

    def connection_lost(self, error: Exception | None) -> None:
        if self._stream is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(RECONNECT_S, lambda: loop.create_task(self.follow()))

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\n\n" in self._read:
            event, _, self._read = self._read.partition(b"\n\n")
            _, found, told = event.partition(b"data: ")
            if found and (revision := json.loads(told)["revision"]) != self.revision:
                self.revision = revision
                _tell(self.instance, revision)
                self._report()

    def _report(self) -> None:
        body = json.dumps(
            {"instance": self.instance, "library_version": "0", "held_revision": self.revision, "held_seconds": 0.0,
             "run": "benchmark", "run_seconds": 1000.0}
        )  # fmt: skip
        head = f"POST /api/v1/servers/report HTTP/1.1\r\nContent-Length: {len(body)}\r\n{self._headers}\r\n"
        if self._reports is not None:
            self._reports.write(f"{head}{body}".encode())

    @property
    def _headers(self) -> str:
        return f"Host: 127.0.0.1\r\nX-API-Key: {self._key}\r\n"


async def _follow(url: str, key: str, clients: int) -> None:
    """So many plain ones; each number on standard input cuts so many of their streams."""
    port = int(url.rpartition(":")[2])
    plain = [Plain(port, key, f"plain-{number:03}") for number in range(clients)]
    await asyncio.gather(*(one.follow() for one in plain))
    turn = 0
    while line := await asyncio.to_thread(sys.stdin.readline):
        for _ in range(int(line)):
            plain[turn % clients].cut()
            turn += 1


class Clients:
    """The watched servers: when each came to hold which revision."""

    def __init__(self, port: int, relay: int, key: str, plain: int, real: int) -> None:
        self._names = [f"plain-{number:03}" for number in range(plain)] + [
            f"real-{number:03}" for number in range(real)
        ]
        self.held: dict[int, dict[str, float]] = {}
        self._newest: dict[str, int] = {}
        self._lines: queue.Queue[str] = queue.Queue()
        self._plain = self._start("--follow", port, key, plain)
        self._real = self._start("--really", relay, key, real)

    def _start(self, how: str, port: int, key: str, count: int) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "benchmarks.propagation", how, f"http://127.0.0.1:{port}", key, str(count)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        threading.Thread(target=self._read, args=(process,), daemon=True).start()
        return process

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put(line)

    def wait(self, revision: int, seconds: float = LONGEST_S) -> list[str]:
        """Until all hold the revision, or the time has passed: who does not."""
        ends = time.monotonic() + seconds
        while (missing := [name for name in self._names if self._newest.get(name, 0) < revision]) and (
            left := ends - time.monotonic()
        ) > 0:
            with suppress(queue.Empty):
                instance, held, at = json.loads(self._lines.get(timeout=left))
                self.held.setdefault(held, {})[instance] = at
                self._newest[instance] = held
        return missing

    def cut(self, count: int) -> None:
        """Cut so many event streams of plain servers."""
        assert self._plain.stdin is not None
        self._plain.stdin.write(f"{count}\n")
        self._plain.stdin.flush()

    def stop(self) -> None:
        for process in (self._plain, self._real):
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


# --- the measuring -------------------------------------------------------------------------------------------------


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        redis_url = "redis://127.0.0.1:1/0" if arguments.without_redis else stack.enter_context(_redis(folder))
        web = stack.enter_context(
            Daphne(Path(folder), redis_url=redis_url, SERVER_KEY_REQUESTS_PER_SECOND=str(PER_CLIENT_KEY))
        )
        os.environ.update(web.environment)
        import django

        django.setup()
        logging.getLogger("dashboard.wakeups").setLevel(logging.ERROR)
        relay = stack.enter_context(Relay(web.port))
        plain = arguments.clients - arguments.real
        clients = Clients(web.port, relay.port, web.server_key(), plain, arguments.real)
        stack.callback(clients.stop)
        missing = clients.wait(1, 60)
        assert not missing, f"{len(missing)} clients never began: {missing[:5]}"
        process = psutil.Process(web.process.pid)
        found = {"clients": arguments.clients, "threads": process.num_threads()}
        return {**found, **_toggled(arguments, clients, process), **_dropped(arguments, clients, relay)}


def _toggled(arguments: argparse.Namespace, clients: Clients, web: psutil.Process) -> dict[str, Any]:
    rows: dict[str, list[float]] = {"change": [], "emergency": [], "as the page tells it": []}
    missed, before = 0, web.cpu_times()
    for number in range(arguments.toggles):
        began = time.monotonic()
        is_emergency = number % 5 == 4
        revision, committed = _emergency() if is_emergency else _change()
        missed += len(clients.wait(revision))
        found = [(at - committed) * 1000 for at in clients.held.get(revision, {}).values()]
        rows["emergency" if is_emergency else "change"].extend(found)
        time.sleep(max(0.0, arguments.every - (time.monotonic() - began)))
        rows["as the page tells it"] += _told()
    after = web.cpu_times()
    spent = (after.user + after.system - before.user - before.system) * 1000 / max(1, arguments.toggles)
    return {"rows": {name: _summary(row) for name, row in rows.items()}, "missed": missed, "web_cpu_ms": spent}


def _dropped(arguments: argparse.Namespace, clients: Clients, relay: "Relay") -> dict[str, Any]:
    """Cut five streams at a time, at the same moment as a change."""
    late: list[float] = []
    cut = missed = 0
    while cut < arguments.drops:
        real = relay.cut(2)
        clients.cut(5 - real)
        cut += 5
        revision, committed = _change()
        missed += len(clients.wait(revision))
        late += [(at - committed) * 1000 for at in clients.held.get(revision, {}).values()]
    return {"drops": cut, "dropped_missed": missed, "dropped": _summary(late)}


def _change() -> tuple[int, float]:
    from connections.flags import control, reading

    before = reading.current_version("staging")
    now = reading.flag_set("staging").definitions["readiness-strategy"]["defaultVariant"]
    control.change(
        "staging",
        {"readiness-strategy": "immediate" if now != "immediate" else "fixed_delay"},
        author="benchmark",
        reason="Measuring how soon it is held",
        expected_version=before.number,
    )
    return reading.environment("staging").revision, time.time()


def _emergency() -> tuple[int, float]:
    """The emergency rollback to the version marked known-good, which the first one marks: the version that began."""
    from connections.flags import control, reading

    if reading.known_good("staging") is None:
        control.mark_known_good("staging", 1, author="benchmark")
    control.run_plan("staging", "emergency", author="benchmark", reason="Measuring how soon it is held")
    return reading.environment("staging").revision, time.time()


def _told() -> list[float]:
    """Milliseconds from commit to held as the flags page shows them."""
    from django.utils import timezone

    from connections.flags import reading

    found = reading.holders("staging", now=timezone.now())
    return [one.took.total_seconds() * 1000 for one in found if one.took is not None and not one.behind]


def _summary(row: list[float]) -> dict[str, float]:
    ordered = sorted(row)
    if not ordered:
        return {"n": 0, "p50_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0}
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"n": len(row), "p50_ms": statistics.median(ordered), "p99_ms": p99, "max_ms": ordered[-1]}


@contextmanager
def _redis(folder: str) -> Iterator[str]:
    port = free_port()
    command = [redis_server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _listens(port), what="redis-server answers")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Relay:
    """A TCP relay before the web server, on a thread of its own, which can reset connections that stream."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._loop = asyncio.new_event_loop()
        self._streams: dict[asyncio.StreamWriter, float] = {}
        self._server: asyncio.Server | None = None
        self.port = 0

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def cut(self, count: int) -> int:
        """Reset so many open event streams, those open longest first; how many there were."""
        return asyncio.run_coroutine_threadsafe(self._cut(count), self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0, backlog=1000)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self, count: int) -> int:
        chosen = sorted(self._streams, key=lambda writer: self._streams[writer])[:count]
        for writer in chosen:
            del self._streams[writer]
            writer.transport.abort()
        return len(chosen)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            await asyncio.gather(self._pump(reader, there_writer, writer), self._pump(there_reader, writer))
        except OSError:
            pass
        finally:
            self._streams.pop(writer, None)
            writer.transport.abort()
            there_writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: asyncio.StreamWriter | None = None
    ) -> None:
        while data := await reader.read(65536):
            if client is not None and data.startswith(b"GET /api/v1/definitions/stream"):
                self._streams[client] = time.monotonic()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError


def _print(figures: dict[str, Any]) -> None:
    print(f"{figures['clients']} clients, {figures['threads']} threads in the web process")
    print(f"{'from commit to held':<26} {'n':>6} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    for name, row in {**figures["rows"], "with streams cut": figures["dropped"]}.items():
        print(f"{name:<26} {row['n']:>6} {row['p50_ms']:>8.1f} {row['p99_ms']:>8.1f} {row['max_ms']:>8.1f}")
    print(f"missed: {figures['missed']}; after {figures['drops']} forced drops: {figures['dropped_missed']}")
    print(f"processor time of the web process for a change and its reports: {figures['web_cpu_ms']:.0f} ms")


if __name__ == "__main__":
    sys.exit(main())
