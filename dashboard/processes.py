"""The commands of every process, one table: `make serve`, the image and compose.yaml run the same ones."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

_PYTHON = sys.executable
# Checks import every page; `make serve` and `make lint` run them once for all.
_CELERY = (_PYTHON, "-m", "celery", "--app", "dashboard.celery", "--skip-checks")
_QUIET = ("--pool", "solo", "--loglevel", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")


@dataclass(frozen=True, slots=True)
class Command:
    """One long-running process: what to run, what to add to its environment, and what it is for."""

    name: str
    arguments: tuple[str, ...]
    note: str
    environment: Mapping[str, str] = field(default_factory=dict)
    health_url: str = ""
    """Answers 200 once the process serves; empty where being alive is all there is to see."""


def web(port: int, *, address: str = "127.0.0.1") -> Command:
    """Pages, live updates, flags for servers. `address` is where it listens."""
    arguments = (_PYTHON, "-m", "daphne", "-b", address, "-p", str(port), "-v", "0", "dashboard.asgi:application")
    return Command("web", arguments, f"http://{address}:{port}", health_url=f"http://127.0.0.1:{port}/healthz")


def worker(location: str, number: int = 1) -> Command:
    """Runs the probes of one location. Several share its queue: `number` tells those of one machine apart."""
    name = location if number == 1 else f"{location}-{number}"
    arguments = (*_CELERY, "worker", "--queues", f"probes-{location}", "--hostname", f"{name}@%h", *_QUIET)
    return Command("worker" if number == 1 else f"worker-{number}", arguments, f"probes from location {location}")


def scheduler() -> Command:
    """Turns each tick of the beat into the slots that are due."""
    arguments = (*_CELERY, "worker", "--queues", "tick", "--hostname", "scheduler@%h", *_QUIET)
    return Command("scheduler", arguments, "dispatches due slots")


def beat() -> Command:
    """Ticks once a second. Exactly one may run."""
    return Command("beat", (*_CELERY, "beat", "--pidfile", "", "--loglevel", "WARNING"), "ticks once a second")


def recorder() -> Command:
    """Writes outcomes, rollups and states. Exactly one on SQLite."""
    return Command("recorder", (_PYTHON, "manage.py", "recorder"), "writes results")


def reference(environment: str, port: int, *, readywire_url: str, key: str, cache: str, control_token: str) -> Command:
    """A watched chat service in miniature, which fetches its flags from this Readywire, and takes faults."""
    arguments = (_PYTHON, "-m", "connections.reference", "--environment", environment, "--port", str(port))
    variables = {
        "READYWIRE_URL": readywire_url,
        "READYWIRE_KEY": key,
        "READYWIRE_CACHE": cache,
        "READYWIRE_CONTROL_TOKEN": control_token,
    }
    note = f"reference chat, ws://127.0.0.1:{port}/ws/chat"
    return Command(environment, arguments, note, variables, f"http://127.0.0.1:{port}/healthz")
