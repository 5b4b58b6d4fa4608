"""The real web server over data of its own, for tests that speak HTTP to it."""

import contextlib
import os
import re
import uuid
from pathlib import Path
from types import TracebackType
from typing import LiteralString, Self
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
from psycopg import sql

from tests.support import commands
from tests.support.waiting import wait_until

_LISTENING = re.compile(r"Listening on TCP address 127\.0\.0\.1:(\d+)")


class _Database:
    """A database of one server: its `url`, empty for SQLite in the server's own folder."""

    def __init__(self) -> None:
        self._server = os.environ.get("DATABASE_URL", "")
        self._name = f"web_{uuid.uuid4().hex}"
        self.url = ""
        if self._server.startswith("postgres"):
            self._run("CREATE DATABASE {}")
            self.url = urlsplit(self._server)._replace(path=f"/{self._name}").geturl()

    def drop(self) -> None:
        if self.url:
            self._run("DROP DATABASE {} WITH (FORCE)")

    def _run(self, statement: LiteralString) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(self._name)))


class Daphne:
    """`python -m daphne` on a port that the kernel chooses, with a migrated database of its own.

    The database is SQLite in `data_dir`, or a fresh one on the PostgreSQL that the tests run on. Nothing of this test
    process is shared with it: `manage` runs commands on the same data, as a person would.
    """

    _migrated = b""

    def __init__(self, data_dir: Path, *, redis_url: str = "redis://127.0.0.1:1/0", **environment: str) -> None:
        self._database = _Database()
        self.environment = {
            **os.environ,
            "DATA_DIR": str(data_dir),
            "DATABASE_URL": self._database.url,
            "REDIS_URL": redis_url,
            "DJANGO_SETTINGS_MODULE": "dashboard.settings",
            "PYTHONUNBUFFERED": "1",
            **environment,
        }
        self._printed = data_dir / f"daphne-{uuid.uuid4().hex}.log"
        self._migrate(data_dir / "readywire.sqlite3")
        self.process = self._start(0)
        wait_until(self._port, seconds=30, what=f"daphne listens\n{self.lines}")
        self.port = self._port()
        self.url = f"http://127.0.0.1:{self.port}"
        wait_until(self._answers, seconds=30, what="daphne answers")

    def _migrate(self, file: Path) -> None:
        """Migrating takes a second: once for all servers on SQLite, whose databases are copies of the first."""
        if self._database.url:
            self.manage("migrate", "-v0")
            return
        if Daphne._migrated:
            file.write_bytes(Daphne._migrated)
        else:
            self.manage("migrate", "-v0")
            # The last connection has closed: what was in the write-ahead log stands in the file.
            Daphne._migrated = file.read_bytes()

    def manage(self, *arguments: str) -> str:
        """What `manage.py` with these arguments prints. commands.CommandError where it fails."""
        return commands.run("manage.py", *arguments, environ=self.environment).stdout.strip()

    def server_key(self, environment: str = "staging", name: str = "test server") -> str:
        return self.manage("server_key", "create", "--environment", environment, "--name", name)

    @property
    def lines(self) -> list[str]:
        """What the server has printed."""
        return self._printed.read_text(errors="replace").splitlines() if self._printed.exists() else []

    def kill(self) -> None:
        """At once, as a machine that loses power; the port is free afterwards."""
        if not commands.has_ended(self.process):
            self.process.kill()
            self._ended()

    def _ended(self) -> None:
        wait_until(lambda: commands.has_ended(self.process), seconds=10, what="daphne has ended")

    def restart(self) -> None:
        """The same port again, after a kill."""
        self.kill()
        self.process = self._start(self.port)
        wait_until(self._answers, seconds=30, what="daphne answers again")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not commands.has_ended(self.process):
            self.process.terminate()
            with contextlib.suppress(AssertionError):
                self._ended()
        self.kill()
        self._database.drop()

    def _start(self, port: int) -> psutil.Process:
        command = ["-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "dashboard.asgi:application"]
        return commands.start(*command, environ=self.environment, output=self._printed)

    def _port(self) -> int:
        if commands.has_ended(self.process):
            raise AssertionError("daphne ended:\n" + "\n".join(self.lines))
        found = [match for line in self.lines if (match := _LISTENING.search(line))]
        return int(found[-1][1]) if found else 0

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=1).status_code == 200
        except httpx.TransportError:
            return False
