"""How soon a change is obeyed: `python -m benchmarks.toggle [--toggles 50]`.

Runs the product, changes `readiness-strategy` of staging again and again, and opens connections to the reference
service until one is stamped with the new revision. The floor beside it: one connection with nothing to wait for.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.support.product import Product

SUBPROTOCOL = Subprotocol("readywire.chat.v1")
LONGEST_S = 30.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toggles", type=int, default=50)
    toggles = parser.parse_args().toggles
    with tempfile.TemporaryDirectory() as folder:
        product = Product(Path(folder))
        try:
            product.wait_ready()
            os.environ.update(product.environment, DJANGO_SETTINGS_MODULE="dashboard.settings")
            _report(asyncio.run(_toggle(f"ws://127.0.0.1:{product.staging_port}/ws/chat", toggles)))
        finally:
            product.stop()
    return 0


async def _toggle(url: str, toggles: int) -> tuple[list[float], list[float]]:
    import django

    django.setup()
    effects, floors = [], []
    for number in range(toggles):
        began = time.perf_counter()
        await _revision(url)
        floors.append(time.perf_counter() - began)
        revision = await asyncio.to_thread(_change, "fixed_delay" if number % 2 else "dependency_gate")
        committed = time.perf_counter()
        while await _revision(url) < revision:
            if time.perf_counter() - committed > LONGEST_S:
                raise TimeoutError(f"revision {revision} was not obeyed within {LONGEST_S:g} s")
        effects.append(time.perf_counter() - committed)
    return effects, floors


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
    async with connect(url, subprotocols=[SUBPROTOCOL]) as socket:
        assert socket.response is not None
        return int(socket.response.headers["Readiness-Revision"])


def _report(figures: tuple[list[float], list[float]]) -> None:
    effects, floors = ([value * 1000 for value in sorted(row)] for row in figures)
    for name, row in (("commit to effect", effects), ("one connection (floor)", floors)):
        p99 = row[min(len(row) - 1, int(len(row) * 0.99))]
        print(f"{name:<24} p50 {statistics.median(row):7.1f} ms   p99 {p99:7.1f} ms   max {row[-1]:7.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
