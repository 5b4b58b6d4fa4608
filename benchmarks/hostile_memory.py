"""How much a worker grows under every hostile server at once: `python -m benchmarks.hostile_memory [--rounds 3]`.

The servers of docs/hostile-servers.md and the floods of the memory test run here; the prober is a process of its own.
After bursts at good servers, plain and under TLS, its resident memory is noted (what is loaded once, such as the
machine's authorities, is no server's doing); then it probes every hostile server, many at
once, round after round. Printed: by how much its highest resident memory exceeded that, and which verdicts were wrong.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from benchmarks import node_modules
from probes.engine.client import Prober
from probes.engine.guardrails import Policy
from probes.engine.script import TargetSpec
from tests.probes.engine.test_hostile_memory import FLOODS
from tests.support.certificates import Authority, authority
from tests.support.chat_server import ChatServer
from tests.support.hostile import hostile
from tests.support.hostile_servers import CASES, SHORT_S

ALLOWED_MIB = 20.0
AT_ONCE = 20
PATIENT_S = 5.0
"""In place of the table's short deadlines: here twenty share two cores with their servers."""
_KIB_PER_MIB = 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--prober", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prober:
        json.dump(asyncio.run(_probe_all(json.load(sys.stdin), arguments.rounds)), sys.stdout)
        return 0
    found = asyncio.run(_attack(arguments.rounds))
    print(
        f"{found['servers']} hostile servers, {arguments.rounds} rounds, {AT_ONCE} at once: +{found['grown_mib']:.1f} "
        f"MiB at the highest over {found['before_mib']:.1f} MiB; {found['seconds']:.0f} s; "
        f"wrong verdicts: {found['wrong'] or 'none'}"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(found))
    return 0 if found["grown_mib"] <= ALLOWED_MIB and not found["wrong"] else 1


async def _attack(rounds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        trusted = authority(Path(folder))
        async with _servers(trusted) as (good, bad):
            work = json.dumps({"good": good, "bad": bad}).encode()
            command = (sys.executable, "-m", "benchmarks.hostile_memory", "--prober", "--rounds", str(rounds))
            prober = await asyncio.create_subprocess_exec(
                *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=node_modules.ROOT
            )
            answer, _ = await prober.communicate(work)
            found: dict[str, Any] = json.loads(answer)
            return found


@asynccontextmanager
async def _servers(trusted: Authority) -> AsyncIterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Good servers, and every hostile one with the kind that it must be given."""
    async with AsyncExitStack() as stack:
        plain = await stack.enter_async_context(ChatServer().run())
        secure = await stack.enter_async_context(ChatServer().run(trusted.server_context()))
        bad = []
        for case in CASES:
            url = await stack.enter_async_context(case.serve(trusted))
            deadline_s = PATIENT_S if case.deadline_s == SHORT_S else case.deadline_s
            spec = TargetSpec(1, case.name, url, deadline_s, case.script)
            spec = replace(spec, ca_pem=trusted.pem if case.trusted else "")
            bad.append({"name": f"{case.section}: {case.name}", "spec": spec.to_message(), "kind": case.kind})
        for name, (behaviour, kind) in FLOODS.items():
            url = await stack.enter_async_context(hostile(behaviour))
            spec = TargetSpec(1, name, url, 60.0)
            bad.append({"name": f"Flood: {name}", "spec": spec.to_message(), "kind": kind})
        good = [
            TargetSpec(1, "good", plain.url, 10.0),
            TargetSpec(1, "good", secure.url, 10.0, ca_pem=trusted.pem),
            TargetSpec(1, "untrusted", secure.url, 10.0),
        ]
        yield [spec.to_message() for spec in good], bad


async def _probe_all(work: dict[str, Any], rounds: int) -> dict[str, Any]:
    """In the prober's own process."""
    wrong: dict[str, str] = {}
    async with Prober(policy=Policy(allow_private=True)) as prober:
        for message in work["good"]:
            good = TargetSpec.from_message(message)
            async for outcome in prober.burst(good, 20 * AT_ONCE, AT_ONCE):
                if outcome.ok is (good.slug == "untrusted"):
                    wrong[f"{good.slug} {good.url}"] = f"{outcome}"
        before, began = psutil.Process().memory_info().rss / 2**20, time.monotonic()
        room = asyncio.Semaphore(AT_ONCE)

        async def probe(server: dict[str, Any]) -> None:
            async with room:
                outcome = await prober.probe(TargetSpec.from_message(server["spec"]))
            if outcome.kind != server["kind"]:
                wrong[server["name"]] = f"{outcome.kind}: {outcome.detail}"

        for _ in range(rounds):
            await asyncio.gather(*(probe(server) for server in work["bad"]))
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MIB
    return {
        "servers": len(work["bad"]), "rounds": rounds, "before_mib": before, "grown_mib": highest - before,
        "seconds": time.monotonic() - began, "wrong": wrong,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
