"""What the gate costs a server where nothing has to be waited for: `python -m benchmarks.gate_overhead [--quick]`.

The bare application and the same behind a ReadinessGate, each on a uvicorn process of its own, in one run and in turns;
the client is this process, on raw sockets, and cheaper than either server. Four figures, each with its goal:

- first answer: from the 101 to the answer of a message sent at once, 50 connections open at any time, one more opened
  (and the oldest closed) at each tick, so that what is measured is the gate and not a queue; p50 and p95 of the gate
  less those of the bare application. Beside it: the upgrade, and the server's CPU of a whole connection;
- messages: 50 connections, each with one message in flight, the server saturated; the rate of the gate over the bare
  one's, and the same ratio in the server's own CPU, which other load on the machine disturbs less. Each is the best of
  its rounds, since whatever else runs only adds. Beside it: a middleware that does nothing, and the gate that numbers
  nothing;
- memory: what one idle connection adds to the server's resident set;
- crowd: 10,000 idle gated connections held by one process, all of which still answer.

The crowd needs that many open files in each process: `ulimit -n 11000` where the hard limit allows it.
"""

import argparse
import json
import resource
import select
import socket
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.servers import free_port
from tests.support.waiting import wait_until

CONCURRENT = 50
GOALS = {"added_p50_ms": 0.10, "added_p95_ms": 0.30, "rate_ratio": 0.97, "idle_kib": 6.0, "crowd": 10_000}
_KINDS = ("bare", "gate")
_TALKING = ("bare", "wrapped", "unnumbered", "gate")
_REQUEST = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
_SPARE_FILES = 200


def _masked(text: bytes) -> bytes:
    """A whole text frame of a client, with the mask 0, which changes nothing (RFC 6455, section 5.3)."""
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text


_MESSAGE = _masked(b'{"type": "user_message", "run_id": "r1", "text": "and what do you think of it?"}')
_CLOSE = b"\x88\x82" + bytes(4) + b"\x03\xe8"


@dataclass(frozen=True)
class Server:
    """One running server."""

    kind: str
    port: int
    pid: int

    def cpu_s(self) -> float:
        """CPU that it has used, in seconds, to the nanosecond (Linux: schedstat of its one busy thread)."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e9

    def resident_kib(self) -> float:
        """Its own memory, without what it shares with others."""
        rows = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return float(sum(int(row.split()[1]) for row in rows if row.startswith(("Private_", "Shared_Dirty"))))


@contextmanager
def serving(kind: str, application: str) -> Iterator[Server]:
    """A server of its own process, warmed up."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.gate_overhead_server", application, kind, str(port)]
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 20, f"the {kind} server listens")
            server = Server(kind, port, process.pid)
            for _ in range(100):
                _first_answer(server)[0].close()
            yield server
        finally:
            process.terminate()


