"""What long-lived connections cost a worker: `python -m benchmarks.residents [--residents 500] [--seconds 60]`.

Residents against a chat service in processes of its own; each sends one message per `--every` seconds and receives five
events. All that a worker does for them is running: `ResidentLoop` with leases renewed in a real Redis, and what lives
published. Printed is the CPU of this process, the worker, as a share of one core, once all are connected. Goal: under
5 % with 500 residents and a message per 10 s.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import django
import redis

from benchmarks.chat_service import chat_service
from probes.engine.script import Script
from tests.support.servers import free_port, redis_server_binary
from tests.support.waiting import wait_until

GOAL = 0.05
_LOCATION = "local"
_HOLD_S = 86_400


@contextmanager
def redis_server() -> Iterator[str]:
    """A private Redis; gives its URL."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [redis_server_binary(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                yield f"redis://127.0.0.1:{port}/0"
            finally:
                process.terminate()


def wish(url: str, count: int, every_s: float) -> str:
    """What the scheduler would write."""
    target = {
        "target_id": 1, "slug": "residents", "url": url, "deadline_ms": 5000, "script": Script().to_json(),
        "credentials": "",
    }  # fmt: skip
    return json.dumps([{"target": target, "residents": count, "hold_s": _HOLD_S, "every_s": every_s}])


def measure(url: str, redis_url: str, count: int, every_s: float, seconds: float) -> tuple[float, int, int]:
    """CPU as a share of a core over so many seconds; conversations that went well in them, and lives that ended."""
    # These need Django's settings.
    from probes.engine.guardrails import Policy
    from probes.engine.lives import Life
    from probes.engine.residents import Report, Residents
    from probes.resident_loop import ResidentLoop, Room
    from probes.wishes import key_of

    opened: list[Residents] = []
    ended: list[Life] = []

    def open_residents(report: Report) -> Residents:
        def told(life: Life) -> None:
            ended.append(life)
            report(life)

        opened.append(Residents(told, policy=Policy(allow_private=True)))
        return opened[0]

    def conversations() -> int:
        return sum(life.conversations_ok for life in opened[0].present())

    with redis.Redis.from_url(redis_url) as client:
        wait_until(client.ping, seconds=10, what="redis-server answers")
        client.set(key_of(_LOCATION), wish(url, count, every_s))
        loop = ResidentLoop(_LOCATION, redis_url, Room(count, 50_000, 200_000), open_residents)
        loop.start()
        ready = f"{count} residents that talked once"
        wait_until(lambda: len(loop.kept) >= count and conversations() >= count, seconds=120 + 2 * every_s, what=ready)
        before, cpu, began = conversations(), time.process_time(), time.monotonic()
        time.sleep(seconds)
        share = (time.process_time() - cpu) / (time.monotonic() - began)
        talks, cut = conversations() - before, len(ended)
        loop.stop(30)
    return share, talks, cut


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--residents", type=int, default=500)
    parser.add_argument("--every", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    django.setup()
    with chat_service() as (url, _), redis_server() as redis_url:
        share, talks, cut = measure(
            f"{url}/ws/chat", redis_url, arguments.residents, arguments.every, arguments.seconds
        )
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{arguments.residents} residents, one message with five events per {arguments.every:g} s, "
        f"{arguments.seconds:.0f} s: {100 * share:.2f} % of a core "
        f"({share * arguments.seconds * 1e6 / max(talks, 1):.0f} us a conversation, of {talks}; "
        f"{cut} connections ended), {peak_mib:.0f} MiB at most"
    )
    print(f"goal: under {100 * GOAL:.0f} %: {'met' if share < GOAL else 'MISSED'}")
    return 0 if share < GOAL and talks and not cut else 1


if __name__ == "__main__":
    sys.exit(main())
