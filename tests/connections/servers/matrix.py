"""Runs the cases on four servers, and writes their tables into docs/servers.md.

`python -m tests.connections.servers.matrix` runs every case on every server, says where one differs from the tables,
and writes the page; the tests run the cases again.
"""

import asyncio
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from dashboard.env import BASE_DIR
from tests.connections.servers.cases import CASES, HELLO, NO_HTTP, OPEN, SILENT, STOPS, Case, Stop
from tests.support.asgi_servers import KINDS, Kind, Running, running
from tests.support.raw_websocket import RawWebSocket

PAGE = BASE_DIR / "docs" / "servers.md"
APP = "tests.connections.servers.behaviours:app"
SLOW_S = 8.0
"""How long a case is watched in which nothing may ever come."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one server did in one case; `records` are (cause, closed_by, error) of the gate's."""

    wire: str
    records: tuple[tuple[str, str, str], ...] = ()


async def wire_of(case: Case, kind: Kind, port: int) -> str:
    """Run one case against a server that listens."""
    try:
        async with asyncio.timeout(SLOW_S if case.slow else 30):
            client = await RawWebSocket.open(port, case.path, *case.offers, early=case.sends)
    except TimeoutError:
        return SILENT
    answer = client.answer
    try:
        if answer.status != 101:
            return f"HTTP {answer.status}" if answer.status else NO_HTTP
        expected_open = case.expected(kind) == OPEN
        if case.answered:
            await client.read(until=case.answered)
        if (expected_open or case.nudged) and await client.answers_ping() and expected_open:
            return OPEN
        await client.read()
    except TimeoutError:
        return OPEN
    finally:
        client.leave()
    return str(answer.code)


async def _all(cases: Iterable[Case], server: Running) -> list[str]:
    few = asyncio.Semaphore(16)

    async def one(case: Case) -> str:
        async with few:
            return await wire_of(case, server.kind, server.port)

    return await asyncio.gather(*(one(case) for case in cases))


def measure(kind: Kind, cases: Iterable[Case] = CASES) -> dict[str, Seen]:
    """Run `cases` on one server; what it did, by path."""
    cases = tuple(cases)
    with running(kind, APP, BASE_DIR) as server:
        wires = asyncio.run(_all(cases, server))
        server.ended(sum(case.recorded(kind) for case in cases))
        records: dict[str, list[tuple[str, str, str]]] = {}
        for record in server.records():
            told = (record["cause"], record["closed_by"], record["error"])
            records.setdefault(record["path"], []).append(told)
    return {case.path: Seen(wire, tuple(records.get(case.path, ()))) for case, wire in zip(cases, wires, strict=True)}


def stopped(kind: Kind, stop: Stop) -> tuple[str, str]:
    """Send SIGTERM while a client is connected; what it got, and what the record says."""
    with running(kind, f"tests.connections.servers.behaviours:{stop.app}", BASE_DIR) as server:
        wire = asyncio.run(_stopped(server))
        server.wait()
        told = [f"{record['cause']}, by the {record['closed_by']}" for record in server.records()]
    return wire, " and ".join(told) or "nothing"


async def _stopped(server: Running) -> str:
    client = await RawWebSocket.open(server.port, "/", early=HELLO)
    await client.read(until="hello")
    server.terminate()
    return str((await client.read()).code)


# --- the page ---------------------------------------------------------------------------------------------------------


def table(section: str) -> str:
    """The Markdown table of one section, as the tests expect the servers to be."""
    if section == "stop":
        return _markdown([["behind", *(kind.name for kind in KINDS)], *(_stop_row(stop) for stop in STOPS)])
    cases = [case for case in CASES if case.section == section]
    recorded = any(case.cause for case in cases)
    heads = ["case", *(kind.name for kind in KINDS), *(["the record says"] if recorded else [])]
    rows = [heads]
    for case in cases:
        told = f"`{case.cause}`" + (f", by the {case.closed_by}" if case.closed_by else "")
        error = f", {case.error}" if case.error else ""
        rows.append([case.name, *(case.expected(kind) for kind in KINDS), *([told + error] if recorded else [])])
    return _markdown(rows)


def _stop_row(stop: Stop) -> list[str]:
    found = [stop.expected(kind) for kind in KINDS]
    return [stop.name, *(wire if stop.told == "nothing" else f"{wire}; {told}" for wire, told in found)]


def _markdown(rows: list[list[str]]) -> str:
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def page(text: str) -> str:
    """`text` with every table between its marks made anew."""

    def fresh(found: re.Match[str]) -> str:
        return f"{found[1]}\n{table(found[2])}\n{found[3]}"

    return re.sub(r"(<!-- (\w+) -->)\n.*?(<!-- end -->)", fresh, text, flags=re.DOTALL)


def main() -> int:
    differ = 0
    for kind in KINDS:
        seen = measure(kind)
        for case in CASES:
            if seen[case.path].wire != case.expected(kind):
                differ += 1
                sys.stdout.write(f"{kind.name} {case.path}: {seen[case.path].wire}, not {case.expected(kind)}\n")
        for stop in STOPS:
            sys.stdout.write(f"{kind.name} {stop.name}: {stopped(kind, stop)}, expected {stop.expected(kind)}\n")
    PAGE.write_text(page(PAGE.read_text()))
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
