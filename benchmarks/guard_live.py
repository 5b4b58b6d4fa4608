"""The guard on the running product, end to end: `python -m benchmarks.guard_live [--runs 1]`.

All processes of `make serve`. Staging serves dependency_gate and is green; it is probed each second. Then half of the
connections are ramped to `immediate`, which really breaks there: the service needs 0.3 to 1.2 s before it can answer.
Nobody touches anything. Printed, from the start of the ramp: until the guard trips, until the last probe that met the
broken variant began, until the target is up again. Exit status 1 where that takes 60 s.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.product import Product
from tests.support.waiting import wait_until

GREEN_WITHIN_S = 60.0
FLAG = "readiness-strategy"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1)
    runs = parser.parse_args().runs
    took = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            product = Product(Path(folder))
            try:
                product.wait_ready()
                took.append(_in_product(product))
            finally:
                product.stop()
    print(f"green again after {', '.join(f'{one:.1f} s' for one in took)}: {GREEN_WITHIN_S:g} s are allowed")
    return 0 if max(took) < GREEN_WITHIN_S else 1


def _in_product(product: Product) -> float:
    """In a child: Django is bound to one database for the life of a process."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status):
            raise SystemExit("the run failed")
        return float((product.data_dir / "guard_live").read_text())
    try:
        os.environ.update(product.environment, DJANGO_SETTINGS_MODULE="dashboard.settings")
        import django

        django.setup()
        (product.data_dir / "guard_live").write_text(str(_live()))
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - the child must not run on as its parent
        print(f"{type(error).__name__}: {error}", flush=True)
        os._exit(1)


def _live() -> float:
    from connections.flags import control, guards, reading
    from connections.models import Environment, GuardTrip
    from probes.models import Target, TargetStatus

    who: dict[str, Any] = {"author": "benchmark", "reason": "the guard end to end"}
    control.change(
        "staging", {FLAG: "dependency_gate"}, expected_version=reading.current_version("staging").number, **who
    )
    Target.objects.filter(slug="staging-chat").update(interval_ms=1000)
    Environment.objects.filter(key="staging").update(guard_mode="act")
    guards.set_mode("staging", FLAG, "act", **who)

    def up() -> bool:
        status = TargetStatus.objects.get(target__slug="staging-chat")
        return status.state == "up" and all(row[1:] for row in status.recent) and "d" not in status.ribbon[-20:]

    wait_until(up, 120, "staging is green")
    control.start_ramp("staging", FLAG, "immediate", [{"percentage": 50, "hold_seconds": 3600}], **who)
    began = time.monotonic()
    _until("red", lambda: TargetStatus.objects.get(target__slug="staging-chat").state != "up", began)
    _until("tripped", GuardTrip.objects.exists, began)
    trip = GuardTrip.objects.get()
    _until("green", lambda: TargetStatus.objects.get(target__slug="staging-chat").state == "up", began)
    print(f"  the guard {trip.did}: {guards.reason_of(trip.variant, trip.control, trip.evidence)}", flush=True)
    assert trip.did == GuardTrip.Did.ACTED, trip.why
    return time.monotonic() - began


def _until(what: str, condition: Callable[[], object], began: float) -> None:
    wait_until(condition, 120, what)
    print(f"  {what} after {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
