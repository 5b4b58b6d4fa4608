"""`manage.py run NAME`: become one of the product's processes, with the very command that `make serve` runs."""

import os
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from dashboard import processes


class Command(BaseCommand):
    """Replace this process by the web server, a worker, the scheduler, beat or the recorder; or migrate and end."""

    help = "Run one process of the product in the foreground."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=["web", "worker", "scheduler", "beat", "recorder", "migrate"])
        parser.add_argument("--address", default="127.0.0.1", help="web: where it listens (default 127.0.0.1)")
        parser.add_argument("--location", default="local", help="worker: the location it probes from (default local)")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["name"] == "migrate":
            call_command("migrate", interactive=False)
            return
        known: dict[str, Callable[[], processes.Command]] = {
            "web": lambda: processes.web(settings.PORT, address=options["address"]),
            "worker": lambda: processes.worker(options["location"]),
            "scheduler": processes.scheduler,
            "beat": processes.beat,
            "recorder": processes.recorder,
        }
        command = known[options["name"]]()
        os.execve(command.arguments[0], command.arguments, {**os.environ, **command.environment})  # noqa: S606 - our table
