"""What one outcome costs the recorder: `python -m benchmarks.recording [--targets 1000 --slots 90 --batch 250]`.

Fills a real Redis stream with outcomes of every target, slot after slot, and lets the product's own recorder empty it:
read, decode, one transaction per flush, acknowledge. Prints its CPU per outcome (all threads of this process, so a
PostgreSQL server's own is not in it) and how long a flush takes, as the median and the worst of rounds, on SQLite and,
with `--postgresql`, on a fresh PostgreSQL. At 1,000 outcomes a second a flush holds about 250: the default here.
`--profile` prints where the CPU goes.
"""

import argparse
import cProfile
import os
import pstats
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import redis

from tests.support.postgresql import postgresql
from tests.support.servers import free_port, redis_server_binary
from tests.support.waiting import wait_until

ROUND_SLOTS = 10
"""Slots of every target in one round; each round gives one figure."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round took, in seconds: CPU in all, and each flush from its read to its acknowledgement."""

    outcomes: int
    cpu: float
    flushes: tuple[float, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=90, help="slots of each target, a second apart")
    parser.add_argument("--warm-up", type=int, default=30, help="how many of them are recorded before it is measured")
    parser.add_argument("--batch", type=int, default=250, help="outcomes in a flush (FLUSH_OUTCOMES)")
    parser.add_argument("--failures", type=float, default=0.01, help="share of the outcomes")
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(postgresql()) if arguments.postgresql else f"sqlite:///{folder / 'db.sqlite3'}"
        url = stack.enter_context(_redis(folder))
        _use_django(folder, database, url, arguments.batch)
        rounds = _rounds(arguments, url)
        _report(rounds, arguments, "PostgreSQL" if arguments.postgresql else "SQLite")
        if _differs():
            print("WRONG: the rollups are not what the rows add up to")
            return 1
    return 0


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        (redis_server_binary(), "--port", str(port), "--save", "", "--dir", str(folder)), stdout=subprocess.DEVNULL
    )
    url = f"redis://127.0.0.1:{port}/0"
    try:
        wait_until(lambda: _answers(url), what="Redis")
        yield url
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


def _use_django(folder: Path, database: str, url: str, batch: int) -> None:
    environ = {
        "DATABASE_URL": database,
        "REDIS_URL": url,
        "DATA_DIR": str(folder),
        "SECRET_KEY": "only for this benchmark",
        "DJANGO_SETTINGS_MODULE": "dashboard.settings",
        "FLUSH_OUTCOMES": str(batch),
        "FLUSH_MILLISECONDS": "5",
    }
    os.environ.update(environ)
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _rounds(arguments: argparse.Namespace, url: str) -> list[Round]:
    from probes.recorder import Recorder, connect

    client = connect(url)
    recorder = Recorder(client, threading.Event())
    texts = _outcomes(arguments)
    _fill(client, texts, arguments.warm_up)
    _empty(recorder, client)
    found: list[Round] = []
    with _profiled(enabled=arguments.profile):
        for _ in range((arguments.slots - arguments.warm_up) // ROUND_SLOTS):
            _fill(client, texts, ROUND_SLOTS)
            found.append(_empty(recorder, client))
    return found


def _outcomes(arguments: argparse.Namespace) -> Iterator[list[str]]:
    """One list of entries per slot, as workers publish them: spread over the second, most of them full and ok."""
    from django.db import transaction

    from probes.results_stream import encode, wants_transcript
    from tests.support.outcomes import entry, stored_target

    chance = random.Random(20261121)
    with transaction.atomic():
        targets = [stored_target(f"t{number}") for number in range(arguments.targets)]
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    for second in range(arguments.slots):
        texts = []
        for number, target in enumerate(targets):
            slot = begin + timedelta(seconds=second + number / len(targets))
            found = entry(target, slot, _outcome(chance, arguments.failures))
            texts.append(encode(found, frames=wants_transcript(found.identity, found.outcome)))
        yield texts


def _outcome(chance: random.Random, failures: float) -> Any:
    """Times spread as on one machine: no two probes take the same number of microseconds."""
    from dataclasses import replace

    from tests.support.outcomes import failure, success

    def about(us: float) -> int:
        return int(us * chance.lognormvariate(0, 0.3))

    if chance.random() < failures:
        return failure(start_delay_us=about(900))
    ok = success(start_delay_us=about(900), lag_us=about(300))
    at, marks = 0, {}
    for name, us in (
        ("dns_done", 90),
        ("tcp_done", 250),
        ("request_sent", 50),
        ("upgraded", 1500),
        ("claimed", 500),
        ("trigger_sent", 60),
        ("ready", 3000),
    ):
        at = marks[name] = at + about(us)
    events = replace(ok.events, marks={name: about(us) for name, us in ok.events.marks.items()})
    return replace(ok, marks={**marks, "closed": at + about(900)}, events=events)


def _fill(client: "redis.Redis", texts: Iterator[list[str]], slots: int) -> None:
    from probes.results_stream import STREAM

    for _ in range(slots):
        pipeline = client.pipeline(transaction=False)
        for text in next(texts):
            pipeline.xadd(STREAM, {"o": text})
        pipeline.execute()


def _empty(recorder: Any, client: "redis.Redis") -> Round:
    from probes.results_stream import STREAM

    outcomes, flushes = 0, []
    cpu = time.process_time()
    while client.xlen(STREAM):
        began = time.perf_counter()
        outcomes += recorder.record_some()
        flushes.append(time.perf_counter() - began)
    return Round(outcomes, time.process_time() - cpu, tuple(flushes))


@contextmanager
def _profiled(*, enabled: bool) -> Iterator[None]:
    profile = cProfile.Profile()
    if enabled:
        profile.enable()
    yield
    if enabled:
        profile.disable()
        pstats.Stats(profile).sort_stats("cumtime").print_stats(70)


def _report(rounds: list[Round], arguments: argparse.Namespace, database: str) -> None:
    costs = sorted(each.cpu / each.outcomes * 1000 for each in rounds)
    flushes = sorted(1000 * flush for each in rounds for flush in each.flushes)
    print(
        f"{database}, {arguments.targets} targets, {sum(each.outcomes for each in rounds)} outcomes in {len(rounds)} "
        f"rounds, {arguments.batch} in a flush"
    )
    print(f"CPU of the recorder per outcome: median {median(costs):.3f} ms, worst round {costs[-1]:.3f} ms")
    print(f"one flush: median {median(flushes):.1f} ms, p99 {flushes[int(len(flushes) * 0.99)]:.1f} ms")


def _differs() -> bool:
    from tests.support.outcomes import recount, stored_rollups

    return stored_rollups() != recount()


if __name__ == "__main__":
    sys.exit(main())
