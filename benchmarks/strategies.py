"""What each readiness strategy does to the same visitors: `python -m benchmarks.strategies [--visitors 300]`.

The reference service runs in a process of its own, once per strategy and environment, with the same seed for its setup
times (staging: 0.3 to 1.2 s, production: 20 to 80 ms). Visitors come at random at a mean rate, send their question the
instant they are connected, and have finite patience; four in five can answer `connection_ready`. The same seed makes
the same visitors for every strategy.

delivered      all five events of the answer came while the visitor was there
lost           the gate had opened, and no answer came in time
gave up        the visitor's patience ended before the gate opened
turned away    closed or refused by the gate
false ready, false not-ready, added: as the gate's own records tell them (docs/strategies.md)
race window    from the upgrade to the first event of the answer; a visitor without an answer counts as "never"
answer         from the visitor's arrival to the same event: what a person feels

Exit status 1 where the cure loses an answer or adds 200 ms, or where `immediate` loses none.
"""

import argparse
import asyncio
import json
import math
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from connections.gate.strategies import DEFAULT_STRATEGY, STRATEGIES
from connections.gate.timing import percentile
from tests.support.strategies_page import ORDER

ENVIRONMENTS = ("staging", "production")
CURES = ("dependency_gate", "ready_ack", "deferred_accept")
MOST_ADDED_MS = 200.0
"""What the origin allowed at the 95th percentile."""
PATIENCE_S = (0.8, 4.0)
CAN_ANSWER = 0.8
STAYS_S = 0.5
"""Who was told that the connection is ready, or sees the answer begin, waits at least so much longer."""


@dataclass(frozen=True)
class Visitor:
    """One person: when they come, how long they wait, and whether their client knows `ready_ack`."""

    arrives_s: float
    patience_s: float
    answers: bool


@dataclass(frozen=True)
class Visit:
    """How it went for one visitor. Times in milliseconds; infinite: never."""

    outcome: str
    connection_id: str = ""
    race_ms: float = math.inf
    answer_ms: float = math.inf


@dataclass(frozen=True)
class Row:
    """One line of the table. Times in milliseconds; None: never, or nothing was measured."""

    environment: str
    strategy: str
    visitors: int
    delivered: int
    lost: int
    gave_up: int
    turned_away: int
    false_ready: int
    false_not_ready: int
    added_p50: float | None
    added_p95: float | None
    race_p50: float | None
    race_p95: float | None
    answer_p50: float | None
    answer_p95: float | None


def visitors_of(count: int, rate: float, seed: int) -> list[Visitor]:
    """The same `count` visitors for the same seed, at a mean of `rate` per second."""
    chance = random.Random(seed)
    found, at = [], 0.0
    for _ in range(count):
        at += chance.expovariate(rate)
        found.append(Visitor(at, chance.uniform(*PATIENCE_S), chance.random() < CAN_ANSWER))
    return found


async def visit(url: str, visitor: Visitor, number: int, began: float) -> Visit:
    """Come, ask at once, and stay until the answer is complete or patience ends."""
    clock = asyncio.get_running_loop().time
    arrived = began + visitor.arrives_s
    await asyncio.sleep(arrived - clock())
    try:
        async with asyncio.timeout_at(arrived + visitor.patience_s):
            socket = await connect(url, open_timeout=None)
    except TimeoutError:
        return Visit("gave_up")
    except InvalidHandshake:
        return Visit("turned_away")
    upgraded, conversation = clock(), Conversation(socket, visitor, str(number))
    try:
        async with asyncio.timeout_at(arrived + visitor.patience_s) as patience:
            await conversation.hold(patience)
    except TimeoutError:
        return Visit("unanswered", conversation.connection_id)
    except ConnectionClosed:
        return Visit("turned_away")
    finally:
        await socket.close()
    first = conversation.first_event
    return Visit("delivered", conversation.connection_id, (first - upgraded) * 1000, (first - arrived) * 1000)


class Conversation:
    """One question and its answer."""

    def __init__(self, socket: ClientConnection, visitor: Visitor, run_id: str) -> None:
        self.connection_id = ""
        self.first_event = math.inf
        self._socket = socket
        self._visitor = visitor
        self._run_id = run_id

    async def hold(self, patience: asyncio.Timeout) -> None:
        await self._say({"type": "user_message", "run_id": self._run_id, "text": "hello"})
        while True:
            event = json.loads(await self._socket.recv())
            if event["type"] == "connection_ready":
                await self._told_ready(event, patience)
            elif event.get("run_id") == self._run_id:
                if event["type"] == "agent_started":
                    self.first_event = _stays(patience)
                if event["type"] == "agent_completed":
                    return

    async def _told_ready(self, event: dict[str, Any], patience: asyncio.Timeout) -> None:
        self.connection_id = event["connection_id"]
        if self._visitor.answers:
            _stays(patience)
            await self._say({"type": "ready_ack", "nonce": event["nonce"]})

    async def _say(self, message: dict[str, Any]) -> None:
        await self._socket.send(json.dumps(message))


def _stays(patience: asyncio.Timeout) -> float:
    now = asyncio.get_running_loop().time()
    patience.reschedule(max(patience.when() or 0.0, now + STAYS_S))
    return now


