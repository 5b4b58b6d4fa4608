"""What the state of a flag server costs a connection: `python -m benchmarks.flag_servers [--connections 400]`.

One service behind a gate, in a process of its own per state of its flag server: none at all, answering, hung (it takes
connections and never says a word), dead (nothing listens), and a hung OFREP server of somebody else. Timed is a client,
from the start of its connect to the frame `connection_ready`; the states take turns, so that the machine's moods are
shared. The last column is the median's ratio to no flag server at all.
"""

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.asyncio.client import connect

from connections.gate import FlagSource, OfrepSource, ReadinessGate, StaticFlags
from connections.gate.selection import Flags
from tests.connections.gate.applications import plain
from tests.support.asgi import serving
from tests.support.flag_server import KEY, FlagServer, flag_server
from tests.support.servers import free_port

STATES = ("none", "answering", "hung", "dead", "hung OFREP")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=400, help="per state")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--serve", choices=STATES, help=argparse.SUPPRESS)
    parser.add_argument("--flags", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(_source(arguments.serve, arguments.flags))
        return 0
    figures = _measure(arguments.connections)
    _print(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))
    return 0


def _source(state: str, url: str) -> Flags:
    if state == "none":
        return StaticFlags()
    if state == "hung OFREP":
        return OfrepSource(url, KEY, "benchmark")
    return FlagSource(url, KEY, "benchmark")


def _serve(flags: Flags) -> None:
    """Serve until standard input ends."""

    async def application(scope: object, receive: object, send: object) -> None:
        await send({"type": "websocket.accept"})  # type: ignore[operator]  # an ASGI callable
        await receive()  # type: ignore[operator]  # an ASGI callable

    with serving(ReadinessGate(plain(application), flags=flags)) as chat:
        print(chat.ws, flush=True)
        sys.stdin.read()


@contextmanager
def _service(state: str, url: str) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.flag_servers", "--serve", state, "--flags", url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(20)


def _measure(connections: int) -> dict[str, dict[str, float]]:
    dead = f"http://127.0.0.1:{free_port()}"
    with (
        socket.create_server(("127.0.0.1", 0), backlog=64) as black_hole,
        flag_server(FlagServer()) as answering,
    ):
        silent = f"http://127.0.0.1:{black_hole.getsockname()[1]}"
        urls = {"none": "", "answering": answering.http, "hung": silent, "dead": dead, "hung OFREP": silent}
        with (
            _service("none", urls["none"]) as none,
            _service("answering", urls["answering"]) as good,
            _service("hung", urls["hung"]) as hung,
            _service("dead", urls["dead"]) as gone,
            _service("hung OFREP", urls["hung OFREP"]) as hung_ofrep,
        ):
            services = dict(zip(STATES, (none, good, hung, gone, hung_ofrep), strict=True))
            times = asyncio.run(_visit_all(services, connections))
    base = statistics.median(times["none"])
    return {state: _figures(row, base) for state, row in times.items()}


async def _visit_all(services: dict[str, str], connections: int) -> dict[str, list[float]]:
    for url in services.values():
        for _ in range(20):
            await _ready(url)
    times: dict[str, list[float]] = {state: [] for state in services}
    states = list(services)
    for number in range(connections):
        first = number % len(states)
        for state in states[first:] + states[:first]:
            times[state].append(await _ready(services[state]))
    return times


async def _ready(url: str) -> float:
    """Milliseconds from the start of a connect to `connection_ready`."""
    began = time.perf_counter()
    async with connect(url, compression=None) as client:
        frame = json.loads(await client.recv())
        assert frame["type"] == "connection_ready", frame
        return (time.perf_counter() - began) * 1000


def _figures(row: list[float], base: float) -> dict[str, float]:
    ordered = sorted(row)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    middle = statistics.median(ordered)
    return {"connections": len(row), "p50_ms": middle, "p99_ms": p99, "ratio": middle / base}


def _print(figures: dict[str, dict[str, float]]) -> None:
    print(f"{'flag server':<12} {'connections':>11} {'p50 ms':>8} {'p99 ms':>8} {'ratio':>7}")
    for state, row in figures.items():
        print(f"{state:<12} {row['connections']:>11} {row['p50_ms']:>8.2f} {row['p99_ms']:>8.2f} {row['ratio']:>7.2f}")


if __name__ == "__main__":
    sys.exit(main())
