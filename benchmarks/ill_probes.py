"""Really stopped processes, and what the product says of them: `python -m benchmarks.ill_probes [--seconds 32]`.

Runs the whole product (`manage.py serve`) on ports and data of its own, stops one process after the other with SIGSTOP,
and looks every second at what pages show: when the banner comes, what it says, and what a target reads. One that was
well must never read degraded or down, and no probe of it may be recorded as its failure. Exit 1 where that happens.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil

WELL = "production-chat"
"""The reference service without a fault."""
PROCESSES = ("worker", "recorder", "beat", "scheduler", "redis")
SETTLE_SECONDS = 55.0
"""Until no banner is left, so that the next process is judged by itself."""


@dataclass
class Seen:
    """What was seen while one process stood still, seconds since it did."""

    states: Counter[str] = field(default_factory=Counter)
    stale_after: float | None = None
    banner_after: float | None = None
    banner: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=32, help="how long each process stands still")
    parser.add_argument("--processes", nargs="*", default=PROCESSES)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return _run(Path(folder), arguments.seconds, arguments.processes)


def _run(folder: Path, seconds: float, names: list[str]) -> int:
    from tests.support.product import Product

    product = Product(folder)
    try:
        product.wait_ready()
        _django(product.environment)
        time.sleep(SETTLE_SECONDS)
        for name in names:
            _tell(name, _stopped(product.child_id(name), seconds))
            time.sleep(SETTLE_SECONDS)
        return _charged()
    finally:
        product.stop()


def _django(environment: dict[str, str]) -> None:
    os.environ.update({name: environment[name] for name in ("DATA_DIR", "PORT")})
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    import django

    django.setup()


def _stopped(pid: int, seconds: float) -> Seen:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    began, seen = time.monotonic(), Seen()
    for one in family:
        one.suspend()
    try:
        while (since := time.monotonic() - began) < seconds:
            _look(seen, since)
            time.sleep(1)
    finally:
        for one in family:
            one.resume()
    return seen


def _look(seen: Seen, since: float) -> None:
    from django.utils import timezone

    from dashboard.queries import fleet
    from dashboard.queries.overview import OverviewReader

    now = timezone.now()
    state = next(row.state for row in OverviewReader().read(now).rows if row.slug == WELL)
    seen.states[state] += 1
    if state == "stale" and seen.stale_after is None:
        seen.stale_after = since
    if banner := fleet.read(now).banner:
        seen.banner_after = since if seen.banner_after is None else seen.banner_after
        seen.banner = banner


def _tell(name: str, seen: Seen) -> None:
    states = ", ".join(f"{state} {count}" for state, count in seen.states.items())
    print(f"{name}: {WELL} reads {states} (looks); stale after {_seconds(seen.stale_after)}")
    print(f"  banner after {_seconds(seen.banner_after)}: {seen.banner}", flush=True)


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.0f} s"


def _charged() -> int:
    """Failures that were charged to the service that had none; what is ours is not."""
    from dashboard.queries.stories import FAILING
    from probes.models import Flip, Result

    ours = ("", "missed", "probe_error", "policy_denied")
    charged = Result.objects.filter(target__slug=WELL).exclude(kind__in=ours).values_list("kind", flat=True)
    flips = Flip.objects.filter(target__slug=WELL, after__in=FAILING).count()
    found = Counter(Result.objects.filter(target__slug=WELL).values_list("kind", flat=True))
    print(f"slots of {WELL}: {dict(found)}; charged to it: {len(charged)}; flips to degraded or down: {flips}")
    return 1 if charged or flips else 0


if __name__ == "__main__":
    sys.exit(main())
