"""How soon a change is obeyed: `python -m benchmarks.toggle [--toggles 50] [--gates 4]`.

Runs the product, and beside its own staging service further ones behind gates of their own, each a process. Changes
`readiness-strategy` of staging again and again, and opens connections to every service until one is stamped with the
new revision. Printed per gate and over all of them, from the commit; the floor beside it is one connection with nothing
to wait for.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.support.product import Product

SUBPROTOCOL = Subprotocol("readywire.chat.v1")
LONGEST_S = 30.0


@dataclass
class Gate:
    """One gated service; milliseconds from each commit to its effect, and of single connections."""

    name: str
    url: str
    effects: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toggles", type=int, default=50)
    parser.add_argument("--gates", type=int, default=4)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as services:
        product = Product(Path(folder))
        try:
            product.wait_ready()
            gates = [Gate("product's own", f"ws://127.0.0.1:{product.staging_port}/ws/chat")]
            addresses = [services.enter_context(_service(product)) for _ in range(arguments.gates - 1)]
            gates += [Gate(f"gate {number}", address) for number, address in enumerate(addresses, start=2)]
            os.environ.update(product.environment, DJANGO_SETTINGS_MODULE="dashboard.settings")
            asyncio.run(_toggle(gates, arguments.toggles))
        finally:
            product.stop()
    figures = _figures(gates)
    _print(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps({"figures": figures, "ms": {gate.name: gate.effects for gate in gates}}))
    return 0


@contextmanager
def _service(product: Product) -> Iterator[str]:
    """A further staging service that follows the product's flags; its address."""
    made = product.manage("server_key", "create", "--environment", "staging", "--name", "benchmark")
    environment = {**os.environ, "READYWIRE_URL": product.url, "READYWIRE_KEY": made.stdout.strip()}
    command = [sys.executable, "-m", "connections.reference", "--environment", "staging", "--port", "0"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"ws://\S+", process.stdout.readline())
            assert found
            yield found[0]
        finally:
            process.terminate()


async def _toggle(gates: list[Gate], toggles: int) -> None:
    import django

    django.setup()
    await asyncio.gather(*(_obeyed(gate, 1, time.perf_counter()) for gate in gates))
    for number in range(toggles):
        for gate in gates:
            began = time.perf_counter()
            await _revision(gate.url)
            gate.floors.append((time.perf_counter() - began) * 1000)
        revision = await asyncio.to_thread(_change, "fixed_delay" if number % 2 else "dependency_gate")
        committed = time.perf_counter()
        took = await asyncio.gather(*(_obeyed(gate, revision, committed) for gate in gates))
        for gate, milliseconds in zip(gates, took, strict=True):
            gate.effects.append(milliseconds)


async def _obeyed(gate: Gate, revision: int, since: float) -> float:
    """Milliseconds until a connection to the gate is stamped with the revision."""
    while await _revision(gate.url) < revision:
        if time.perf_counter() - since > LONGEST_S:
            raise TimeoutError(f"{gate.name}: revision {revision} was not obeyed within {LONGEST_S:g} s")
    return (time.perf_counter() - since) * 1000


def _change(strategy: str) -> int:
    from connections.flags import control, reading

    before = reading.current_version("staging")
    control.change(
        "staging",
        {"readiness-strategy": strategy},
        author="benchmark",
        reason="Measuring how soon it is obeyed",
        expected_version=before.number,
    )
    return reading.environment("staging").revision


async def _revision(url: str) -> int:
    """The revision that a new connection is served with; 0 before the first flags are held."""
    async with connect(url, subprotocols=[SUBPROTOCOL]) as socket:
        assert socket.response is not None
        return int(socket.response.headers.get("Readiness-Revision", "0"))


def _figures(gates: list[Gate]) -> dict[str, dict[str, float]]:
    rows = {gate.name: gate.effects for gate in gates}
    rows["every gate"] = [value for gate in gates for value in gate.effects]
    rows["the last of each change"] = [max(each) for each in zip(*(gate.effects for gate in gates), strict=True)]
    rows["one connection (floor)"] = [value for gate in gates for value in gate.floors]
    return {name: _summary(row) for name, row in rows.items()}


def _summary(row: list[float]) -> dict[str, float]:
    ordered = sorted(row)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return {"n": len(row), "p50_ms": statistics.median(ordered), "p99_ms": p99, "max_ms": ordered[-1]}


def _print(figures: dict[str, dict[str, float]]) -> None:
    print(f"{'commit to effect at':<30} {'n':>5} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    for name, row in figures.items():
        print(f"{name:<30} {row['n']:>5} {row['p50_ms']:>8.1f} {row['p99_ms']:>8.1f} {row['max_ms']:>8.1f}")


if __name__ == "__main__":
    sys.exit(main())
