"""The whole product as a person runs it: `manage.py serve` on ports and data of its own."""

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil

from dashboard.env import BASE_DIR
from tests.support import commands
from tests.support.servers import free_port
from tests.support.waiting import wait_until

START_SECONDS = 60.0


class Product:
    """One run of `manage.py serve`. Lines it printed are in `lines`."""

    def __init__(self, data_dir: Path, *, ports: tuple[int, int, int] | None = None, **environment: str) -> None:
        self.port, self.staging_port, self.production_port = ports or (free_port(), free_port(), free_port())
        self.data_dir = data_dir
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "DATABASE_URL")},
            "DATA_DIR": str(data_dir),
            "PORT": str(self.port),
            "REFERENCE_PORTS": f"{self.staging_port},{self.production_port}",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self.lines: list[str] = []
        self._queue: queue.Queue[str] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=BASE_DIR,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def wait_line(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """The first printed line that matches; AssertionError with all lines when `seconds` pass without one."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if found := re.search(pattern, line):
                    return found
            if self.process.poll() is not None and time.monotonic() > deadline - seconds + 1:
                break
            time.sleep(0.02)
        raise AssertionError(f"no line matches {pattern!r}:\n" + "\n".join(self.lines))

    def wait_ready(self) -> str:
        """The one-time sign-in link, once the page answers."""
        return self.wait_line(r"(http://\S+/signin/\S+)").group(1)

    def children(self) -> list[psutil.Process]:
        """Every process below ours."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def child_id(self, name: str) -> int:
        """The process id of the child with that name; 0 while it has none."""
        rows = json.loads((self.data_dir / "children.json").read_text())
        return next((row["pid"] for row in rows if row["name"] == name), 0)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command against the same data."""
        return commands.run("manage.py", *arguments, environ=self.environment, check=False)

    def answers(self) -> bool:
        """True where the web server answers."""
        try:
            return httpx.get(f"{self.url}/healthz", timeout=2, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ctrl-C (or another signal) and wait for the end; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


def wait_gone(processes: list[psutil.Process], seconds: float = 15.0) -> None:
    """AssertionError naming the processes that still run after `seconds`."""
    wait_until(lambda: not [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE], seconds)
