"""Clients that talk the instant the 101 arrives: what reaches an application that is not ready yet, and what is lost.

python -m tests.proof.bursts [--connections N] [--server NAME ...]. Exit status 1 where a frame was lost, came early or
out of order.
"""

import argparse
import asyncio
import json
import resource
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.proof.claims import tell
from tests.proof.counting import FRAMES
from tests.support.asgi_servers import KINDS, Kind, running
from tests.support.raw_websocket import TEXT, RawWebSocket, frame

HERE = Path(__file__).parent
BURST = b"".join(frame(TEXT, str(number).encode()) for number in range(FRAMES))
DIALLING = 200
"""Connections that are being opened at once: servers listen with backlogs of 50 to 2048."""


@dataclass(slots=True)
class Report:
    """What one server's application heard, told by itself and by the gate's records."""

    connections: int = 0
    complete: int = 0
    in_order: int = 0
    early: int = 0
    delivered: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    false_ready: int = 0

    def wrong(self, name: str, expected: int) -> list[str]:
        """What contradicts the claim; nothing where it holds."""
        claims = {
            "not every connection was answered": self.connections == expected,
            "frames were lost": self.complete == expected and self.delivered == expected * FRAMES,
            "frames came out of order": self.in_order == expected,
            "frames reached an application that was not ready": self.early == self.false_ready == 0,
            "connections ended otherwise than by their clients": self.causes == Counter(client_closed=expected),
        }
        return [f"{name}: {what}" for what, holds in claims.items() if not holds]


async def _one(port: int, dialling: asyncio.Semaphore, answers: list[dict[str, Any]]) -> None:
    async with dialling:
        socket = await RawWebSocket.open(port, "/ws", early=BURST)
    answer = await socket.read(until='"heard"', seconds=300)
    answers += [json.loads(text) for text in answer.texts if '"heard"' in text]
    socket.leave()


async def _all(port: int, connections: int) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    dialling = asyncio.Semaphore(DIALLING)
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_one(port, dialling, answers))
    return answers


def measure(kind: Kind, connections: int, app: str = "app") -> Report:
    """Open `connections` to `counting:<app>` under one server, each with its burst."""
    with running(kind, f"counting:{app}", HERE) as server:
        answers = asyncio.run(_all(server.port, connections))
        records = server.ended(connections, seconds=120)
    return Report(
        connections=len(answers),
        complete=sum(answer["complete"] for answer in answers),
        in_order=sum(answer["in_order"] for answer in answers),
        early=sum(answer["early"] for answer in answers),
        delivered=sum(record["messages"]["delivered"] for record in records),
        causes=Counter(record["cause"] for record in records),
        false_ready=sum(record["false_ready"] for record in records),
    )


def may_open(files: int) -> None:
    """Raise this process's limit of open files; servers inherit it. Raises ValueError where the system allows less."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < files:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (files if hard == resource.RLIM_INFINITY else min(files, hard), hard)
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--server", action="append", choices=[kind.name for kind in KINDS])
    options = parser.parse_args(arguments)
    may_open(options.connections + 200)
    reports = {
        kind.name: measure(kind, options.connections)
        for kind in KINDS
        if options.server is None or kind.name in options.server
    }
    wrong = [each for name, report in reports.items() for each in report.wrong(name, options.connections)]
    head = ("server", "connections", "complete", "in order", "frames delivered", "early", "false ready")
    rows = [(name, found.connections, found.complete, found.in_order, found.delivered, found.early, found.false_ready)
            for name, found in reports.items()]  # fmt: skip
    frames = sum(found.delivered for found in reports.values())
    return tell([head, *rows], wrong, f"{frames} frames sent during setup: all delivered, in order, none early")


if __name__ == "__main__":
    sys.exit(main())
