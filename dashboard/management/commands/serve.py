"""`make serve`: everything on one machine, in the foreground, until Ctrl-C."""

import asyncio
import getpass
import logging
import os
import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from dashboard import accounts, embedded_redis, env, preflight, processes, reference_setup, supervisor
from dashboard.env import SettingError
from dashboard.processes import Command as Process
from dashboard.supervision import Life, State

PAGE_SECONDS = 60.0
"""How long the page may take to answer before we say so; slow machines get their time."""


class Command(BaseCommand):
    """Start Redis, the web server, worker, scheduler, beat, recorder and the two reference services."""

    # The checks import every page; the linters run them, and a start should not wait for them.
    requires_system_checks = ()
    help = "Run the whole product on this machine: web, probes, recorder, Redis and two reference services."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--exit-with-parent", action="store_true", help="Stop when the calling process ends.")

    def handle(self, *args: Any, **options: Any) -> None:
        # What this process prints is for a person; each child writes its own log.
        logging.getLogger().setLevel(logging.WARNING)
        if options["exit_with_parent"]:
            supervisor.die_with_parent()
        data_dir: Path = settings.DATA_DIR
        own_redis = not os.environ.get("REDIS_URL")
        held = self._take(data_dir)
        self._check(data_dir, "" if own_redis else settings.REDIS_URL)
        try:
            redis = embedded_redis.prepare(data_dir) if own_redis else None
            plan = self._prepare(redis)
        except SettingError as error:
            raise CommandError(str(error)) from error
        try:
            asyncio.run(self._run(data_dir, plan, redis.url if redis else settings.REDIS_URL))
        finally:
            os.close(held)

    def _take(self, data_dir: Path) -> int:
        try:
            held = supervisor.lock(data_dir)
        except OSError as error:
            raise CommandError(
                f"DATA_DIR: cannot write {data_dir} ({error.strerror}). Make it writable, or set DATA_DIR to another."
            ) from error
        if held is None:
            raise CommandError(
                f"Readywire already runs with the data in {data_dir}. "
                "Stop it, or set DATA_DIR, PORT and REFERENCE_PORTS to others."
            )
        for name in supervisor.end_leftovers(data_dir):
            self.stdout.write(f"  Ended {name}, left over from a run that was killed.")
        return held

    def _check(self, data_dir: Path, redis_url: str) -> None:
        staging, production = settings.REFERENCE_PORTS
        ports = {"web": settings.PORT, "staging": staging, "production": production}
        if found := list(preflight.troubles(data_dir, ports, redis_url)):
            raise CommandError("Nothing was started.\n  " + "\n  ".join(found))

    def _prepare(self, redis: embedded_redis.EmbeddedRedis | None) -> list[Process]:
        call_command("migrate", interactive=False, verbosity=0)
        keys = reference_setup.prepare(settings.REFERENCE_PORTS)
        references = self._references(keys)
        own = [redis.command] if redis else []
        workers = [processes.worker("local", number + 1) for number in range(settings.PROBE_WORKERS)]
        rest = [processes.recorder(), *workers, processes.scheduler(), processes.beat()]
        return [*own, processes.web(settings.PORT), *references, *rest]

    def _references(self, keys: dict[str, str]) -> list[Process]:
        control_token = settings.READYWIRE_CONTROL_TOKEN or env.made_control_token(settings.DATA_DIR)
        return [
            processes.reference(
                environment,
                port,
                readywire_url=f"http://127.0.0.1:{settings.PORT}",
                key=keys[environment],
                cache=str(settings.DATA_DIR / "reference"),
                control_token=control_token,
            )
            for environment, port in zip(("staging", "production"), settings.REFERENCE_PORTS, strict=True)
        ]

    async def _run(self, data_dir: Path, plan: list[Process], redis_url: str) -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        environment = {**os.environ, "REDIS_URL": redis_url, "DATA_DIR": str(data_dir)}
        watched = supervisor.Supervisor(data_dir, environment, self._say)
        self.stdout.write(f"Readywire, data in {data_dir}")
        for process in plan:
            watched.start(process)
        renewal = asyncio.create_task(watched.renew_state())
        greeting = asyncio.create_task(self._greet(watched))
        await stop.wait()
        self.stdout.write("Stopping.")
        renewal.cancel()
        greeting.cancel()
        await watched.stop()

    async def _greet(self, watched: supervisor.Supervisor) -> None:
        if not await watched.wait_running(["web"], PAGE_SECONDS):
            self.stderr.write(f"The page does not answer yet. See {settings.DATA_DIR / 'logs' / 'web.log'}")
            return
        link = await asyncio.to_thread(accounts.issue_link, getpass.getuser(), "administrator")
        minutes = settings.SIGNIN_LINK_MINUTES
        self.stdout.write(f"\nOpen {settings.PUBLIC_URL} and sign in with this link, once, within {minutes:g} minutes:")
        self.stdout.write(f"  {link}\nFor another: .venv/bin/python manage.py signin_link. Ctrl-C stops everything.\n")

    def _say(self, life: Life, note: str) -> None:
        if life.state is not State.STARTING or life.restarts:
            self.stdout.write(f"  {life.name:<11} {life.state:<11} {note}".rstrip())
            self.stdout.flush()
