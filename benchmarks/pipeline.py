"""The whole pipeline at work: `python -m benchmarks.pipeline [--targets 1000 --interval 1 --seconds 60 --silent 0]`.

Runs Redis, the worker, the scheduler, beat, the recorder and the web server with one live socket, each as `make serve`
starts it, against a chat service of several processes. Prints what was recorded and missed, how late probes started,
how late outcomes became rows, and what share of a core each process took. `--restart` ends the worker, the scheduler
and beat half-way, starts them again, and tells when every target had been probed once more. `--compare-silent N` runs
it twice, without and with N silent targets, and prints by what factor the start delay of all the others moved.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from benchmarks.chat_service import chat_service
from dashboard import processes
from tests.support.postgresql import postgresql
from tests.support.servers import free_port, redis_server_binary
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[1]
WARM_UP_S = 10.0
LONGEST_RESTART_S = 60.0


@dataclass
class Pipeline:
    """The running processes by name."""

    environ: dict[str, str]
    port: int
    running: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    def start(self, name: str, command: tuple[str, ...]) -> None:
        self.running[name] = subprocess.Popen(command, env=self.environ, cwd=ROOT)

    def stop(self, *names: str) -> None:
        ended = [self.running.pop(name) for name in names if name in self.running]
        for process in ended:
            process.send_signal(signal.SIGTERM)
        for process in ended:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each process and its children so far."""
        return {name: cpu_of(process.pid) for name, process in self.running.items()}


def cpu_of(pid: int) -> float:
    """CPU seconds of a process and its children; 0 where it is gone."""
    try:
        process = psutil.Process(pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(each.user + each.system for each in times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between the slots of a target")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long it is measured, after the warm-up")
    parser.add_argument("--silent", type=int, default=0, help="targets that accept and then say nothing")
    parser.add_argument("--deadline", type=float, default=5.0, help="seconds a probe may take")
    parser.add_argument("--workers", type=int, default=1, help="worker processes of the one location")
    parser.add_argument("--servers", type=int, default=2, help="processes of the chat service")
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--restart", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--besides", type=int, default=0, help="leave the first so many targets out of the figures")
    parser.add_argument("--compare-silent", type=int, default=0, help="two runs: without and with so many silent ones")
    arguments = parser.parse_args()
    if arguments.compare_silent:
        return _compare(arguments.compare_silent)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(postgresql()) if arguments.postgresql else f"sqlite:///{folder / 'db.sqlite3'}"
        url, service = stack.enter_context(chat_service(arguments.servers))
        pipeline = stack.enter_context(recording(folder, database))
        _start_probing(pipeline, arguments.workers)
        pipeline.running["chat service"] = service
        use_django(pipeline.environ)
        _make_targets(arguments, url)
        found = asyncio.run(_measure(pipeline, arguments))
    if arguments.json:
        arguments.json.write_text(json.dumps(found))
    return 0


def _compare(silent: int) -> int:
    """Two runs of the same length in fresh processes; the figures of the same targets in both."""
    asked = [word for word in sys.argv[1:] if not word.startswith("--compare-silent") and word != str(silent)]
    delays = []
    for number in (0, silent):
        command = [
            sys.executable,
            "-m",
            "benchmarks.pipeline",
            *asked,
            "--silent",
            str(number),
            "--besides",
            str(silent),
        ]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        print(f"-- {number} silent\n{done.stdout}", flush=True)
        delays.append(float(re.findall(r"start delay: .*p99 ([\d.]+) ms", done.stdout)[-1]))
    print(f"start delay p99 of the others: {delays[0]:.1f} ms without, {delays[1]:.1f} ms with {silent} silent targets")
    print(f"factor {delays[1] / delays[0]:.2f} (goal: at most 1.20)")
    return 0


def environment(folder: Path, database: str) -> Pipeline:
    """A pipeline of which nothing runs yet: free ports, its data in `folder`, this database."""
    port, redis_port = free_port(), free_port()
    environ = {
        **os.environ,
        "DATABASE_URL": database,
        "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "DATA_DIR": str(folder),
        "SECRET_KEY": "only for this benchmark",
        "PORT": str(port),
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        "PROBE_MAX_IN_FLIGHT": "5000",
        "PROBE_ALLOW_PRIVATE": "1",
    }
    return Pipeline(environ, port)


