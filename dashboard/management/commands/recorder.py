"""`manage.py recorder`: stores outcomes as they come, until it is told to stop."""

import signal
import threading
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from probes.recorder import Recorder, connect


class Command(BaseCommand):
    help = "Store the outcomes of probes as they come: rows, rollups, status. One is enough; on SQLite run only one."

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        Recorder(connect(settings.REDIS_URL), stop).run()
