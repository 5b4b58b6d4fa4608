"""The four ASGI servers as real processes, started from their own command lines, and the gate's records that they write
to their standard error."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.env import BASE_DIR
from tests.support.servers import free_port, listens
from tests.support.waiting import wait_until

_RECORD = '{"event":'


@dataclass(frozen=True, slots=True)
class Kind:
    """One server: its command after `python -m`, and in what it differs on the wire."""

    name: str
    command: Callable[[str, int], list[str]]
    keeps_accept_headers: bool = True
    runs_lifespan: bool = True


def _uvicorn(app: str, port: int) -> list[str]:
    return ["uvicorn", app, "--port", str(port), "--log-level", "error", "--timeout-graceful-shutdown", "2"]


def _hypercorn(app: str, port: int) -> list[str]:
    # Without worker processes: only so does the process that serves hear of SIGTERM (docs/servers.md).
    return ["hypercorn", app, "--workers", "0", "--bind", f"127.0.0.1:{port}", "--log-level", "error"]


def _daphne(app: str, port: int) -> list[str]:
    return ["daphne", app, "--bind", "127.0.0.1", "--port", str(port), "--access-log", os.devnull]


def _granian(app: str, port: int) -> list[str]:
    return ["granian", app, "--interface", "asgi", "--port", str(port), "--workers-kill-timeout", "15"]


KINDS = (
    Kind("uvicorn", _uvicorn),
    Kind("hypercorn", _hypercorn),
    Kind("daphne", _daphne, keeps_accept_headers=False, runs_lifespan=False),
    Kind("granian", _granian, keeps_accept_headers=False),
)


class Running:
    """A server process that listens. `records` are those of the gate so far, oldest first."""

    def __init__(self, kind: Kind, process: "subprocess.Popen[str]", port: int) -> None:
        self.kind = kind
        self.process = process
        self.port = port
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/chat"

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def records(self, event: str = "connection_end") -> list[dict[str, Any]]:
        """Servers put their own prefixes before what an application logs."""
        found = [json.loads(line[line.index(_RECORD) :]) for line in list(self.lines) if _RECORD in line]
        return [record for record in found if record["event"] == event]

    def ended(self, count: int = 1, seconds: float = 20) -> list[dict[str, Any]]:
        """Wait until `count` connections have ended; exactly so many, and their records."""
        wait_until(lambda: len(self.records()) >= count, seconds, f"{count} connections ended\n{self.log[-4000:]}")
        found = self.records()
        assert len(found) == count
        return found

    def terminate(self) -> None:
        """SIGTERM to the process that was started, as a container runtime sends it."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 20) -> int:
        """Wait until it has ended and its output is read; its exit status."""
        status = self.process.wait(seconds)
        self._reader.join(seconds)
        return status

    def stop(self) -> None:
        if self.process.poll() is None:
            self.terminate()
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            # Its own process group: what it started goes with it.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)


@contextmanager
def running(
    kind: Kind,
    app: str,
    folder: Path,
    *,
    python: str = sys.executable,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Running]:
    """Serve `app` ("module:name", found in `folder`) for the block."""
    server = start(kind, app, folder, python=python, environment=environment)
    try:
        yield server
    finally:
        server.stop()


def start(
    kind: Kind,
    app: str,
    folder: Path,
    *,
    port: int = 0,
    python: str = sys.executable,
    environment: Mapping[str, str] | None = None,
) -> Running:
    """Start the server (on a free port where none is given), and return it when it listens. AssertionError with its
    output where it does not."""
    port = port or free_port()
    paths = os.pathsep.join((str(BASE_DIR), str(folder)))
    process = subprocess.Popen(
        [python, "-m", *kind.command(app, port)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    server = Running(kind, process, port)
    try:
        wait_until(lambda: process.poll() is not None or listens(port), 30, f"{kind.name} listens\n{server.log}")
        assert process.poll() is None, f"{kind.name} ended at once\n{server.log}"
    except BaseException:
        server.stop()
        raise
    return server
