"""Real processes of the product against a database and a Redis of their own, and a look into that database.

Run as a module it is the look: `python -m tests.support.separate make N` stores targets, `report` counts.
"""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from tests.support import commands

ROOT = Path(__file__).resolve().parents[2]


class Separate:
    """An environment for child processes: DATABASE_URL, REDIS_URL, DATA_DIR, SECRET_KEY."""

    def __init__(self, database_url: str, redis_url: str, folder: Path, settings: Mapping[str, str]) -> None:
        self.database_url = database_url
        self.environ = {
            **os.environ,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "DATA_DIR": str(folder),
            "SECRET_KEY": "separate",
            "PROBE_ALLOW": "127.0.0.1",
            **settings,
        }

    def start(self, *command: str) -> "subprocess.Popen[bytes]":
        """A child process; its output goes to this one's."""
        return subprocess.Popen([sys.executable, *command], env=self.environ, cwd=ROOT)

    def recorder(self) -> "subprocess.Popen[bytes]":
        return self.start("manage.py", "recorder")

    def worker(self) -> "subprocess.Popen[bytes]":
        """A Celery worker with the solo pool, for the location `local`."""
        options = ("--pool", "solo", "-Q", "probes-local", "--loglevel", "WARNING")
        return self.start("-m", "celery", "-A", "dashboard.celery", "worker", *options)

    def run(self, *command: str) -> str:
        """The output of a child that must succeed."""
        return commands.run(*command, environ=self.environ).stdout

    def migrate(self) -> None:
        self.run("manage.py", "migrate", "--verbosity", "0")

    def make_targets(self, count: int, **fields: Any) -> list[int]:
        """Store targets that are probed at `local`; their ids."""
        ids: list[int] = json.loads(self.run("-m", "tests.support.separate", "make", str(count), json.dumps(fields)))
        return ids

    def states(self) -> dict[str, str]:
        """The state of each target that has one, by slug: a plain look, cheap enough to poll."""
        return dict(self._rows("SELECT slug, state FROM probes_targetstatus JOIN probes_target ON target_id = id"))

    def kinds(self) -> dict[str, int]:
        """How many results there are of each kind; "" is a success."""
        return dict(self._rows("SELECT kind, COUNT(*) FROM probes_result GROUP BY kind"))

    def race_check(self) -> dict[str, Any]:
        """The one race check there is."""
        columns = ("state", "done", "failed", "why", "report", "worker")
        [row] = self._rows("SELECT state, done, failed, why, report, worker FROM probes_racecheck")
        found = dict(zip(columns, row, strict=True))
        told = found["report"]
        return {**found, "report": json.loads(told) if isinstance(told, str) else told}

    def _rows(self, query: LiteralString) -> list[tuple[Any, ...]]:
        if self.database_url.startswith("sqlite:///"):
            with closing(sqlite3.connect(self.database_url.removeprefix("sqlite:///"), timeout=10)) as database:
                return database.execute(query).fetchall()
        with psycopg.connect(self.database_url) as server:
            return server.execute(query).fetchall()

    def report(self) -> dict[str, Any]:
        """{"rows", "missed", "equal": rollups equal a recount, "states": {slug: state}}."""
        found: dict[str, Any] = json.loads(self.run("-m", "tests.support.separate", "report"))
        return found


def _main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dashboard.settings")
    import django

    django.setup()
    from django.utils import timezone

    from probes.models import Result, TargetStatus
    from tests.support.outcomes import recount, stored_rollups, stored_target

    if sys.argv[1] == "make":
        fields = {"active_since": timezone.now(), **json.loads(sys.argv[3])}
        ids = [stored_target(f"t{n}", **fields).pk for n in range(int(sys.argv[2]))]
        sys.stdout.write(json.dumps(ids))
    else:
        rows = Result.objects.all()
        report = {
            "rows": rows.count(),
            "missed": rows.filter(kind="missed").count(),
            "equal": stored_rollups() == recount(),
            "states": {status.target.slug: status.state for status in TargetStatus.objects.select_related("target")},
        }
        sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    _main()
