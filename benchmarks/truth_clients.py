"""The Python clients of `benchmarks.truth`, each in a process of its own: ours, and a plain `websockets` asyncio one.

Prints one JSON line: {"errors_us": {mark: [[error in microseconds, flagged], ...]}, "cpu_ms": per probe, "failed": n}.
"""

import argparse
import asyncio
import json
import logging
import re
import ssl
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from probes.engine.client import Prober
from probes.engine.guardrails import Policy
from probes.engine.outcome import Outcome
from probes.engine.script import CRITICAL_EVENTS, TargetSpec

BLOCK_S = 0.05
BLOCK_EVERY_S = 0.2
_SENT = re.compile(r"X-Sent-Ns: (\d+)", re.IGNORECASE)

Errors = dict[str, list[tuple[float, bool]]]
Run = Callable[[Errors], Awaitable[None]]


def block(kind: str) -> None:
    """Keep the loop away for 50 ms in every 200 ms: asleep, or busy in Python and holding the interpreter."""
    asyncio.get_running_loop().call_later(BLOCK_EVERY_S, block, kind)
    if kind == "sleep":
        time.sleep(BLOCK_S)
    else:
        until = time.monotonic() + BLOCK_S
        while time.monotonic() < until:
            pass


def ours(prober: Prober, url: str, pem: str) -> Run:
    spec = TargetSpec(1, "truth", url, 30.0, ca_pem=pem)

    async def run(errors: Errors) -> None:
        intended = time.monotonic()
        outcome = await prober.probe(spec, intended=intended)
        if not outcome.ok:
            raise ConnectionError(f"{outcome.kind}: {outcome.detail}")
        started = intended * 1e6 + outcome.start_delay_us
        for mark, sent_us in _sent(outcome).items():
            at = outcome.marks.get(mark)
            if at is None:
                at = outcome.marks["trigger_sent"] + outcome.events.marks[mark]
            spoiled = mark in outcome.bounds or (outcome.flagged and mark in ("upgraded", "claimed", "ready"))
            errors[mark].append((started + at - sent_us, spoiled))
        errors["flagged outcomes"].append((0.0, outcome.flagged))

    return run


def _sent(outcome: Outcome) -> dict[str, float]:
    """When the server sent what each mark stands for, microseconds; the marks are named as errors are."""
    sent = {}
    for frame in outcome.frames:
        if frame.kind == "response" and (found := _SENT.search(frame.text)):
            sent["upgraded"] = int(found[1]) / 1e3
        elif frame.kind == "text" and frame.direction == "in":
            message = json.loads(frame.text)
            sent[_mark_of(message["type"])] = message["sent_ns"] / 1e3
    return sent


def _mark_of(message_type: str) -> str:
    return {"connection_ready": "claimed", CRITICAL_EVENTS[0]: "ready"}.get(message_type, message_type)


def plain(url: str, tls: ssl.SSLContext | None) -> Run:
    async def run(errors: Errors) -> None:
        protocols = [Subprotocol("readywire.chat.v1")]
        async with connect(url, ssl=tls, subprotocols=protocols, compression=None, open_timeout=30) as socket:
            now = time.monotonic_ns()
            assert socket.response is not None
            errors["upgraded"].append(((now - int(socket.response.headers["X-Sent-Ns"])) / 1e3, False))
            for number in range(1 + len(CRITICAL_EVENTS)):
                text = await socket.recv()
                now = time.monotonic_ns()
                message = json.loads(text)
                errors[_mark_of(message["type"])].append(((now - message["sent_ns"]) / 1e3, False))
                if number == 0:
                    await socket.send(json.dumps({"type": "user_message", "run_id": "1", "text": "hello"}))

    return run


async def _many(run: Run, count: int, in_flight: int, ramp_s: float) -> dict[str, object]:
    errors: Errors = defaultdict(list)
    numbers = iter(range(count))
    failures: list[str] = []

    async def worker(delay: float) -> None:
        await asyncio.sleep(delay)
        for _ in numbers:
            try:
                await run(errors)
            except (OSError, WebSocketException) as error:
                failures.append(f"{type(error).__name__}: {error}")

    before = time.process_time()
    await asyncio.gather(*(worker(ramp_s * each / in_flight) for each in range(in_flight)))
    cpu_ms = (time.process_time() - before) * 1e3 / count
    return {"errors_us": errors, "cpu_ms": cpu_ms, "failed": len(failures), "failure": failures[:1]}


async def _main(arguments: argparse.Namespace, pem: str) -> dict[str, object]:
    if arguments.block != "none":
        asyncio.get_running_loop().call_later(BLOCK_EVERY_S, block, arguments.block)
    limits = arguments.count, arguments.in_flight, arguments.ramp
    if arguments.client == "websockets":
        tls = ssl.create_default_context(cadata=pem) if pem else None
        return await _many(plain(arguments.url, tls), *limits)
    async with Prober(policy=Policy(allow_private=True)) as prober:
        return await _many(ours(prober, arguments.url, pem), *limits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("client", choices=("readywire", "websockets"))
    parser.add_argument("url")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--ramp", type=float, default=0.0, help="seconds over which the first probes start")
    parser.add_argument("--block", choices=("none", "sleep", "busy"), default="none")
    parser.add_argument("--authority", help="PEM file of the certificate authority, for wss")
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    arguments = parser.parse_args()
    pem = Path(arguments.authority).read_text() if arguments.authority else ""
    sys.stdout.write(json.dumps(asyncio.run(_main(arguments, pem))) + "\n")


if __name__ == "__main__":
    main()
