"""What one request of a program costs the web process: `python -m benchmarks.api_requests [--requests 2000]`.

Runs the web server alone, and asks it over one kept-open connection, one request after the other. Printed per address:
milliseconds of the web process's processor time a request (which a busy machine hardly changes), and what a client
waits. The floor is `/healthz` as pages are answered: through every middleware of theirs, without a database.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from tests.support.daphne import Daphne

BULK = "/ofrep/v1/evaluate/flags"
REPORT = {"instance": "benchmark", "library_version": "0.1.0", "held_revision": 1}
CONTEXT = {"context": {"targetingKey": "somebody"}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="per address")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Daphne(Path(folder), SERVER_KEY_REQUESTS_PER_SECOND="1000000") as web,
        httpx.Client(base_url=web.url, headers={"X-API-Key": web.server_key()}) as client,
    ):
        figures = {name: _cost(web, ask, arguments.requests) for name, ask in _requests(client).items()}
    _print(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures))
    return 0


def _requests(client: httpx.Client) -> dict[str, Callable[[], httpx.Response]]:
    held = {"If-None-Match": client.get("/api/v1/definitions").headers["ETag"]}
    kept = {"If-None-Match": client.post(BULK, json=CONTEXT).headers["ETag"]}
    return {
        "sign-in page": lambda: client.get("/signin/"),
        "healthz": lambda: client.get("/healthz"),
        "definitions": lambda: client.get("/api/v1/definitions"),
        "definitions, 304": lambda: client.get("/api/v1/definitions", headers=held),
        "one flag": lambda: client.post(f"{BULK}/readiness-strategy", json=CONTEXT),
        "bulk": lambda: client.post(BULK, json=CONTEXT),
        "bulk, 304": lambda: client.post(BULK, json=CONTEXT, headers=kept),
        "report": lambda: client.post("/api/v1/servers/report", json=REPORT),
    }


def _cost(web: Daphne, ask: Callable[[], httpx.Response], requests: int) -> dict[str, float]:
    process = psutil.Process(web.process.pid)
    for _ in range(50):
        assert ask().status_code < 400
    before = process.cpu_times()
    waits = []
    for _ in range(requests):
        began = time.perf_counter()
        ask()
        waits.append((time.perf_counter() - began) * 1000)
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    waits.sort()
    return {
        "cpu_ms": spent * 1000 / requests,
        "p50_ms": statistics.median(waits),
        "p99_ms": waits[int(requests * 0.99)],
    }


def _print(figures: dict[str, dict[str, float]]) -> None:
    print(f"{'request':<18} {'cpu ms':>8} {'p50 ms':>8} {'p99 ms':>8}")
    for name, row in figures.items():
        print(f"{name:<18} {row['cpu_ms']:>8.2f} {row['p50_ms']:>8.2f} {row['p99_ms']:>8.2f}")


if __name__ == "__main__":
    sys.exit(main())
