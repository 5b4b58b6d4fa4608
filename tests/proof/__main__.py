"""`make proof`: the long proofs at full size, one after the other, and whether each goal is met.

python -m tests.proof [--only NAME ...] [--quick]. Exit status 1 where a goal is not met, 2 where a name is unknown.
Nothing else should run on the machine: the proofs measure time. At full size it takes most of an hour.
"""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashboard.env import BASE_DIR
from tests.proof import verdicts
from tests.proof.verdicts import Verdict
from tests.support.examples import VARIABLE

LONGEST_S = 3600.0
"""Of one command; what takes longer has hung."""
TARGETS, INTERVAL_S = 1000, 5.0
_MODEL = "tests/connections/gate/test_model.py"


@dataclass(frozen=True, slots=True)
class Run:
    """How the commands of a proof are run."""

    quick: bool
    folder: Path

    def module(self, name: str, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run a module, showing its output as it comes; its exit status (negative: killed) and its last line."""
        _say(f"\n$ python -m {name} {' '.join(arguments)}\n")
        command = [sys.executable, "-m", name, *arguments]
        last = ""
        with subprocess.Popen(
            command, cwd=BASE_DIR, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
        ) as process:
            watchdog = threading.Timer(LONGEST_S, process.kill)
            watchdog.start()
            assert process.stdout is not None
            for line in process.stdout:
                _say(line)
                last = line.strip() or last
            status = process.wait()
            watchdog.cancel()
        return status, last

    def report(self, name: str, *arguments: str) -> Any:
        """The JSON that a benchmark writes. Raises OSError or ValueError where it wrote none."""
        file = self.folder / f"{name}.json"
        file.unlink(missing_ok=True)
        self.module(name, *arguments, "--json", str(file))
        return json.loads(file.read_text())


def _truth(run: Run) -> list[Verdict]:
    return verdicts.truth(run.report("benchmarks.truth", *(["--quick", "--clients", "readywire"] if run.quick else [])))


def _throughput(run: Run) -> list[Verdict]:
    size = ["--probes", "400", "--rounds", "1", "--clients", "readywire,websockets"] if run.quick else []
    return verdicts.throughput(run.report("benchmarks.throughput", *size))


def _pipeline(run: Run) -> list[Verdict]:
    # A little more than the goal is offered, so that the goal is a rate and not a ceiling.
    size = ["--targets", "1020", "--interval", "1", "--seconds", "15" if run.quick else "60"]
    return verdicts.pipeline(run.report("benchmarks.pipeline", *size))


def _every_five(run: Run, *arguments: str) -> Any:
    size = ["--targets", str(TARGETS), "--interval", str(INTERVAL_S), "--seconds", "15" if run.quick else "60"]
    return run.report("benchmarks.pipeline", *size, *arguments)


def _silent(run: Run) -> list[Verdict]:
    return verdicts.silent(_every_five(run, "--besides", "200"), _every_five(run, "--silent", "200"))


def _restart(run: Run) -> list[Verdict]:
    return verdicts.restart(_every_five(run, "--restart"), TARGETS, INTERVAL_S)


def _fuzz(run: Run) -> list[Verdict]:
    times = "2" if run.quick else "25"
    goal = f"the fuzz tests with {times} times their examples"
    file = "tests/probes/engine/test_hostile_fuzz.py"
    return verdicts.exit_status("fuzz", goal, *run.module("pytest", "-q", file, **{VARIABLE: times}))


def _model(run: Run) -> list[Verdict]:
    if run.quick:
        return verdicts.exit_status("model", "the gate's model check", *run.module("pytest", "-q", _MODEL))
    return verdicts.exit_status(
        "model", "every order of events", *run.module("pytest", "-q", _MODEL, **{VARIABLE: "2"})
    )


def _accessible(run: Run) -> list[Verdict]:
    times = "1" if run.quick else "2"
    goal = "every page in both themes and on a phone: no fault"
    return verdicts.exit_status(
        "accessible", goal, *run.module("pytest", "-q", "tests/browser/test_accessible.py", **{VARIABLE: times})
    )


def _killed(run: Run) -> list[Verdict]:
    times = "1" if run.quick else "25"
    return verdicts.exit_status(
        "killed", f"{4 * int(times)} kills of the recorder: each outcome once",
        *run.module("pytest", "-q", "tests/probes/test_killed.py", "-k", "recorder_at_random", **{VARIABLE: times}),
    )  # fmt: skip


def _memory(run: Run) -> list[Verdict]:
    return verdicts.memory(run.report("benchmarks.hostile_memory", "--rounds", "1" if run.quick else "10"))


def _toggle(run: Run) -> list[Verdict]:
    return verdicts.toggle(run.report("benchmarks.toggle", "--toggles", "10" if run.quick else "100"))


def _propagation(run: Run) -> list[Verdict]:
    size = ["--clients", "50", "--toggles", "10", "--drops", "10"] if run.quick else []
    return verdicts.propagation(run.report("benchmarks.propagation", *size))


def _flag_servers(run: Run) -> list[Verdict]:
    size = ["--connections", "100" if run.quick else "1000"]
    return verdicts.flag_servers(run.report("benchmarks.flag_servers", *size))


def _judging_itself(name: str, goal: str, quick: Sequence[str], full: Sequence[str]) -> Callable[[Run], list[Verdict]]:
    """A benchmark whose exit status is its verdict."""

    def prove(run: Run) -> list[Verdict]:
        proof = name.rpartition(".")[2]
        if importlib.util.find_spec(name) is None:
            return [Verdict(proof, goal, f"{name} is not here", None)]
        return verdicts.exit_status(proof, goal, *run.module(name, *(quick if run.quick else full)))

    return prove


PROOFS: dict[str, Callable[[Run], list[Verdict]]] = {
    "truth": _truth,
    "throughput": _throughput,
    "pipeline": _pipeline,
    "silent": _silent,
    "restart": _restart,
    "fuzz": _fuzz,
    "model": _model,
    "accessible": _accessible,
    "killed": _killed,
    "memory": _memory,
    "toggle": _toggle,
    "propagation": _propagation,
    "flag_servers": _flag_servers,
    "guard": _judging_itself(
        "benchmarks.guard", "false rollbacks bounded, broken variants caught in time", ["--trials", "300"], []
    ),
    "guard_live": _judging_itself(
        "benchmarks.guard_live", "a broken ramp: tripped, gone back, green within 60 s", [], ["--runs", "3"]
    ),
    "stability": _judging_itself(
        "benchmarks.stability", "sockets live through a compressed day",
        ["--seconds", "60", "--residents", "20"], ["--seconds", "600", "--residents", "100"],
    ),
    "strategies": _judging_itself(
        "benchmarks.strategies", "the cure loses no answer, the baselines do",
        ["--visitors", "40", "--environment", "staging"], [],
    ),
    "gate": _judging_itself("benchmarks.gate_overhead", "what the gate adds, ten thousand idle", ["--quick"], []),
    "residents": _judging_itself("benchmarks.residents", "500 residents under 5 % of a core", ["--seconds", "20"], []),
    "abandonment": _judging_itself(
        "tests.proof.abandonment", "clients who give up: no error, and client_gone for exactly them",
        ["--clients", "150"], [],
    ),
    "bursts": _judging_itself(
        "tests.proof.bursts", "what is sent during setup arrives complete and in order, on four servers",
        ["--connections", "20"], [],
    ),
    "crowd": _judging_itself(
        "tests.proof.crowd", "50 and 500 users at once, and restarts: every event of those who stayed comes",
        ["--users", "50", "--seconds", "10", "--restarts", "1"], [],
    ),
    "paths": _judging_itself(
        "tests.proof.paths", "slow paths, cuts, a dependency that stops and comes back: the same",
        ["--users", "40"], [],
    ),
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(PROOFS), metavar="NAME", help=", ".join(PROOFS))
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that the proofs run, proves little")
    arguments = parser.parse_args()
    found: list[Verdict] = []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(arguments.quick, Path(folder))
        for name in arguments.only or PROOFS:
            found += _proved(name, run)
    _say(f"\n{verdicts.table(found)}\n")
    return 1 if verdicts.failed(found) else 0


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _proved(name: str, run: Run) -> list[Verdict]:
    try:
        return PROOFS[name](run)
    except (subprocess.SubprocessError, OSError, ValueError, KeyError) as error:
        return [Verdict(name, "to be measured", f"could not be: {type(error).__name__}: {error}"[:100], False)]


if __name__ == "__main__":
    sys.exit(main())