@contextmanager
def recording(folder: Path, database: str) -> Iterator[Pipeline]:
    """Redis, the recorder and the web process over a migrated database."""
    pipeline = environment(folder, database)
    redis_port = pipeline.environ["REDIS_URL"].rpartition(":")[2].partition("/")[0]
    try:
        pipeline.start("redis", (redis_server_binary(), "--port", redis_port, "--save", "", "--dir", str(folder)))
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], env=pipeline.environ, cwd=ROOT, check=True)
        pipeline.start("recorder", processes.recorder().arguments)
        pipeline.start("web", processes.web(pipeline.port).arguments)
        yield pipeline
    finally:
        pipeline.running.pop("chat service", None)
        pipeline.stop(*[name for name in pipeline.running if name != "redis"])
        pipeline.stop("redis")


def _start_probing(pipeline: Pipeline, workers: int) -> None:
    pipeline.start("scheduler", processes.scheduler().arguments)
    for number in range(workers):
        command = processes.worker("local", number + 1)
        pipeline.start(command.name, command.arguments)
    pipeline.start("beat", processes.beat().arguments)


def use_django(environ: dict[str, str]) -> None:
    """This process on the same data."""
    os.environ.update(environ)
    import django

    django.setup()


def _make_targets(arguments: argparse.Namespace, url: str) -> None:
    from django.db import transaction
    from django.utils import timezone

    from tests.support.outcomes import stored_target

    since = timezone.now() + timedelta(seconds=3)
    with transaction.atomic():
        for number in range(arguments.targets):
            stored_target(
                f"t{number}",
                url=f"{url}{'/silent' if number < arguments.silent else '/ws/chat'}",
                interval_ms=int(arguments.interval * 1000),
                deadline_ms=int(arguments.deadline * 1000),
                active_since=since,
            )