def measure(strategy: str, environment: str, visitors: list[Visitor], seed: int) -> Row:
    """Serve `strategy`, send all visitors, and read the gate's records."""
    with tempfile.TemporaryFile("w+") as output:
        service = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.strategies_service", strategy, environment, str(seed)], stdout=output
        )
        try:
            url = f"ws://127.0.0.1:{_port(output, service)}/ws/chat"
            visits = asyncio.run(_all(url, visitors))
        finally:
            service.send_signal(signal.SIGTERM)
            service.wait(20)
        output.seek(0)
        records = [json.loads(line) for line in output if line.startswith('{"event":"connection_end"')]
    return _row(environment, strategy, visits, records)


async def _all(url: str, visitors: list[Visitor]) -> list[Visit]:
    began = asyncio.get_running_loop().time() + 0.2
    return await asyncio.gather(*(visit(url, visitor, n, began) for n, visitor in enumerate(visitors)))


def _port(output: Any, service: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and service.poll() is None:
        first = Path(f"/proc/self/fd/{output.fileno()}").read_text().partition("\n")
        if first[1]:
            return int(first[0])
        time.sleep(0.02)
    raise RuntimeError("the reference service did not start")


def _row(environment: str, strategy: str, visits: list[Visit], records: list[dict[str, Any]]) -> Row:
    opened = {record["connection_id"] for record in records if record["held_ms"] is not None}
    outcomes = Counter(_outcome(each, opened) for each in visits)
    added = [record["added_ms"] for record in records if record["added_ms"] is not None]
    races, answers = [each.race_ms for each in visits], [each.answer_ms for each in visits]
    return Row(
        environment=environment,
        strategy=strategy,
        visitors=len(visits),
        delivered=outcomes["delivered"],
        lost=outcomes["lost"],
        gave_up=outcomes["gave_up"],
        turned_away=outcomes["turned_away"],
        false_ready=sum(record["false_ready"] for record in records),
        false_not_ready=sum(record["false_not_ready"] for record in records),
        added_p50=_figure(added, 0.5),
        added_p95=_figure(added, 0.95),
        race_p50=_figure(races, 0.5),
        race_p95=_figure(races, 0.95),
        answer_p50=_figure(answers, 0.5),
        answer_p95=_figure(answers, 0.95),
    )


def _outcome(each: Visit, opened: set[str]) -> str:
    if each.outcome != "unanswered":
        return each.outcome
    return "lost" if each.connection_id in opened else "gave_up"


def _figure(values: list[float], share: float) -> float | None:
    found = percentile(values, share) if values else math.inf
    return round(found, 1) if math.isfinite(found) else None


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown."""
    head = (
        "strategy", "delivered", "lost", "gave up", "turned away", "false ready", "false not-ready",
        "added p50 / p95 ms", "race window p50 / p95 ms", "answer p50 / p95 ms",
    )  # fmt: skip
    lines = [head, ("---",) * len(head)]
    for row in rows:
        counts = (row.delivered, row.lost, row.gave_up, row.turned_away, row.false_ready, row.false_not_ready)
        pairs = ((row.added_p50, row.added_p95), (row.race_p50, row.race_p95), (row.answer_p50, row.answer_p95))
        lines.append((f"`{row.strategy}`", *map(str, counts), *(f"{_shown(a)} / {_shown(b)}" for a, b in pairs)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def complaints(rows: Iterable[Row]) -> list[str]:
    """What must not be: the cure loses nothing and adds little, and what cures nothing shows it."""
    found = []
    for row in rows:
        name = f"{row.strategy} in {row.environment}"
        if row.strategy in CURES and row.lost + row.false_ready:
            found.append(f"{name}: {row.lost} lost, {row.false_ready} ready too early")
        if row.strategy == DEFAULT_STRATEGY and (row.added_p95 is None or row.added_p95 >= MOST_ADDED_MS):
            found.append(f"{name}: adds {_shown(row.added_p95)} ms at p95; the goal is below {MOST_ADDED_MS:g}")
        if row.strategy == "immediate" and not row.lost:
            found.append(f"{name}: lost nothing, so this run proves nothing")
    return found


def _shown(value: float | None) -> str:
    if value is None:
        return "never"
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visitors", type=int, default=300, help="per strategy and environment")
    parser.add_argument("--rate", type=float, default=40.0, help="visitors per second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--environment", choices=ENVIRONMENTS, action="append", help="default: both")
    parser.add_argument("--strategy", choices=sorted(STRATEGIES), action="append", help="default: all nine")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    wanted = parser.parse_args()
    visitors = visitors_of(wanted.visitors, wanted.rate, wanted.seed)
    rows = []
    for environment in wanted.environment or ENVIRONMENTS:
        found = [measure(name, environment, visitors, wanted.seed) for name in wanted.strategy or ORDER]
        print(f"\n{environment}\n\n{table(found)}", flush=True)
        rows.extend(found)
    if wanted.json:
        wanted.json.write_text(json.dumps({"rows": [asdict(row) for row in rows]}, indent=1))
    wrong = complaints(rows)
    print("".join(f"\n{each}" for each in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
