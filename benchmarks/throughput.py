"""What one full probe costs the client: `python -m benchmarks.throughput [--probes 2000] [--rounds 3]`.

Connect, ready, trigger, five events, close 1000, at 1, 20, 50 and 500 at once, against a chat service of several
processes; beside it, in turns, the plain `websockets` asyncio client, picows, npm `ws` and artillery.
CPU is the client process's own, its start left out (artillery's is subtracted: a run without virtual users). Each
figure is the best of the rounds, since whatever else runs on the machine only adds. artillery takes arrivals, not
concurrency: it has one column.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import node_modules
from benchmarks.chat_service import chat_service

CLIENTS = ("readywire", "websockets", "picows", "ws")
IN_FLIGHT = (1, 20, 50, 500)
LONGEST_S = 180.0
ARTILLERY_RATE = 50
"""Virtual users a second: more than artillery manages on a busy core would only queue."""
_FLOW: list[dict[str, Any]] = [
    {"send": '{"type": "user_message", "run_id": "1", "text": "hello"}'},
    {"think": 0.2},
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--probes", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", default=",".join((*CLIENTS, "artillery")))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    wanted = arguments.clients.split(",")
    with chat_service() as (url, _):
        found = {in_flight: _compare(wanted, f"{url}/ws/chat", arguments, in_flight) for in_flight in IN_FLIGHT}
        used = _artillery(f"{url}/ws/chat", arguments.probes) if "artillery" in wanted else None
    if arguments.json:
        arguments.json.write_text(json.dumps({"in_flight": found, "artillery": used}))
    for in_flight, rows in found.items():
        print(f"\n{in_flight} at once")
        if used is not None:
            rows = {**rows, "artillery": used}
        ours = rows["readywire"]["cpu_ms"]
        for client, row in rows.items():
            ratio = row["cpu_ms"] / ours
            print(
                f"  {client:<11} {row['rate']:7.0f} probes/s  {row['cpu_ms']:7.3f} ms CPU each  "
                f"{ratio:6.2f} x ours (ours / its: {1 / ratio:4.2f})  failed {row['failed']:.0f}"
            )
    return 0


def _compare(
    clients: list[str], url: str, arguments: argparse.Namespace, in_flight: int
) -> dict[str, dict[str, float]]:
    best: dict[str, dict[str, float]] = {}
    for _ in range(arguments.rounds):
        for client in CLIENTS:
            if client in clients:
                row = _run(client, url, arguments.probes, in_flight)
                if client not in best or row["cpu_ms"] < best[client]["cpu_ms"]:
                    best[client] = row
    return best


def _run(client: str, url: str, count: int, in_flight: int) -> dict[str, float]:
    numbers = (url, str(count), str(in_flight))
    if client == "ws":
        command, folder = ["node", "throughput_ws.js", *numbers], node_modules.install()
    else:
        command, folder = [sys.executable, "-m", "benchmarks.throughput_clients", client, *numbers], node_modules.ROOT
    done = subprocess.run(
        command, cwd=folder, env=node_modules.environment(), stdout=subprocess.PIPE, timeout=LONGEST_S, check=True
    )
    row: dict[str, float] = json.loads(done.stdout)
    return row


def _artillery(url: str, count: int) -> dict[str, float]:
    """CPU of a whole run, less that of one with a single virtual user."""
    seconds = max(2, count // ARTILLERY_RATE)
    idle, _ = _artillery_cpu(url, 1, 1)
    spent, took = _artillery_cpu(url, seconds, ARTILLERY_RATE)
    users = seconds * ARTILLERY_RATE
    return {"cpu_ms": (spent - idle) * 1e3 / users, "rate": users / took, "failed": 0.0}


def _artillery_cpu(url: str, seconds: int, rate: int) -> tuple[float, float]:
    script = {
        "config": {
            "target": url,
            "phases": [{"duration": seconds, "arrivalRate": rate}],
            "ws": {"subprotocols": ["readywire.chat.v1"]},
        },
        "scenarios": [{"engine": "ws", "flow": _FLOW}],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.json"
        path.write_text(json.dumps(script))
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(
            ["node_modules/.bin/artillery", "run", "--quiet", str(path)],
            cwd=node_modules.install(),
            env=node_modules.environment(),
            stdout=subprocess.DEVNULL,
            timeout=LONGEST_S,
            check=True,
        )
        after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ended - began


if __name__ == "__main__":
    sys.exit(main())
