"""Runs the product's processes, restarts those that die, and leaves none behind.

Each child is in a session of its own, so that Ctrl-C reaches only us and we stop them in order; the kernel ends them
when we are killed (PR_SET_PDEATHSIG, prctl(2)). Process managers on PyPI restart or die with their parent, not both.
"""

import asyncio
import ctypes
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from dashboard import supervision
from dashboard.env import write_private
from dashboard.processes import Command
from dashboard.supervision import Life, State

STOP_SECONDS = 10.0
"""How long a child may take to stop before it is killed."""
STATE_SECONDS = 5.0
"""How often the state file is renewed, so that a reader can tell an old one."""
LOG_BYTES = 5_000_000
"""A log longer than this is set aside when its process starts."""
ASK_AGAIN_SECONDS = 0.1
"""How often a child with a health address is asked until it answers."""
SETTLE_SECONDS = 1.0
"""A child without a health address counts as running once it has lived this long."""
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask the kernel to send this process a signal when its parent ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, number)


def _killed_with_parent() -> None:
    # Not asked to stop: a child that waits for Redis, which ends at the same instant, would stay behind for long. Each
    # process may be killed at any instant without harm to what is stored.
    die_with_parent(signal.SIGKILL)


class Supervisor:
    """Starts `commands` in order, keeps them alive until `stop`, and tells `say` one line per change of state."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str], say: Callable[[Life, str], None]) -> None:
        self._data_dir = data_dir
        self._environment = dict(environment)
        self._say = say
        self._lives: dict[str, Life] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._order: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    def start(self, command: Command) -> None:
        """Keep `command` running from now on."""
        self._order.append(command.name)
        self._lives[command.name] = Life(command.name, State.STARTING, time.time())
        self._tasks.append(asyncio.create_task(self._keep(command), name=command.name))

    async def wait_running(self, names: Sequence[str], seconds: float) -> bool:
        """True once every named process serves; False when `seconds` pass first."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if all(self._lives[name].state is State.RUNNING for name in names):
                return True
            await asyncio.sleep(0.05)
        return False

    async def renew_state(self) -> None:
        """Write the state file every STATE_SECONDS, until cancelled."""
        while True:
            self._write_state()
            await asyncio.sleep(STATE_SECONDS)

    async def stop(self) -> None:
        """Stop every child; kill what does not stop. The first started goes last: the others hand it what they hold."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._end(name) for name in self._order[1:]))
        for name in self._order[:1]:
            await self._end(name)

    async def _keep(self, command: Command) -> None:
        while not self._stopping:
            process = await self._spawn(command)
            watch = asyncio.create_task(self._watch_answer(command, process))
            try:
                code = await process.wait()
            finally:
                watch.cancel()
            why = _why(code, self._log_path(command.name))
            life, delay = supervision.died(self._lives[command.name], time.time(), why)
            self._move(life, f"ended ({why}); starts again in {delay:g} s")
            await asyncio.sleep(delay)

    async def _spawn(self, command: Command) -> asyncio.subprocess.Process:
        self._move(supervision.started(self._lives[command.name], time.time()), "")
        with self._open_log(command.name) as log:
            process = await asyncio.create_subprocess_exec(
                *command.arguments,
                env={**self._environment, **command.environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_killed_with_parent,
            )
        self._processes[command.name] = process
        remember(self._data_dir, self._processes)
        return process

    async def _watch_answer(self, command: Command, process: asyncio.subprocess.Process) -> None:
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            while process.returncode is None:
                await asyncio.sleep(ASK_AGAIN_SECONDS if command.health_url else SETTLE_SECONDS)
                if await _serves(client, command):
                    self._move(supervision.answered(self._lives[command.name], time.time()), command.note)
                    return

    def _move(self, life: Life, note: str) -> None:
        before = self._lives[life.name]
        self._lives[life.name] = life
        if before.state is not life.state:
            self._say(life, note)
            self._write_state()

    async def _end(self, name: str) -> None:
        process = self._processes.get(name)
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        self._move(supervision.stopped(self._lives[name], time.time()), "")

    def _write_state(self) -> None:
        state = {"at": _iso(time.time()), "processes": [_row(self._lives[name]) for name in self._order]}
        write_private(self._data_dir / "processes.json", json.dumps(state), replace=True)

    def _log_path(self, name: str) -> Path:
        return self._data_dir / "logs" / f"{name}.log"

    def _open_log(self, name: str) -> Any:
        path = self._log_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")


def remember(data_dir: Path, processes: Mapping[str, asyncio.subprocess.Process]) -> None:
    """Note each child's process id and start time, for `end_leftovers`."""
    rows = []
    for name, process in processes.items():
        if process.returncode is None and psutil.pid_exists(process.pid):
            rows.append({"name": name, "pid": process.pid, "started": psutil.Process(process.pid).create_time()})
    write_private(data_dir / "children.json", json.dumps(rows), replace=True)


def end_leftovers(data_dir: Path) -> list[str]:
    """End children that a killed run left behind; returns their names. The start time guards against reused ids."""
    path = data_dir / "children.json"
    if not path.exists():
        return []
    left = [(row["name"], found) for row in json.loads(path.read_text()) if (found := _same_process(row))]
    for _, process in left:
        process.terminate()
    _, stubborn = psutil.wait_procs([process for _, process in left], timeout=STOP_SECONDS)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn, timeout=STOP_SECONDS)
    path.unlink()
    return [name for name, _ in left]


def _same_process(row: Mapping[str, Any]) -> psutil.Process | None:
    try:
        process = psutil.Process(row["pid"])
        return process if abs(process.create_time() - row["started"]) < 0.5 else None
    except psutil.NoSuchProcess:
        return None


async def _serves(client: httpx.AsyncClient, command: Command) -> bool:
    if not command.health_url:
        return True
    try:
        return (await client.get(command.health_url)).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _why(code: int, log: Path) -> str:
    ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return f"{ended}: {lines[-1][:160]}" if lines and code > 0 else ended


def _row(life: Life) -> dict[str, Any]:
    return {
        "name": life.name,
        "state": life.state,
        "since": _iso(life.since),
        "restarts": life.restarts,
        "why": life.why,
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def lock(data_dir: Path) -> int | None:
    """Hold DATA_DIR for this run; None where another run holds it. The kernel lets go when the process ends."""
    import fcntl

    data_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(data_dir / "serve.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