async def _measure(pipeline: Pipeline, arguments: argparse.Namespace) -> dict[str, Any]:
    restarted: dict[str, float] = {}
    heard: list[int] = []
    listener = asyncio.create_task(_listen(pipeline, heard))
    await asyncio.sleep(WARM_UP_S)
    began, before, updates = datetime.now(UTC), pipeline.cpu(), len(heard)
    if arguments.restart:
        restarted = await asyncio.to_thread(_restart, pipeline, arguments)
    else:
        await asyncio.sleep(arguments.seconds)
    ended, after = datetime.now(UTC), pipeline.cpu()
    updates = len(heard) - updates
    # What fell due in the window still becomes a row, or a miss, within its deadline and the grace.
    await asyncio.sleep(arguments.deadline + 6)
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    seconds = (ended - began).total_seconds()
    found = await asyncio.to_thread(_report, began, ended, arguments)
    print(f"live socket: {updates / seconds:.1f} updates/s")
    if arguments.restart:
        return {**found, "restart": restarted}  # the processes are others than those that were measured before
    shares = {name: (spent - before.get(name, 0.0)) / seconds for name, spent in after.items()}
    print("share of a core: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    return {**found, "restart": restarted, "live_updates_per_s": updates / seconds, "cores": shares}


async def _listen(pipeline: Pipeline, heard: list[int]) -> None:
    """One browser on the overview: a live socket, signed in. Notes the length of each update."""
    cookie = await asyncio.to_thread(_cookie)
    await asyncio.to_thread(wait_until, lambda: listens(pipeline.port), 20, "the web server listens")
    page = f"http://127.0.0.1:{pipeline.port}"
    url = f"ws://127.0.0.1:{pipeline.port}/ws/live/"
    headers = {"Cookie": f"sessionid={cookie}"}
    try:
        async with connect(url, origin=Origin(page), additional_headers=headers, max_size=None) as sock:
            await sock.send(json.dumps({"type": "subscribe", "topics": ["overview", "health"], "seq": 1}))
            async for text in sock:
                kind = json.loads(text)["type"]
                heard += [len(text)] if kind == "update" else []
                if kind == "heartbeat":
                    # As a page does: one that never answers is taken for asleep after 45 s, and closed with 4408.
                    await sock.send('{"type":"seen"}')
    except ConnectionClosed as error:
        print(f"the live socket was closed: {error}")


def _cookie() -> str:
    from tests.support.people import signed_in

    return signed_in("viewer").cookies["sessionid"].value


def listens(port: int) -> bool:
    """True where a server takes connections at the port of this machine."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _restart(pipeline: Pipeline, arguments: argparse.Namespace) -> dict[str, float]:
    """End all that probes, begin again, and wait until every target has been probed."""
    from django.db import connection

    from probes.models import Result

    time.sleep(arguments.seconds / 3)
    pipeline.stop(*[name for name in pipeline.running if name.startswith("worker") or name in ("scheduler", "beat")])
    time.sleep(arguments.interval)
    began, at = time.monotonic(), datetime.now(UTC)
    _start_probing(pipeline, arguments.workers)
    probed = Result.objects.filter(slot__gt=at).exclude(kind="missed")
    first = 0.0
    while (covered := probed.values("target_id").distinct().count()) < arguments.targets:
        first = first or (time.monotonic() if covered else 0.0)
        if time.monotonic() - began > LONGEST_RESTART_S:
            break
        time.sleep(0.1)
    connection.close()
    now = time.monotonic()
    print(
        f"restart: {covered} of {arguments.targets} targets probed again {now - began:.1f} s after the start of the "
        f"processes, {now - first:.1f} s after their first outcome (interval {arguments.interval:g} s)"
    )
    return {"covered": covered, "after_start_s": now - began, "after_first_s": now - first}


def _report(began: datetime, ended: datetime, arguments: argparse.Namespace) -> dict[str, Any]:
    from django.db import connection

    from probes.models import Result

    seconds = (ended - began).total_seconds()
    due = Result.objects.filter(slot__gte=began, slot__lt=ended)
    rows = list(due.values_list("target__slug", "kind", "start_delay_us", "ok", "flagged", "slot", "recorded_at"))
    connection.close()
    silent = {f"t{number}" for number in range(max(arguments.silent, arguments.besides))}
    kinds = Counter(row[1] or "ok" for row in rows)
    ran = [row for row in rows if row[1] != "missed"]
    delays = sorted((row[2] or 0) / 1000 for row in ran if row[0] not in silent)
    waits = sorted((row[6] - row[5]).total_seconds() * 1000 for row in ran if row[0] not in silent)
    expected = arguments.targets / arguments.interval * seconds
    print(
        f"{len(ran) / seconds:.0f} probes/s recorded, {sum(row[3] for row in rows) / seconds:.0f} full and ok; "
        f"{kinds['missed']} missed, {len(rows)} of about {expected:.0f} slots have a row; "
        f"{sum(row[4] for row in rows)} flagged"
    )
    print("kinds: " + ", ".join(f"{kind} {n}" for kind, n in kinds.most_common()))
    for name, row in (("start delay", delays), ("slot to row", waits)):
        if row:
            print(f"{name}: p50 {_share(row, 0.5):.1f} ms, p99 {_share(row, 0.99):.1f} ms, max {row[-1]:.1f} ms")
    print(f"seconds in which a probe started over 100 ms late: {_late_seconds(ran, began) or 'none'}")
    figures = {"p50_ms": _share(delays, 0.5), "p99_ms": _share(delays, 0.99)} if delays else {}
    ok = sum(row[3] for row in rows) / seconds
    return {"ok_per_s": ok, "recorded_per_s": len(ran) / seconds, "missed": kinds["missed"], "start_delay": figures}


def _late_seconds(ran: list[tuple[Any, ...]], began: datetime) -> list[int]:
    return sorted({int((row[5] - began).total_seconds()) for row in ran if (row[2] or 0) > 100_000})


def _share(row: list[float], share: float) -> float:
    return row[min(len(row) - 1, int(len(row) * share))]


if __name__ == "__main__":
    sys.exit(main())