class Client:
    """One WebSocket on a raw socket."""

    __slots__ = ("buffer", "sock")

    def __init__(self, server: Server) -> None:
        self.sock = socket.create_connection(("127.0.0.1", server.port), 30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def upgrade(self) -> None:
        """Return when the 101 is here."""
        self.sock.sendall(_REQUEST)
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            self.buffer += self._read()
        if not self.buffer.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(f"not upgraded: {self.buffer[:80]!r}")
        self.buffer = self.buffer[end + 4 :]

    def ask(self) -> None:
        """Send one message."""
        self.sock.sendall(_MESSAGE)

    def answered(self) -> None:
        """Return when one answer is here; frames of the gate are passed over."""
        while True:
            frame = self._frame()
            if frame is None:
                self.buffer += self._read()
            elif b"agent_thinking" in frame:
                return

    def answers(self) -> int:
        """Answers among what is readable now."""
        self.buffer += self._read()
        found = 0
        while (frame := self._frame()) is not None:
            found += b"agent_thinking" in frame
        return found

    def close(self) -> None:
        """Leave with close 1000."""
        self.sock.sendall(_CLOSE)
        self.sock.close()

    def _read(self) -> bytes:
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("the server closed")
        return data

    def _frame(self) -> bytes | None:
        """The next whole frame of a server: unmasked, shorter than 64 KiB."""
        data = self.buffer
        if len(data) < 4:
            return None
        size, start = data[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        if len(data) < start + size:
            return None
        self.buffer = data[start + size :]
        return data[start : start + size]


def _first_answer(server: Server) -> tuple[Client, float, float]:
    """An open connection; seconds of its upgrade, and from there to the first answer."""
    client = Client(server)
    began = time.perf_counter()
    client.upgrade()
    upgraded = time.perf_counter()
    client.ask()
    client.answered()
    return client, upgraded - began, time.perf_counter() - upgraded


# --- the four figures -------------------------------------------------------------------------------------------------


def first_answers(servers: Sequence[Server], rounds: int, tick_s: float) -> dict[str, Any]:
    """Milliseconds by kind: upgrade, first answer, and CPU of a whole connection."""
    upgrades: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    answers: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    cpu: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for _ in range(rounds):
        for server in servers:
            open_now: deque[Client] = deque(_first_answer(server)[0] for _ in range(CONCURRENT))
            before, due = server.cpu_s(), time.monotonic()
            for _ in range(CONCURRENT):
                due += tick_s
                time.sleep(max(due - time.monotonic(), 0))
                client, upgrade, answer = _first_answer(server)
                upgrades[server.kind].append(upgrade * 1e3)
                answers[server.kind].append(answer * 1e3)
                open_now.append(client)
                open_now.popleft().close()
            time.sleep(tick_s)
            cpu[server.kind].append((server.cpu_s() - before) * 1e3 / CONCURRENT)
            while open_now:
                open_now.popleft().close()
    return {
        kind: {
            "upgrade_p50_ms": statistics.median(upgrades[kind]),
            "p50_ms": _percentile(answers[kind], 0.50),
            "p95_ms": _percentile(answers[kind], 0.95),
            "cpu_ms": statistics.median(cpu[kind]),
            "connections": len(answers[kind]),
        }
        for kind in _KINDS
    }


def messages(servers: Sequence[Server], rounds: int, seconds: float) -> dict[str, Any]:
    """By kind: messages a second and microseconds of server CPU each, and both ratios to the bare one."""
    rows: dict[str, list[tuple[float, float]]] = {server.kind: [] for server in servers}
    with ExitStack() as stack:
        crowds = {server.kind: _talkers(server, stack) for server in servers}
        for number in range(rounds):
            for server in servers if number % 2 else reversed(servers):
                rows[server.kind].append(_talk(server, crowds[server.kind], seconds))
    best = {kind: (max(row[0] for row in found), min(row[1] for row in found)) for kind, found in rows.items()}
    rate, cpu = best["bare"]
    return {
        kind: {"rate": found[0], "cpu_us": found[1], "rate_ratio": found[0] / rate, "cpu_ratio": cpu / found[1]}
        for kind, found in best.items()
    }


def _talkers(server: Server, stack: ExitStack) -> dict[int, Client]:
    clients = [_first_answer(server)[0] for _ in range(CONCURRENT)]
    for client in clients:
        stack.callback(client.close)
    return {client.sock.fileno(): client for client in clients}


def _talk(server: Server, clients: dict[int, Client], seconds: float) -> tuple[float, float]:
    """Messages a second, and microseconds of server CPU each."""
    poll = select.epoll()
    for number, client in clients.items():
        poll.register(number, select.EPOLLIN)
        client.ask()
    answered = 0
    cpu, began = server.cpu_s(), time.perf_counter()
    ends = began + seconds
    while (now := time.perf_counter()) < ends:
        for number, _ in poll.poll(1):
            found = clients[number].answers()
            answered += found
            for _ in range(found):
                clients[number].ask()
    spent = server.cpu_s() - cpu
    for client in clients.values():
        client.answered()
    poll.close()
    return answered / (now - began), spent * 1e6 / max(answered, 1)


def crowd(kind: str, application: str, count: int) -> dict[str, float]:
    """`count` idle connections on a fresh server: KiB each, and how many of a sample still answer."""
    with serving(kind, application) as server, ExitStack() as stack:
        before = server.resident_kib()
        clients = []
        for _ in range(count):
            client = Client(server)
            stack.callback(client.sock.close)
            client.upgrade()
            clients.append(client)
        wait_until(lambda: _quiet(server), 60, "the server is idle")
        each = (server.resident_kib() - before) / count
        for client in clients:
            client.ask()
            client.answered()
        return {"connections": float(len(clients)), "kib_each": each, "open_files": float(_files(server))}


def _quiet(server: Server) -> bool:
    before = server.cpu_s()
    time.sleep(0.3)
    return server.cpu_s() - before < 0.003


def _files(server: Server) -> int:
    return len(list(Path(f"/proc/{server.pid}/fd").iterdir()))


def _percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _may_open(count: int) -> None:
    """Raise the soft limit of open files, or say what to do. Servers inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + _SPARE_FILES
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SystemExit(
            f"{count:,} connections need {needed:,} open files in each process and the hard limit is {hard:,}: "
            f"raise it (ulimit -Hn {needed}, or LimitNOFILE= of the service), or run with --crowd {hard - _SPARE_FILES}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--application", choices=["asgi", "starlette"], default="starlette")
    parser.add_argument(
        "--rounds", type=int, default=20, help="of 50 first answers; three times as many blocks of messages"
    )
    parser.add_argument("--tick", type=float, default=0.01, help="seconds between two new connections")
    parser.add_argument("--seconds", type=float, default=0.2, help="of one block of messages")
    parser.add_argument("--crowd", type=int, default=int(GOALS["crowd"]), help="idle connections")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds, arguments.crowd = 3, 0.1, min(arguments.crowd, 300)
    _may_open(arguments.crowd)
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(kind, arguments.application)) for kind in _TALKING]
        compared = [server for server in servers if server.kind in _KINDS]
        answers = first_answers(compared, arguments.rounds, arguments.tick)
        talk = messages(servers, 3 * arguments.rounds, arguments.seconds)
    idle = {kind: crowd(kind, arguments.application, arguments.crowd) for kind in _KINDS}
    found = _figures(answers, talk, idle)
    if arguments.json:
        arguments.json.write_text(json.dumps(found))
    return _report(found, arguments.crowd)


def _figures(answers: dict[str, Any], talk: dict[str, Any], idle: dict[str, Any]) -> dict[str, Any]:
    return {
        "added_p50_ms": answers["gate"]["p50_ms"] - answers["bare"]["p50_ms"],
        "added_p95_ms": answers["gate"]["p95_ms"] - answers["bare"]["p95_ms"],
        "rate_ratio": talk["gate"]["rate_ratio"],
        "idle_kib": idle["gate"]["kib_each"] - idle["bare"]["kib_each"],
        "crowd": idle["gate"]["connections"],
        "first_answer": answers,
        "messages": talk,
        "idle": idle,
    }


def _report(found: dict[str, Any], wanted: int) -> int:
    for kind in _KINDS:
        first, idle = found["first_answer"][kind], found["idle"][kind]
        print(
            f"{kind:<11} upgrade p50 {first['upgrade_p50_ms']:.3f} ms, first answer p50 {first['p50_ms']:.3f} "
            f"p95 {first['p95_ms']:.3f} ms, {first['cpu_ms']:.2f} ms CPU a connection; {idle['kib_each']:.2f} KiB idle"
        )
    for kind, talk in found["messages"].items():
        print(
            f"{kind:<11} {talk['rate']:8,.0f} messages/s ({talk['rate_ratio']:.3f} of bare), "
            f"{talk['cpu_us']:.1f} us CPU each ({talk['cpu_ratio']:.3f})"
        )
    goals = {**GOALS, "crowd": min(GOALS["crowd"], wanted)}
    met = {name: found[name] >= goal if name in ("rate_ratio", "crowd") else found[name] <= goal
           for name, goal in goals.items()}  # fmt: skip
    for name, goal in goals.items():
        bound = "at least" if name in ("rate_ratio", "crowd") else "at most"
        print(f"{name:<14} {found[name]:10.3f}  goal {bound} {goal:g}: {'met' if met[name] else 'MISSED'}")
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
