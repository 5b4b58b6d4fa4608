"""What many flags cost: `python -m benchmarks.flag_store [--flags 10000] [--changes 20]`.

Defines the flags as one version in a database of its own (SQLite, or the server that DATABASE_URL names), then changes
one flag again and again. Printed: what a change writes and takes, how long a web process takes to have the new revision
ready, and what answers cost: whole, for a key with one tag, and in bulk.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TAGS = 20
WHO: dict[str, str] = {"author": "benchmark", "reason": "Measuring what flags cost"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flags", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _set_up(folder)
        rows = _measured(arguments.flags, arguments.changes)
    for name, figure in rows.items():
        print(f"{name:<58} {figure}")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows))
    return 0


def _set_up(folder: str) -> None:
    os.environ.update(DATA_DIR=folder, DJANGO_SETTINGS_MODULE="dashboard.settings")
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _flag(number: int) -> dict[str, Any]:
    rule = {"if": [{"ends_with": [{"var": "email"}, f"@customer-{number}.example"]}, "on"]}
    return {
        "state": "ENABLED",
        "variants": {"on": True, "off": False},
        "defaultVariant": "off",
        "metadata": {"description": f"Switches feature {number} of the shop", "owner": f"team {number % TAGS}"},
        "tags": [f"team-{number % TAGS}"],
        **({"targeting": rule} if number % 10 == 0 else {}),
    }


def _measured(flags: int, changes: int) -> dict[str, str]:
    from connections.flags import control, reading

    definitions: dict[str, dict[str, Any] | None] = {f"feature-{number}": _flag(number) for number in range(flags)}
    rows = {"flags": str(flags)}
    began = time.perf_counter()
    control.define("staging", definitions, expected_version=1, **WHO)
    rows["one version with all of them, seconds"] = f"{time.perf_counter() - began:.2f}"
    before = _rows()
    control.change("staging", {"feature-1": "on"}, expected_version=2, **WHO)
    rows["rows of a change of one flag"] = ", ".join(
        f"{name} {count - before[name]}" for name, count in _rows().items() if count > before[name]
    )
    rows |= _changes(changes)
    rows["reading the served set, ms"] = _timed(lambda: reading.flag_set("staging"), 10)
    rows["reading version 2, ms"] = _timed(lambda: reading.flag_set("staging", 2), 10)
    rows |= _answers()
    return rows


def _changes(count: int) -> dict[str, str]:
    """Each change, and each time a web process makes what it serves ready."""
    from connections.flags import control
    from dashboard import snapshots

    writing, building = [], []
    held = snapshots.read_snapshot("staging", None)
    for number in range(count):
        version = 3 + number
        began = time.perf_counter()
        control.change("staging", {"feature-2": "off" if number % 2 else "on"}, expected_version=version, **WHO)
        written = time.perf_counter()
        held = snapshots.read_snapshot("staging", held)
        assert held.definitions
        building.append((time.perf_counter() - written) * 1000)
        writing.append((written - began) * 1000)
    return {
        "a change of one flag, ms": _spread(writing),
        "the new revision ready in a web process, ms": _spread(building),
    }


def _answers() -> dict[str, str]:
    from connections.flags import ofrep
    from dashboard import snapshots

    snapshot = snapshots.read_snapshot("staging", None)
    scope = snapshot.scope(frozenset({"team-10"}))

    def bulk(scope: snapshots.Snapshot, subject: str) -> ofrep.Answer:
        return scope.bulk({"targetingKey": subject, "email": "a@b.example"}, stream="/ofrep/v1/events?token=1.x")

    subjects = iter(range(10**9))
    return {
        "the first snapshot of a web process, ms": _timed(lambda: snapshots.read_snapshot("staging", None), 5),
        "definitions, bytes": f"{len(snapshot.definitions)}",
        "definitions for a key with one tag, bytes": f"{len(scope.definitions)}",
        "bulk answer, each subject another, ms": _timed(lambda: bulk(snapshot, str(next(subjects))), 10),
        "bulk answer for a key with one tag, ms": _timed(lambda: bulk(scope, str(next(subjects))), 10),
    }


def _rows() -> dict[str, int]:
    from django.apps import apps

    return {model.__name__: model._default_manager.count() for model in apps.get_app_config("connections").get_models()}


def _timed(work: Callable[[], object], times: int) -> str:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append((time.perf_counter() - began) * 1000)
    return _spread(found)


def _spread(found: list[float]) -> str:
    return f"median {statistics.median(found):.1f}, most {max(found):.1f}"


if __name__ == "__main__":
    sys.exit(main())
