"""`manage.py generate_history --targets N --days D`: made-up targets with a past, to try and to measure the product."""

import signal
import threading
import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from dashboard.management.usage import OneLineCommand, UsageError, author
from probes.generating import work


class Command(OneLineCommand):
    help = (
        "Make targets that do not exist and a past for them: probes, incidents, revisions and deploys near them, in "
        "environments of their own. Nobody's target, flag or result is touched; --remove takes all of it away."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--targets", type=int, metavar="N", help=f"how many, 1 to {work.MOST_TARGETS:,}")
        parser.add_argument("--days", type=float, metavar="D", help=f"of history, up to {work.MOST_DAYS}")
        parser.add_argument("--interval", type=int, default=10, metavar="S", help="seconds between slots (default 10)")
        parser.add_argument("--seed", type=int, default=7, help="the same seed and --until make the same history")
        parser.add_argument("--until", default="", metavar="TIME", help="when it ends, ISO 8601 (default now)")
        parser.add_argument("--follow", action="store_true", help="then answer in real time, until Ctrl-C")
        parser.add_argument("--beside-real-data", action="store_true", help="also where people's own targets are")
        parser.add_argument("--remove", action="store_true", help="take all generated history away")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["remove"]:
                self._remove()
                return
            if options["targets"] is not None or not options["follow"]:
                self._generate(_wanted(options), beside_real=options["beside_real_data"])
            if options["follow"]:
                self._follow()
        except work.RefusedError as refused:
            raise CommandError(str(refused)) from refused

    def _generate(self, wanted: work.Wanted, *, beside_real: bool) -> None:
        began = time.monotonic()
        slots = work.generate(wanted, by=author(), beside_real=beside_real, tell=self._say)
        took = time.monotonic() - began
        self._say(f"{wanted.targets:,} targets, {wanted.days:g} days, {slots:,} slots in {took:.0f} s.")

    def _follow(self) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        self._say("Answering in real time. Ctrl-C stops.")
        work.follow(stop)

    def _remove(self) -> None:
        targets, kept = work.remove(by=author())
        self._say(f"{targets:,} generated targets are gone.")
        for key in kept:
            self._say(f"The environment {key} stays: somebody acted in it, and the audit trail names it.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _wanted(options: dict[str, Any]) -> work.Wanted:
    targets, days, interval = options["targets"], options["days"], options["interval"]
    if targets is None or days is None:
        raise UsageError("Say how much: generate_history --targets N --days D")
    if not 1 <= targets <= work.MOST_TARGETS:
        raise UsageError(f"--targets: from 1 to {work.MOST_TARGETS:,}")
    if not 0 < days <= work.MOST_DAYS:
        raise UsageError(f"--days: more than 0, at most {work.MOST_DAYS}")
    if interval not in work.INTERVALS:
        raise UsageError(f"--interval: seconds that divide a minute: {', '.join(map(str, work.INTERVALS))}")
    until = parse_datetime(options["until"]) if options["until"] else None
    if options["until"] and (until is None or until.tzinfo is None):
        raise UsageError("--until: a time with its zone, such as 2026-11-20T12:00:00Z")
    return work.Wanted(targets, days, interval, options["seed"], until)
