"""Clients with finite patience, and what a server says of those who left: with the gate and without, on the versions
that the origin pinned and on today's.

python -m tests.proof.abandonment [--clients N]. Exit status 1 where a figure is not what the cure promises.
"""

import argparse
import asyncio
import json
import random
import struct
import sys
import urllib.request
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

from tests.proof.claims import tell
from tests.support.asgi_servers import KINDS, Running, running
from tests.support.raw_websocket import CLOSE, TEXT, RawWebSocket, frame
from tests.support.venvs import python_with
from tests.support.waiting import wait_until

HERE = Path(__file__).parent
NEED_ACCEPT = 'WebSocket is not connected. Need to call "accept" first.'
ARRIVALS_PER_S = 200.0
LEAST_S, MOST_S, APART_S = 0.1, 2.2, 1.0
"""Setup and patience of a client lie in these bounds, and so far apart that who gives up is no matter of scheduling."""


@dataclass(frozen=True, slots=True)
class Client:
    """Seconds after its start: when it connects, how long its setup takes, when it gives up."""

    starts: float
    setup: float
    patience: float

    @property
    def gives_up(self) -> bool:
        return self.patience < self.setup


def crowd(count: int, seed: int = 1) -> list[Client]:
    """`count` clients; about as many give up as stay."""
    draw = random.Random(seed)
    found: list[Client] = []
    while len(found) < count:
        setup, patience = draw.uniform(LEAST_S, MOST_S), draw.uniform(LEAST_S, MOST_S)
        if abs(setup - patience) >= APART_S:
            found.append(Client(len(found) / ARRIVALS_PER_S, setup, patience))
    return found


@dataclass(slots=True)
class Report:
    """What the clients saw, what the application counted, and what the gate recorded (nothing where there is none)."""

    stayed: int = 0
    gave_up: int = 0
    served: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    undelivered: int = 0


async def _one(client: Client, port: int, report: Report) -> None:
    await asyncio.sleep(client.starts)
    socket = await RawWebSocket.open(port, f"/ws?setup={client.setup:.3f}", early=frame(TEXT, b"hello"))
    try:
        await socket.read(until="agent_completed", seconds=client.patience if client.gives_up else 60)
    except TimeoutError:
        report.gave_up += 1
    else:
        report.stayed += 1
    if round(client.starts * 1000) % 2:
        await socket.send(frame(CLOSE, struct.pack("!H", 1001)))  # as a browser whose tab is closed
        socket.leave()
    else:
        socket.leave(reset=True)  # as one whose network went


async def _all(clients: Sequence[Client], port: int, report: Report) -> None:
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(_one(client, port, report))


def measure(clients: Sequence[Client], app: str, python: str = sys.executable) -> Report:
    """Send `clients` to `origin_shape:<app>` under uvicorn, and count once every one of them is over."""
    report = Report()
    uvicorn = KINDS[0]
    with running(uvicorn, f"origin_shape:{app}", HERE, python=python) as server:
        asyncio.run(_all(clients, server.port, report))
        _count(server, report, len(clients))
    return report


def _count(server: Running, report: Report, clients: int) -> None:
    def over() -> dict[str, dict[str, int]] | None:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/counts", timeout=10) as answer:
            told: dict[str, dict[str, int]] = json.load(answer)
        ended = told["counts"].get("left", 0) + sum(told["errors"].values())
        return told if ended >= clients else None

    told = wait_until(over, 60, "every connection has ended")
    assert told is not None
    report.served, report.errors = told["counts"].get("served", 0), Counter(told["errors"])
    for record in server.records():
        report.causes[record["cause"]] += 1
        report.sent += record["sent"]
        report.undelivered += record["undelivered"]


@dataclass(frozen=True, slots=True)
class Run:
    """One of the four: which versions, and whether a gate is in between."""

    versions: str
    gated: bool
    report: Report

    def wrong(self) -> list[str]:
        """What contradicts the claim that is made of this run; nothing where it holds."""
        found = self.report
        if self.gated:
            claims = {
                "an application error": not found.errors,
                "client_gone is not the abandonments": found.causes["client_gone"] == found.gave_up,
                "another cause than a client's leaving": found.causes.keys() <= {"client_gone", "client_closed"},
                "events sent are not those of clients that stayed": found.sent == 2 * found.stayed,
                "undelivered is not one greeting for each that left": found.undelivered == found.gave_up,
            }
        elif self.versions == ORIGIN:
            claims = {"an abandonment without its error": found.errors == Counter({NEED_ACCEPT: found.gave_up})}
        else:
            claims = {
                "a greeting to nobody that was not called served": found.served >= 2 * found.stayed + found.gave_up
            }
        return [f"{self.versions}, {'gate' if self.gated else 'no gate'}: {what}" for what, holds in claims.items()
                if not holds]  # fmt: skip


ORIGIN, TODAY = "starlette 0.47, uvicorn 0.35", "starlette 1.10, uvicorn 0.54"


def measure_all(count: int, at_once: int = 1) -> list[Run]:
    """The four runs with the same clients, so many of them at once."""
    clients = crowd(count)
    pythons = {ORIGIN: python_with(HERE / "requirements-2025.txt"), TODAY: sys.executable}
    kinds = [(versions, gated) for versions in pythons for gated in (False, True)]
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        apps = ("gated" if gated else "bare" for _, gated in kinds)
        reports = pool.map(measure, repeat(clients), apps, (pythons[versions] for versions, _ in kinds))
        return [Run(*kind, report) for kind, report in zip(kinds, reports, strict=True)]


def row(run: Run) -> tuple[object, ...]:
    found = run.report
    called = found.sent if run.gated else found.served
    gone = found.causes["client_gone"] if run.gated else ""
    return (run.versions, "gate" if run.gated else "no gate", found.stayed, found.gave_up,
            sum(found.errors.values()), called, gone)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    runs = measure_all(parser.parse_args().clients)
    wrong = [each for run in runs for each in run.wrong()]
    gone = sum(run.report.gave_up for run in runs if run.gated)
    head = ("versions", "", "stayed", "gave up", "errors", "events called sent", "client_gone")
    return tell([head, *map(row, runs)], wrong, f"with the gate 0 errors, and client_gone for all {gone} who gave up")


if __name__ == "__main__":
    sys.exit(main())
